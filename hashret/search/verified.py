"""Verified: each answer held against a full scan of all codes."""

from __future__ import annotations

import logging

import numpy as np

from hashret.codes import Codes
from hashret.errors import HashretError
from hashret.search.base import Neighbors, Searcher

log = logging.getLogger("hashret")


class Verified:
    """A searcher whose answers are compared with another's, which reads all codes.

    An answer that says it is exact and is not raises HashretError; of others the log says how much they found.
    """

    def __init__(self, searcher: Searcher, full: Searcher) -> None:
        self.searcher, self.full = searcher, full
        self.name, self.summary, self.exact = searcher.name, searcher.summary, searcher.exact

    def search(self, queries: Codes, k: int) -> Neighbors:
        """The searcher's answer, compared."""
        return _compared(self.searcher.search(queries, k), self.full.search(queries, k))

    def within(self, queries: Codes, radius: int) -> Neighbors:
        """The same within a radius."""
        return _compared(self.searcher.within(queries, radius), self.full.within(queries, radius))


def _compared(found: Neighbors, true: Neighbors) -> Neighbors:
    """The answer found, once it was held against the true one."""
    if all(
        np.array_equal(getattr(found, name), getattr(true, name))
        for name in ("positions", "distances", "ties_at_k", "offsets")
    ):
        log.info(f"verified: {found.searcher} answers as a full scan of all codes does")
    elif found.exact:
        raise HashretError(
            f"the answer of {found.searcher} is not a full scan's: a fault of hashret; search by 'flat' avoids it"
        )
    else:
        near = int((found.distances <= true.distances[:, -1:]).sum())
        log.info(f"verified: {found.searcher} found {near} of the {true.distances.size} nearest")
    return found
