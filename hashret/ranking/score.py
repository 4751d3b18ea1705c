"""The score: what words, codes and vectors say of a document, each standardized over all documents, added up.

    score(d) = sum over parts p of w_p (p(d) - mean of p) / standard deviation of p

with p the BM25 of words, minus the distance of codes, the cosine of vectors. Mean and deviation are those of all
documents, before any filter, so the k best are a prefix of any longer list and no filter changes a score. A deviation
that is only rounding counts as 0. A document without features (none of its words is known) gets 0 from codes and
vectors, and so do all documents if the question has none. Scores compare within one question only.

If the index stores the original features, the vectors of the best documents by this score (100, or `oversample`) are
compared again by these: p(d) is replaced, mean and deviation are not. The number does not depend on how many documents
are asked for, so the k best are still a prefix of any longer list.

Weights. A question: words 1, codes and vectors .5 min(1, n / 12) each, with n the distinct words of the question that
the index knows, because two words say little about a topic; words 1, codes .5 and vectors 1.5 if codes and vectors come
from a model that was trained elsewhere; without words, codes .5 and vectors 1. Likeness ("more
like this") of texts: codes 1, vectors .25; of images and vectors as for a question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

import numpy as np

from hashret import loops
from hashret.errors import UsageError
from hashret.features import Floats
from hashret.loops import Doubles, Mask
from hashret.ranking.codes import Codes
from hashret.ranking.vectors import QuantizedVectors
from hashret.ranking.words import Words

PARTS = ("words", "codes", "vectors")
OVERSAMPLE = 100  # documents that are scored again by their original features, if these are stored
ENOUGH = 12  # known words of a question from which codes and vectors have their full weight
TOPIC = 0.5  # their weight beside words
PRETRAINED = 1.5  # the weight of vectors of a model that was trained elsewhere, beside words
LIKE = 0.25  # the weight of vectors beside codes in the likeness of texts

By = str | Sequence[str] | None
Weights = Mapping[str, float] | None


@dataclass(frozen=True)
class Question:
    """What is asked, in the forms that the parts need."""

    terms: Sequence[str] = ()
    margins: Floats | None = None  # [bits]
    features: Floats | None = None  # [dim]
    known: bool = True  # whether it has features


@dataclass(frozen=True)
class Scoring:
    """How documents are scored: by which parts, with which weights in place of the default ones."""

    parts: tuple[str, ...]
    weights: Weights = None
    likeness: bool = False
    oversample: int = 0  # documents with the best scores that are scored again by their original features


@dataclass(frozen=True)
class Scored:
    """The scores of all documents for one question, and what they were made of: raw values by part."""

    scores: Doubles  # [n]
    parts: Mapping[str, Doubles] = field(default_factory=dict)
    known_terms: int = 0
    found: Mask | None = None  # by words alone only documents with one of the words are found; None: all are
    exact: bool = True  # False if only some documents were scored by their original features
    factors: Mapping[str, float] = field(default_factory=dict)  # by part: its weight by its deviation, 0 if that is 0

    def top(self, k: int, allowed: Mask | None = None) -> tuple[np.ndarray, int]:
        """The positions of the k best that are allowed, ties by position, and how many have the last one's score."""
        if self.found is not None:
            allowed = self.found if allowed is None else self.found & allowed
        return loops.top(self.scores, allowed, k)


