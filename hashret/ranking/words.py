"""Words: BM25 of a question's terms, of its pairs of neighbouring terms, and of its terms in the titles.

For a term that occurs c times in a document of length l, in N documents of average length L, df of which have it:

    ln(1 + (N - df + .5) / (df + .5)) * c / (c + k1 (1 - b + b l / L))        k1 = 1.2, b = .75

(Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009; the form of Lucene 8 and of
bm25s's method "lucene"). A term that occurs twice in a question counts twice. N, df and L count the documents that are
not deleted, so merging segments changes no score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, chain, pairwise
from math import log
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hashret import loops
from hashret.loops import Doubles, Mask

K1, B = 1.2, 0.75
PAIRS, TITLES = 0.2, 0.15  # weights beside the terms themselves

Lengths = npt.NDArray[np.uint32]
Found = tuple[bytes, bytes, int] | None


class Field(Protocol):
    """The postings of one field of a segment's documents."""

    rows: int

    def find(self, term: str) -> Found:
        """The postings and positions of a term, and number of documents that have it; None if there are none."""

    def lengths(self) -> Lengths:
        """Number of terms of each document, [rows]."""

    def pairs(self) -> Lengths:
        """Number of pairs of neighbouring terms of each document, [rows]."""


class BM25:
    """BM25 over one field of all documents of an index, segment by segment."""

    def __init__(self, fields: Sequence[Field], live: Mask) -> None:
        self.fields, self.live = fields, live
        edges = list(accumulate((field.rows for field in fields), initial=0))
        self.slices = [slice(a, b) for a, b in pairwise(edges)]
        self.documents = int(live.sum())

    def knows(self, term: str) -> bool:
        """Whether a document that is not deleted has a term."""
        return self._df(self._find(term)) > 0

    def scores(
        self, terms: Sequence[str], pairs: Sequence[tuple[str, str]], weight: float, scores: Doubles
    ) -> set[str]:
        """Add a question's terms and, by PAIRS, its pairs of terms to the scores [rows]; return the known terms."""
        found = {term: self._find(term) for term in {*terms, *chain.from_iterable(pairs)}}
        known = set()
        for term, count in Counter(terms).items():
            if df := self._df(found[term]):
                known.add(term)
                for here, part in zip(found[term], self.slices, strict=True):
                    if here:
                        loops.bm25(here[0], self._norms[part], weight * count * self._idf(df), scores[part])
        for (first, second), count in Counter(pairs).items():
            rows, counts = self._pair(found[first], found[second])
            if df := len(rows):
                share = counts / (counts + self._pair_norms[rows])
                scores[rows] += weight * PAIRS * count * self._idf(df) * share
        return known

    def _find(self, term: str) -> list[Found]:
        """The postings and positions of a term in each segment."""
        return [field.find(term) for field in self.fields]

    def _df(self, found: list[Found]) -> int:
        """Number of documents in the postings of a term that are not deleted."""
        if self.documents == len(self.live):
            return sum(here[2] for here in found if here)
        parts = zip(found, self.slices, strict=True)
        return sum(loops.count(here[0], self.live[part]) for here, part in parts if here)

    def _pair(self, first: list[Found], second: list[Found]) -> tuple[npt.NDArray[np.int64], Doubles]:
        """The documents in which a term follows another, deleted ones left out, and how often it does."""
        rows, counts = [np.zeros(0, np.int64)], [np.zeros(0)]
        for one, other, part in zip(first, second, self.slices, strict=True):
            if one and other:
                documents, found = loops.pairs(*one[:2], *other[:2], part.stop - part.start)
                rows.append(documents.astype(np.int64) + part.start)
                counts.append(found.astype(np.float64))
        places, here = np.concatenate(rows), np.concatenate(counts)
        kept = self.live[places]
        return places[kept], here[kept]

    def _idf(self, df: int) -> float:
        return log(1 + (self.documents - df + 0.5) / (df + 0.5))

    @cached_property
    def _norms(self) -> Doubles:
        return self._of("lengths")

    @cached_property
    def _pair_norms(self) -> Doubles:
        return self._of("pairs")

    def _of(self, name: str) -> Doubles:
        each = [field.lengths() if name == "lengths" else field.pairs() for field in self.fields]
        of = np.concatenate([np.zeros(0), *each]).astype(np.float64)
        total = float(of[self.live].sum())
        average = total / self.documents if total else 1.0
        return np.asarray(K1 * (1 - B + B * of / average), np.float64)


class Words:
    """The part `words`: terms, pairs of neighbouring terms, and titles.

    Fields of titles may be missing. `stop_terms` form no pairs.
    """

    def __init__(
        self, fields: Sequence[Field], titles: Sequence[Field], live: Mask, stop_terms: frozenset[str] = frozenset()
    ) -> None:
        self.text, self.titles = BM25(fields, live), BM25(titles, live)
        self.live, self.stop_terms = live, stop_terms

    def knows(self, terms: Sequence[str]) -> bool:
        """Whether a document that is not deleted has one of the terms."""
        return any(self.text.knows(term) or self.titles.knows(term) for term in terms)

    def scores(self, terms: Sequence[str]) -> tuple[Doubles, int]:
        """The BM25 of all documents that are not deleted for a question, and how many of its terms they know."""
        scores = np.zeros(len(self.live))
        placed = [term for term in terms if term not in self.stop_terms]
        known = self.text.scores(terms, list(pairwise(placed)), 1.0, scores)
        if self.titles.fields:
            known |= self.titles.scores(terms, [], TITLES, scores)
        return scores if self.live.all() else scores[self.live], len(known)

    def contributions(self, terms: Sequence[str], position: int) -> list[tuple[tuple[str, ...], float]]:
        """The summands of the BM25 of one document: terms, with what titles add, and pairs of terms.

        `position` counts documents that are not deleted.
        """
        row = int(np.flatnonzero(self.live)[position])
        found: list[tuple[tuple[str, ...], float]] = []
        for term, count in Counter(terms).items():
            scores = np.zeros(len(self.live))
            self.text.scores([term] * count, [], 1.0, scores)
            if self.titles.fields:
                self.titles.scores([term] * count, [], TITLES, scores)
            found.append(((term,), float(scores[row])))
        placed = [term for term in terms if term not in self.stop_terms]
        for pair, count in Counter(pairwise(placed)).items():
            scores = np.zeros(len(self.live))
            self.text.scores([], [pair] * count, 1.0, scores)
            found.append((pair, float(scores[row])))
        return found
