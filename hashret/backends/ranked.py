"""Scores of documents that an engine has found, as `hashret.ranking.score` defines them.

The engine finds a short list: the documents that are best by words, and those with the nearest codes. Words are
standardized over all documents. Codes and vectors are standardized over a sample, which is all documents of an index
with at most `SAMPLE`. So the answer is exact if the short list and the sample hold all documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hashret.backends.base import Columns, Positions, WordScores
from hashret.features import Vectors
from hashret.loops import EQUAL, Mask
from hashret.quantizer import Quantizer
from hashret.ranking import Codes, QuantizedVectors, Question

SAMPLE = 10_000  # documents over which codes and vectors are standardized
SHORT = 1000  # documents in each short list, at least
PER_HIT = 10  # and so many for each result

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stored:
    """The codes and vectors of some documents, ready to be scored."""

    positions: Positions
    codes: Codes
    vectors: QuantizedVectors | None

    @classmethod
    def of(cls, columns: Columns, bits: int, quantizer: Quantizer | None) -> Stored:
        """Interpret what an engine returned."""
        vectors = None
        if quantizer is not None:
            values = np.frombuffer(b"".join(columns.vectors), quantizer.dtype).reshape(
                len(columns.codes), quantizer.width
            )
            vectors = QuantizedVectors(Vectors(values, columns.norms), quantizer)
        return cls(columns.positions, Codes(columns.codes, bits), vectors)

    def values(self, question: Question, by: Sequence[str]) -> dict[str, Doubles]:
        """The raw values of codes and vectors for a question."""
        found: dict[str, Doubles] = {}
        if "codes" in by and question.known and question.margins is not None:
            found["codes"] = self.codes.distances(question.margins)
        if "vectors" in by and question.known and question.features is not None and self.vectors is not None:
            found["vectors"] = self.vectors.cosines(question.features)
        return found

    @property
    def absent(self) -> Mask:
        """Which documents have no features."""
        absent = None if self.vectors is None else self.vectors.absent
        return np.zeros(len(self.positions), bool) if absent is None else absent


@dataclass(frozen=True)
class Ranked:
    """Documents of a short list, best first."""

    positions: Positions
    scores: Doubles
    parts: Mapping[str, Doubles]
    places: npt.NDArray[np.int64]  # in the short list

    def ties_at(self, k: int) -> int:
        """Number of listed documents with the score of the k-th, or of the last."""
        if not len(self.scores):
            return 0
        return int((self.scores == self.scores[min(k, len(self.scores)) - 1]).sum())


def rank(
    question: Question,
    found: Stored,
    sample: Stored,
    words: WordScores | None,
    by: Sequence[str],
    weights: Mapping[str, float],
) -> Ranked:
    """Score the documents of a short list, and sort them by score, then position."""
    scores = np.zeros(len(found.positions))
    parts: dict[str, Doubles] = {}
    if words is not None:
        parts["words"] = raw = np.zeros(len(scores))
        here = np.isin(words.positions, found.positions)
        raw[np.searchsorted(found.positions, words.positions[here])] = words.scores[here]
        if words.deviation > EQUAL * words.largest:
            scores += weights["words"] * ((raw - words.mean) / words.deviation)
    usual = sample.values(question, by)
    for name, raw in found.values(question, by).items():
        parts[name] = raw
        weight = -weights[name] if name == "codes" else weights[name]  # codes are compared by a distance
        _standardize(raw, found.absent, usual[name][~sample.absent], weight, scores)
    order = np.lexsort((found.positions, -scores))
    return Ranked(found.positions[order], scores[order], {name: raw[order] for name, raw in parts.items()}, order)


def _standardize(raw: Doubles, absent: Mask, usual: Doubles, weight: float, scores: Doubles) -> None:
    """Add weight * (value - mean) / deviation, with mean and deviation of the sample."""
    if not len(usual):
        return
    mean = usual.mean()
    deviation = float(np.sqrt(np.square(usual - mean).mean()))
    if deviation > EQUAL * np.abs(usual).max():
        scores[~absent] += weight * ((raw[~absent] - mean) / deviation)
