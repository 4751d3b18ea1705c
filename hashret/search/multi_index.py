"""Multi-index: only buckets that can hold a near code are looked into (Norouzi, Punjani and Fleet 2012)."""

from __future__ import annotations

from hashret.search import costs
from hashret.search.tables import Buckets, Chunk, spread_bits


class MultiIndex(Buckets):
    """Codes that differ in at most r bits differ in at most r // m of one of m chunks, so m tables find them all.

    The buckets looked into differ from the query's in 0, 1, 2, ... bits of a chunk, until the k-th distance is sure.
    """

    name = "multi_index"
    summary = "tables of buckets: looks only where a near code can be"

    def chunks(self) -> list[Chunk]:
        """All bits, in chunks of about as many as number the codes."""
        return spread_bits(self.codes, self.bits, costs.chunks(len(self.codes), self.bits))
