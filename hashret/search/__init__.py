"""Search: codes -> neighbours; `SEARCHERS` lists the ways, `searcher` makes one."""

from __future__ import annotations

from hashret.codes import Codes
from hashret.registry import Registry
from hashret.search.base import Neighbors, Searcher

SEARCHERS: Registry[Searcher] = Registry("searcher", "hashret.searchers", ("flat = hashret.search.faiss:Flat",))

DEFAULT = "flat"


def searcher(codes: Codes, bits: int, name: str = "auto") -> Searcher:
    """A searcher over codes uint8 [n, ceil(bits / 8)]; "auto" takes the one that suits them.

    Raises DataError where the codes do not fit the bits, UsageError for an unknown name.
    """
    return SEARCHERS.get(DEFAULT if name == "auto" else name)(codes, bits)


__all__ = ["SEARCHERS", "Neighbors", "Searcher", "searcher"]
