"""Lookup: the code is the address (Salakhutdinov and Hinton 2009)."""

from __future__ import annotations

from hashret.codes import Codes
from hashret.errors import UsageError
from hashret.search import costs
from hashret.search.tables import Buckets, Chunk

MOST = 32


class Lookup(Buckets):
    """Documents lie at the address that their code is, near ones at addresses that differ in few bits.

    All addresses around the query are asked, nearest first, so that the time depends on the distance, not on how many
    documents there are. Of codes of more than 24 bits the first 24 are the address.
    """

    name = "lookup"
    summary = "the code is the address, for at most 32 bits"
    patience = 2.0
    bucket = costs.ADDRESS

    def __init__(self, codes: Codes, bits: int, threads: int | None = None) -> None:
        if bits > MOST:
            raise UsageError(
                f"lookup takes codes of at most {MOST} bits, these have {bits}; multi_index takes longer ones"
            )
        super().__init__(codes, bits, threads)

    def chunks(self) -> list[Chunk]:
        """One: the address."""
        return [range(min(self.bits, costs.MOST))]
