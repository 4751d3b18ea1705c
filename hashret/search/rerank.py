"""Re-ranking: the nearest by Hamming distance, put in order by a finer distance.

By logits, for which nothing is stored: the query keeps its numbers, a document has its bits alone. With the margins
logit_j - threshold_j of the query and the bits b_j of a document, -1 or 1, the document with the largest sum of
margin_j b_j is nearest (Dong, Charikar and Li, "Asymmetric distance estimation with sketches for similarity search in
high-dimensional spaces", SIGIR 2008; Gordo, Perronnin, Gong and Lazebnik, "Asymmetric distances for binary embeddings",
PAMI 2014). That sum is sum |margin_j| - 2 d, where

    d = sum of |margin_j| over the bits in which document and query differ

so the smallest d comes first: the Hamming distance, a bit counting as much as the query is sure of it.

By vectors, where an index keeps them: d = 1 - cosine of the features of query and document, and the distance by logits
beside it, as a share of what it is at most, counted four times. The vectors know the words, the codes what the corpus
taught of them: both together are better than either (scripts/bench_quality.py). The document's features are scaled to
length 1 and rounded to whole multiples, -127 to 127, of a scale of their own, the largest of them / 127.

All sums are sums of whole numbers, and exact: a distance is the same to its last digit whatever is computed beside it,
and documents of equal codes, or vectors, are equally far.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hashret.codes import Codes, pack, unpack
from hashret.features import Floats, Vectors
from hashret.search.base import Neighbors, Numbers, Searcher, check_k

SHORT_LIST = 1000  # documents put in order, more where k is larger, and all that tie with the last of them
STEPS = 1 << 20  # whole numbers that a query's values are rounded to, either side of zero
CODES_COUNT = 4.0  # a whole code that differs, beside a right angle between vectors
AT_ONCE = 1 << 14  # documents compared with a query at once: with 4,096 numbers each, 64 MiB

Distances = npt.NDArray[np.float64]


def by_logits(margins: Floats, codes: Codes) -> Distances:
    """A query's margins [bits] and codes uint8 [n, ceil(bits / 8)] -> distances [n]."""
    weights, step = _whole(np.abs(margins))
    differ = unpack(codes ^ pack(margins[None] > 0), len(margins))  # [n, bits]
    return _products(differ, weights) * step


def share_by_logits(margins: Floats, codes: Codes) -> Distances:
    """The same as a share of the largest there can be: 0 to 1."""
    weights, step = _whole(np.abs(margins))
    return by_logits(margins, codes) / (float(weights.sum()) * step or 1.0)


def by_vectors(features: Floats, vectors: Vectors) -> Distances:
    """A query's features [dim] and n vectors -> distances [n]."""
    query, _ = _whole(features)
    length = float(np.linalg.norm(query)) or 1.0
    return 1 - _products(vectors.values, query) * vectors.scales / length


def _whole(values: Floats) -> tuple[Distances, float]:
    """The values as whole multiples of a step, and the step; their products with bytes add up below 2^53, exactly."""
    exact = np.nan_to_num(values).astype(np.float64)
    step = float(np.abs(exact).max(initial=0)) / STEPS or 1.0
    return np.rint(exact / step), step


def _products(rows: npt.NDArray[Any], whole: Distances) -> Distances:
    """Rows [n, d] times whole numbers [d] -> [n], without a copy of the rows as float64."""
    return np.asarray(np.einsum("nd,d->n", rows, whole))


def shrink(features: Floats) -> Vectors:
    """Features float32 [n, dim] as vectors; no number of a row scaled to length 1 is off by more than scale / 2."""
    exact = features.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    unit = exact / np.where(lengths > 0, lengths, 1)
    scales = (np.abs(unit).max(axis=1, initial=0) / 127).astype(np.float32)
    values = np.rint(unit / np.where(scales > 0, scales, 1)[:, None]).astype(np.int8)
    return Vectors(values, scales)


