"""Measures of rankings with ties: the expected, worst and best value over the orders of tied documents.

Hamming distances often tie, so the value of a measure is its expectation over all orders of the ties (McSherry and
Najork, "Computing information retrieval performance measures efficiently in the presence of tied scores", ECIR 2008).
Each measure is one class. Its docstring has the closed form for a group of n tied documents, r of them relevant, after
N documents with R relevant; c is the number of places of the group within the cut k. T is the number of all relevant
documents, retrieved or not; a query without any gets 0.

Names and definitions are those of trec_eval. `P(r=R)`, `R(r=R)` and `AP@k(hits)` are common in papers on hashing.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hashret.errors import UsageError, shown
from hashret.evaluation.sums import Doubles, discounts, harmonic, log_factorials
from hashret.evaluation.ties import Ints, Ties

ALLOWED = "P@k, R@k, AP, AP@k, nDCG, nDCG@k, RR, RR@k, P(r=R), R(r=R), AP@k(hits)"


def parse(name: str) -> Measure:
    """Return the measure with this name; its `name` is the standard spelling. Raises UsageError if not in ALLOWED."""
    if not isinstance(name, str):
        raise UsageError(f"the name of a measure must be a text, got {shown(name)}; allowed: {ALLOWED}")
    if match := re.fullmatch(r"([PR])\(r=(\d{1,9})\)", name.replace(" ", "")):
        return _BALLS[match[1]](int(match[2]))
    match = re.fullmatch(r"(\w+)(?:@([1-9]\d{0,8})(\(hits\))?)?", name.replace(" ", ""))
    if match:
        kind, k = _usual(match[1]), int(match[2]) if match[2] else None
        if kind == "AP" and k and match[3]:
            return HitsAveragePrecision(k)
        if kind in _MEASURES and not match[3] and (k or kind not in ("P", "R")):
            return _MEASURES[kind](k)
    raise UsageError(
        f"unknown measure {shown(name)}; allowed: {ALLOWED}, with whole numbers for k (from 1) and R (from 0)"
    )


def _usual(name: str) -> str:
    """Return the main name of a measure in ir-measures, such as AP for MAP."""
    from ir_measures import measures  # imported here, because the import is slow

    return str(measures.registry[name].NAME) if name in measures.registry else name


@dataclass(frozen=True)
class Measure(ABC):
    """Base class of measures at the cut k; with None, of the complete ranking."""

    k: int | None = None

    @property
    def name(self) -> str:
        """Name with the cut, such as "P@100"."""
        kind = next(name for name, measure in _MEASURES.items() if measure is type(self))
        return kind if self.k is None else f"{kind}@{self.k}"

    def values(self, ties: Ties) -> Doubles:
        """Return the expected, worst and best value of each query [3, q]."""
        worst, best = np.sort([self.worst(ties), self.best(ties)], axis=0)  # rounding errors may swap equal values
        return np.stack([np.clip(self.expected(ties), worst, best), worst, best])

    @abstractmethod
    def expected(self, ties: Ties) -> Doubles:
        """Return the mean over all orders of the ties [q]."""

    def worst(self, ties: Ties) -> Doubles:
        """Return the value of the worst order [q]."""
        return self.expected(ties.worst)

    def best(self, ties: Ties) -> Doubles:
        """Return the value of the best order [q]."""
        return self.expected(ties.best)


class Precision(Measure):
    """Relevant documents among the first k, divided by k: sum of r c / n over the groups, divided by k."""

    def expected(self, ties: Ties) -> Doubles:
        return _within(ties, self.k) / float(self.k or 1)


class Recall(Measure):
    """Relevant documents among the first k, divided by T: sum of r c / n over the groups, divided by T."""

    def expected(self, ties: Ties) -> Doubles:
        return _ratio(_within(ties, self.k), ties.total)


class AveragePrecision(Measure):
    """Sum of the precisions at the relevant documents among the first k, divided by T.

    Place i of a group has a relevant document with probability r / n, and then (i - 1) (r - 1) / (n - 1) other relevant
    ones are expected before it: sum over i = 1..c of r/n (R + 1 + (i - 1) (r - 1) / (n - 1)) / (N + i).
    """

    def expected(self, ties: Ties) -> Doubles:
        sums = _precisions(ties.before, ties.found, ties.counts, ties.relevant, ties.slots(self.k))
        return _ratio(sums.sum(axis=1), ties.total)


class DiscountedGain(Measure):
    """Sum of grade / log2(rank + 1) over the first k, divided by that of the ideal ranking of all judged documents.

    With the sum S of the grades in a group: sum over i = 1..c of S/n / log2(N + i + 1).
    """

    def expected(self, ties: Ties) -> Doubles:
        ideal = Ties(
            ties.totals, ties.totals[:, :, None] * np.eye(len(ties.grades), dtype=np.int64), ties.totals, ties.grades
        )
        return _ratio(self._gain(ties), self._gain(ideal))

    def _gain(self, ties: Ties) -> Doubles:
        mean = (ties.graded @ ties.grades) / np.maximum(ties.counts, 1)  # [q, g]
        weight = discounts(ties.before + ties.slots(self.k)) - discounts(ties.before)
        return np.asarray((mean * weight).sum(axis=1))


class ReciprocalRank(Measure):
    """1 / the rank of the first relevant document, 0 if it is not among the first k.

    In the first group with a relevant document, its place is i with probability C(n - i, r - 1) / C(n, r).
    """

    def expected(self, ties: Ties) -> Doubles:
        value = np.zeros(len(ties.counts))
        first = (ties.relevant > 0).argmax(axis=1)
        for query in np.flatnonzero(ties.relevant.any(axis=1)):
            n, r, before = (int(of[query, first[query]]) for of in (ties.counts, ties.relevant, ties.before))
            places = min(n - r + 1, n if self.k is None else self.k - before)
            if places > 0:
                i = np.arange(1, places + 1)
                none_ahead = np.cumprod(np.append(1.0, (n - r - i[:-1] + 1) / (n - i[:-1] + 1)))
                value[query] = (none_ahead * r / (n - i + 1) / (before + i)).sum()
        return value


class BallPrecision(Measure):
    """Relevant documents within distance k, inclusive, divided by all documents there; 0 if there are none."""

    @property
    def name(self) -> str:
        """Name with the radius, such as "P(r=2)"."""
        return f"{next(name for name, measure in _BALLS.items() if measure is type(self))}(r={self.k})"

    def inside(self, counts: Ints) -> Ints:
        """Return the sums [q] of the counts [q, g] within the radius; group d has the documents at distance d."""
        return np.asarray(counts[:, : (self.k or 0) + 1].sum(axis=1))

    def values(self, ties: Ties) -> Doubles:
        """Return three equal values [3, q], because the order of ties does not matter."""
        return np.tile(self.expected(ties), (3, 1))

    def expected(self, ties: Ties) -> Doubles:
        return _ratio(self.inside(ties.relevant), self.inside(ties.counts))


class BallRecall(BallPrecision):
    """Relevant documents within distance k, inclusive, divided by T."""

    def expected(self, ties: Ties) -> Doubles:
        return _ratio(self.inside(ties.relevant), ties.total)


class HitsAveragePrecision(Measure):
    """Sum of the precisions at the relevant documents among the first k, divided by their number; 0 if there are none.

    The number depends only on the group that the cut divides. It has m relevant documents within the cut with the
    hypergeometric probability C(r, m) C(n - r, c - m) / C(n, c), and is then like a group of c documents, m relevant.
    Worst and best are also taken over m, because one more relevant document at a late place lowers the mean.
    """

    @property
    def name(self) -> str:
        """Name with the cut, such as "AP@100(hits)"."""
        return f"AP@{self.k}(hits)"

    def expected(self, ties: Ties) -> Doubles:
        whole = self._whole(ties)
        sums, value = _sums(whole), self._means(whole, whole)
        for query, cut in self._cuts(ties):
            m = cut.hits
            inside = _precisions(cut.before, cut.found, cut.slots, m, cut.slots)
            value[query] = cut.chances() @ ((sums[query] + inside) / np.maximum(cut.found + m, 1))
        return value

    def worst(self, ties: Ties) -> Doubles:
        whole = self._whole(ties)
        sums, value = _sums(whole.worst), self._means(whole, whole.worst)
        for query, cut in self._cuts(ties):
            m = cut.hits
            last = _precisions(cut.before + cut.slots - m, cut.found, m, m, m)
            value[query] = ((sums[query] + last) / np.maximum(cut.found + m, 1)).min()
        return value

    def best(self, ties: Ties) -> Doubles:
        whole = self._whole(ties)
        sums, value = _sums(whole.best), self._means(whole, whole.best)
        for query, cut in self._cuts(ties):
            m = cut.hits
            first = _precisions(cut.before, cut.found, m, m, m)
            value[query] = ((sums[query] + first) / np.maximum(cut.found + m, 1)).max()
        return value

    def _whole(self, ties: Ties) -> Ties:
        return ties.where(ties.slots(self.k) == ties.counts)

    def _means(self, whole: Ties, ordered: Ties) -> Doubles:
        return _ratio(_sums(ordered), whole.relevant.sum(axis=1))

    def _cuts(self, ties: Ties) -> Iterator[tuple[int, _Cut]]:
        slots = ties.slots(self.k)
        for query, group in np.argwhere((slots > 0) & (slots < ties.counts)):
            parts = (ties.before, ties.found, ties.counts, ties.relevant, slots)
            yield int(query), _Cut(*(int(part[query, group]) for part in parts))


class _Cut(NamedTuple):
    """The group that the cut divides."""

    before: int
    found: int
    size: int
    relevant: int
    slots: int

    @property
    def hits(self) -> Ints:
        """Possible numbers of relevant documents within the cut [m]."""
        return np.arange(max(0, self.slots - self.size + self.relevant), min(self.relevant, self.slots) + 1)

    def chances(self) -> Doubles:
        """Return the probabilities of `hits` [m]."""
        m, others = self.hits, self.size - self.relevant
        log = -log_factorials(self.size)
        ways = log[m] + log[self.relevant - m] + log[self.slots - m] + log[others - self.slots + m]
        chances = np.exp(ways - ways.max())
        return np.asarray(chances / chances.sum())


_MEASURES: dict[str, type[Measure]] = {
    "P": Precision,
    "R": Recall,
    "AP": AveragePrecision,
    "nDCG": DiscountedGain,
    "RR": ReciprocalRank,
}
_BALLS: dict[str, type[BallPrecision]] = {"P": BallPrecision, "R": BallRecall}


def _within(ties: Ties, k: int | None) -> Doubles:
    """Return the expected number of relevant documents among the first k [q]."""
    return np.asarray((ties.relevant * (ties.slots(k) / np.maximum(ties.counts, 1))).sum(axis=1))


def _ratio(above: npt.NDArray[np.generic], below: npt.NDArray[np.generic]) -> Doubles:
    """Return above / below [q], 0 where below is 0."""
    return np.asarray(np.divide(above, below, out=np.zeros(len(above)), where=below != 0))


def _sums(ties: Ties) -> Doubles:
    """Return the expected sum of the precisions at all relevant documents [q]."""
    return np.asarray(_precisions(ties.before, ties.found, ties.counts, ties.relevant, ties.counts).sum(axis=1))


def _precisions(N: Ints | int, R: Ints | int, n: Ints | int, r: Ints, c: Ints | int) -> Doubles:
    """Return the expected sum of the precisions at the relevant documents among the first c of a group.

    Since i / (N + i) = 1 - N / (N + i), the sum in `AveragePrecision` reduces to a sum of reciprocals and a count.
    """
    step = (r - 1) / np.maximum(np.subtract(n, 1), 1)
    reciprocals = harmonic(np.add(N, c)) - harmonic(np.asarray(N))
    return np.asarray(r / np.maximum(n, 1) * ((R + 1 - step - step * N) * reciprocals + step * c))
