"""Ties: rankings that leave open the order of documents at equal distance, counted rather than listed.

All that a measure needs of a ranking is how many documents each group of ties holds and how many of them have which
grade. So ten thousand rankings of a million documents take a small array of counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Ties:
    """Rankings of q queries as at most g groups of ties each, nearest first; empty groups change nothing."""

    counts: Ints  # [q, g], documents in each group
    graded: Ints  # [q, g, l], those of each grade
    totals: Ints  # [q, l], relevant documents of each grade, found or not
    grades: Ints  # [l], the grades above zero, highest first; [1] where relevance is yes or no

    @cached_property
    def relevant(self) -> Ints:
        """Relevant documents in each group [q, g]."""
        return np.asarray(self.graded.sum(axis=2))

    @cached_property
    def total(self) -> Ints:
        """Relevant documents of each query [q], found or not."""
        return np.asarray(self.totals.sum(axis=1))

    @cached_property
    def before(self) -> Ints:
        """Documents ahead of each group [q, g]."""
        return _ahead(self.counts)

    @cached_property
    def found(self) -> Ints:
        """Relevant documents ahead of each group [q, g]."""
        return _ahead(self.relevant)

    @cached_property
    def best(self) -> Ties:
        """The same rankings with each group in its best order: groups of one grade each, highest first."""
        return self._ordered(best=True)

    @cached_property
    def worst(self) -> Ties:
        """The same rankings with each group in its worst order: groups of one grade each, highest last."""
        return self._ordered(best=False)

    def slots(self, k: int | None) -> Ints:
        """Places of each group among the first k [q, g]; all of them for None."""
        return self.counts if k is None else np.clip(k - self.before, 0, self.counts)

    def where(self, kept: npt.NDArray[np.bool_]) -> Ties:
        """These rankings without the groups outside `kept` [q, g]."""
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
