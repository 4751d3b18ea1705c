"""Ties: rankings with unordered groups of documents at equal distance, stored as counts.

A measure needs only the number of documents of each grade in each group of ties. So ten thousand rankings of a million
documents fit in a small array of counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ties:
    """Rankings of q queries as at most g groups of ties each, nearest first; empty groups have no effect."""

    counts: Ints  # [q, g], documents in each group
    graded: Ints  # [q, g, l], documents of each grade in each group
    totals: Ints  # [q, l], relevant documents of each grade, retrieved or not
    grades: Ints  # [l], the grades above zero, highest first; [1] for binary relevance

    @cached_property
    def relevant(self) -> Ints:
        """Relevant documents in each group [q, g]."""
        return np.asarray(self.graded.sum(axis=2))

    @cached_property
    def total(self) -> Ints:
        """Relevant documents of each query [q], retrieved or not."""
        return np.asarray(self.totals.sum(axis=1))

    @cached_property
    def before(self) -> Ints:
        """Documents before each group [q, g]."""
        return _ahead(self.counts)

    @cached_property
    def found(self) -> Ints:
        """Relevant documents before each group [q, g]."""
        return _ahead(self.relevant)

    @cached_property
    def best(self) -> Ties:
        """These rankings with the best order of ties: groups of one grade each, highest first."""
        return self._ordered(best=True)

    @cached_property
    def worst(self) -> Ties:
        """These rankings with the worst order of ties: groups of one grade each, highest last."""
        return self._ordered(best=False)

    def slots(self, k: int | None) -> Ints:
        """Return the number of places of each group among the first k [q, g]; all places for None."""
        return self.counts if k is None else np.clip(k - self.before, 0, self.counts)

    def where(self, kept: npt.NDArray[np.bool_]) -> Ties:
        """Return these rankings with only the groups in `kept`, bool [q, g]."""
        return Ties(self.counts * kept, self.graded * kept[:, :, None], self.totals, self.grades)

    def _ordered(self, best: bool) -> Ties:
        queries, groups, levels = self.graded.shape
        graded = np.zeros((queries, groups, levels + 1, levels), np.int64)
        for level in range(levels):
            graded[:, :, level if best else levels - level, level] = self.graded[:, :, level]
        counts = graded.sum(axis=3)  # [q, g, l + 1]
        counts[:, :, levels if best else 0] = self.counts - self.relevant
        shape = (queries, groups * (levels + 1))
        return Ties(counts.reshape(shape), graded.reshape(*shape, levels), self.totals, self.grades)


def _ahead(counts: Ints) -> Ints:
    return np.cumsum(counts, axis=1) - counts
