"""Multi-index hashing (Norouzi, Punjani and Fleet, 2012)."""

from __future__ import annotations

from hashret.search import costs
from hashret.search.tables import Buckets, Chunk, spread_bits


class MultiIndex(Buckets):
    """Multi-index hashing (Norouzi, Punjani and Fleet, 2012): exact search in one table per chunk of bits.

    If two codes differ in at most r bits, they differ in at most r // m bits of at least one of m chunks. The search
    probes buckets that differ from the query in 0, 1, 2, ... bits of a chunk, until no nearer code can exist.
    """

    name = "multi_index"
    summary = "multi-index hashing: exact search in hash tables"

    def chunks(self) -> list[Chunk]:
        """Return all bits, in chunks of about log2(n) bits each."""
        return spread_bits(self.codes, self.bits, costs.chunks(len(self.codes), self.bits))
