"""Compare search results with a full scan."""

from __future__ import annotations

import logging

import numpy as np

from hashret.codes import Codes
from hashret.errors import HashretError
from hashret.search.base import Neighbors, Searcher

log = logging.getLogger("hashret")


class Verified:
    """A searcher that compares each result of another searcher with a full scan.

    Raises HashretError if an exact searcher differs. For approximate searchers, logs how many neighbors they found.
    """

    def __init__(self, searcher: Searcher, full: Searcher) -> None:
        self.searcher, self.full = searcher, full
        self.name, self.summary, self.exact = searcher.name, searcher.summary, searcher.exact

    def search(self, queries: Codes, k: int) -> Neighbors:
        """Return the k nearest codes of each query, after the comparison."""
        return _compared(self.searcher.search(queries, k), self.full.search(queries, k))

    def within(self, queries: Codes, radius: int) -> Neighbors:
        """Return all codes within the radius (inclusive) of each query, after the comparison."""
        return _compared(self.searcher.within(queries, radius), self.full.within(queries, radius))


def _compared(found: Neighbors, true: Neighbors) -> Neighbors:
    """Compare a result with the true one, and return it."""
    if all(
        np.array_equal(getattr(found, name), getattr(true, name))
        for name in ("positions", "distances", "ties_at_k", "offsets")
    ):
        log.info(f"verified: the results of {found.searcher} equal those of a full scan")
    elif found.exact:
        raise HashretError(
            f"the results of {found.searcher} differ from a full scan, which is a bug in hashret; search with 'flat'"
        )
    else:
        near = int((found.distances <= true.distances[:, -1:]).sum())
        log.info(f"verified: {found.searcher} found {near} of the {true.distances.size} nearest")
    return found