@dataclass(frozen=True)
class Ranking:
    """The parts of all documents of an index; one that the index lacks is None."""

    codes: Codes
    vectors: QuantizedVectors | None = None
    words: Words | None = None
    pretrained: bool = False  # whether codes and vectors come from a model that was trained elsewhere

    def scores(self, question: Question, scoring: Scoring) -> Scored:
        """Score all documents for a question by parts that the index must hold."""
        by, known_terms = scoring.parts, 0
        values: dict[str, Doubles] = {}
        if "words" in by and self.words is not None and question.terms:
            values["words"], known_terms = self.words.scores(question.terms)
        if "codes" in by and question.known and question.margins is not None:
            values["codes"] = self.codes.distances(question.margins)
        if "vectors" in by and question.known and question.features is not None and self.vectors is not None:
            values["vectors"] = self.vectors.cosines(question.features)
        usual = default_weights(by, scoring.likeness and self.words is not None, known_terms, self.pretrained)
        chosen = usual | dict(scoring.weights or {})
        scores = np.zeros(len(self.codes.codes))
        absent = None if self.vectors is None else self.vectors.absent
        deviations: dict[str, float] = {}
        factors: dict[str, float] = {}
        for name, raw in values.items():
            sign = -1.0 if name == "codes" else 1.0  # a distance
            weight = sign * float(chosen[name])
            deviations[name] = loops.standardize(raw, None if name == "words" else absent, weight, scores)
            factors[name] = weight / deviations[name] if deviations[name] else 0.0
        found = values["words"] > 0 if list(by) == ["words"] and "words" in values else None
        exact = True
        if scoring.oversample and deviations.get("vectors"):
            factor = float(chosen["vectors"]) / deviations["vectors"]
            exact = self._rescore(question, scores, values["vectors"], factor, scoring.oversample)
        return Scored(scores, values, known_terms, found, exact, factors)

    def _rescore(self, question: Question, scores: Doubles, cosines: Doubles, factor: float, oversample: int) -> bool:
        """Replace the cosines of the best documents by those of their original features. Returns whether all were."""
        assert self.vectors is not None
        assert self.vectors.originals is not None
        assert question.features is not None
        best, _ = loops.top(scores, None, oversample)
        if self.vectors.absent is not None:
            best = best[~self.vectors.absent[best]]
        fine = self.vectors.originals.cosines(question.features, best)
        scores[best] += factor * (fine - cosines[best])
        cosines[best] = fine
        return oversample >= len(scores)


def default_weights(by: Sequence[str], likeness: bool, known_terms: int, pretrained: bool = False) -> dict[str, float]:
    """The weights of these parts for a question with so many known distinct terms, or for the likeness of texts."""
    if likeness:
        usual = {"words": 1.0, "codes": 1.0, "vectors": LIKE}
    else:
        share = 1.0 if pretrained else min(1.0, known_terms / ENOUGH)
        usual = {"words": 1.0, "codes": TOPIC * share, "vectors": PRETRAINED if pretrained else TOPIC * share}
        if "words" not in by:
            usual = {"codes": TOPIC, "vectors": 1.0}
    return {name: usual[name] for name in by}


def checked_parts(by: By, weights: Weights, there: Sequence[str], usual: Sequence[str]) -> tuple[str, ...]:
    """The parts that `by` and `weights` name, in the order of PARTS; `usual` if they name none.

    Raises UsageError for a part that is unknown or not among those `there`, and for weights that cannot be used.
    """
    named = [by] if isinstance(by, str) else list(by if by is not None else (weights or usual))
    if not named:
        raise UsageError(f"by names no part; allowed: {', '.join(there)}")
    for name in (*named, *(weights or ())):
        if name not in PARTS:
            raise UsageError(f"unknown part {name!r}; allowed: {', '.join(PARTS)}")
        if name not in there:
            raise UsageError(f"the index holds no {name}; allowed: {', '.join(there)}")
    if weights is not None:
        _check_weights(weights, named)
    return tuple(name for name in PARTS if name in named)


def _check_weights(weights: Mapping[str, float], named: Sequence[str]) -> None:
    for name, weight in weights.items():
        usable = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not usable or not isfinite(weight) or weight < 0:
            raise UsageError(f"the weight of {name} must be a number of at least 0, got {weight!r}")
        if name not in named:
            raise UsageError(f"a weight is given for {name}, which is not among the parts: {', '.join(named)}")
    if weights.keys() >= set(named) and not any(weights.values()):
        raise UsageError("all weights are 0; at least one part must count")
