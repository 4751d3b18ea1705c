"""Lookup of codes as addresses in a table (Salakhutdinov and Hinton, 2009)."""

from __future__ import annotations

from hashret.codes import Codes
from hashret.errors import UsageError
from hashret.search import costs
from hashret.search.tables import Buckets, Chunk

MOST = 32


class Lookup(Buckets):
    """Semantic hashing lookup: the code is the address of a document (Salakhutdinov and Hinton, 2009).

    The search visits all addresses around the query in order of Hamming distance. So its time depends on the distance
    of the results, not on the number of documents. The address of longer codes is their first 24 bits.
    """

    name = "lookup"
    summary = "table addressed by the code, for at most 32 bits"
    patience = 2.0
    bucket = costs.ADDRESS

    def __init__(self, codes: Codes, bits: int, threads: int | None = None) -> None:
        if bits > MOST:
            raise UsageError(
                f"lookup supports codes of at most {MOST} bits, not {bits}; use multi_index for longer codes"
            )
        super().__init__(codes, bits, threads)

    def chunks(self) -> list[Chunk]:
        """Return one chunk, the bits of the address."""
        return [range(min(self.bits, costs.MOST))]