class Finer(ABC):
    """A finer distance between queries, by number, and documents, by position."""

    name: ClassVar[str]

    def distances(self, query: int, positions: Numbers) -> Distances:
        """From one query to the documents at these positions [n]."""
        parts = [self.some(query, positions[i : i + AT_ONCE]) for i in range(0, len(positions), AT_ONCE)]
        return np.concatenate([np.zeros(0), *parts])

    @abstractmethod
    def some(self, query: int, positions: Numbers) -> Distances:
        """The same for at most AT_ONCE documents."""


@dataclass(frozen=True)
class ByLogits(Finer):
    """By what the queries' logits exceed their thresholds by, and the documents' codes."""

    margins: Floats  # [m, bits]
    codes: Codes  # [n, ceil(bits / 8)]

    name = "logits"

    def some(self, query: int, positions: Numbers) -> Distances:
        """Asymmetric distances [n]."""
        return by_logits(self.margins[query], self.codes[positions])


@dataclass(frozen=True)
class ByVectors(Finer):
    """By the queries' features and the documents' vectors, with the codes beside them."""

    logits: ByLogits
    features: Floats  # [m, dim]
    read: Callable[[Numbers], Vectors]  # the vectors at positions

    name = "vectors"

    def some(self, query: int, positions: Numbers) -> Distances:
        """1 - cosine, and four times the share of the distance by logits [n]."""
        codes = share_by_logits(self.logits.margins[query], self.logits.codes[positions])
        return by_vectors(self.features[query], self.read(positions)) + CODES_COUNT * codes


@dataclass(frozen=True)
class Reranked:
    """A searcher for the queries that `finer` knows, whose answers are ordered by (finer distance, position)."""

    searcher: Searcher
    finer: Finer
    least: int = SHORT_LIST

    def search(self, queries: Codes, k: int) -> Neighbors:
        """The k first of each query's short list: the nearest max(least, k), and all that tie with the last of them.

        So the answer for k is a prefix of that for any larger k up to `least`; ties_at_k counts equal finer distances.
        """
        queries, k = np.array(queries), check_k(k)  # a copy, which no other thread can change between the two searches
        nearest = self.searcher.search(queries, max(self.least, k))
        shape = (len(queries), min(k, nearest.positions.shape[1]))
        positions, distances, finer = np.zeros(shape, np.int64), np.zeros(shape, np.uint16), np.zeros(shape)
        ties = np.zeros(len(queries), np.int64)
        for row in range(len(queries) if shape[1] else 0):
            found = self.searcher.within(queries[row : row + 1], int(nearest.distances[row, -1]))
            order, near = self._order(row, found.positions)
            first = order[:k]
            positions[row], distances[row], finer[row] = found.positions[first], found.distances[first], near[first]
            ties[row] = int((near == near[first[-1]]).sum())
        return Neighbors(
            positions, distances, nearest.exact, nearest.searcher, ties, finer=finer, reranked=self.finer.name
        )

    def within(self, queries: Codes, radius: int) -> Neighbors:
        """All within the radius of each query."""
        found = self.searcher.within(queries, radius)
        assert found.offsets is not None
        order, finer = np.zeros(len(found.positions), np.int64), np.zeros(len(found.positions))
        for row, (start, stop) in enumerate(pairwise(found.offsets.tolist())):
            places, near = self._order(row, found.positions[start:stop])
            order[start:stop], finer[start:stop] = start + places, near[places]
        positions, distances = found.positions[order], found.distances[order]
        return Neighbors(
            positions,
            distances,
            found.exact,
            found.searcher,
            offsets=found.offsets,
            finer=finer,
            reranked=self.finer.name,
        )

    def _order(self, query: int, positions: Numbers) -> tuple[Numbers, Distances]:
        """The order of the documents at these positions, and their finer distances."""
        near = self.finer.distances(query, positions)
        return np.lexsort((positions, near)), near
