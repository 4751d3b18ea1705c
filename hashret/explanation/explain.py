"""Explain the score of one document for one query.

The score is a sum over parts of factor * (value - mean), so it is split into summands:

    words    a row per term and per pair of neighbouring terms: its BM25
    vectors  a row per word of the query: its Shapley value in the cosine
    codes    a row per bit: half the length of the code, times the bit's share of the certainty of the query, with a
             minus sign where query and document differ
    constant what the average document would get, subtracted by standardizing

For texts, the words of query and document are also ranked by their effect on the score by all parts. The effect of a
word of the query is its Shapley value, that of a word of the document what is lost when it is removed; the code is then
replaced by the values before the threshold, because removing one word of many seldom flips a bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hashret.analyzer import Analyzer
from hashret.codes import Codes, unpack
from hashret.documents import Document
from hashret.explanation.bits import Bit
from hashret.explanation.probe import Encoded, Probe, agreement
from hashret.explanation.regions import occlusion
from hashret.explanation.results import Explanation, HeatMap, Share, WordEffect
from hashret.explanation.shapley import shapley
from hashret.explanation.spans import OTHERS, SpannedText
from hashret.loops import Doubles
from hashret.ranking import Question, Scored, Words

TOP = 3  # words of query and document named for a bit


@dataclass(frozen=True)
class Case:
    """A query, a document, and how the document was scored. `factors` and `means` by part are those of the sum."""

    query: Document
    encoded_again: bool  # False if the question was made from what is stored of a document
    document: Document
    question: Question
    scored: Scored
    means: Mapping[str, float]
    position: int
    code: Codes  # [1, bytes]
    distance: int
    target: Doubles | None  # [dim], the vector of the document, of length 1
    present: bool  # whether the document has features
    probe: Probe
    words: Words | None
    analyzer: Analyzer | None
    bits: Sequence[Bit]

    @cached_property
    def factors(self) -> dict[str, float]:
        """What a value of a part is multiplied by; parts that add nothing to this document's score are left out."""
        there = {name: factor for name, factor in self.scored.factors.items() if factor}
        return there if self.present else {name: factor for name, factor in there.items() if name == "words"}

    @cached_property
    def signs(self) -> Doubles:
        """The bits of the document as -1 and 1."""
        return np.where(unpack(self.code, len(self.bits))[0], 1.0, -1.0)

    def value(self, part: str) -> float:
        """The value of the document by a part, as it was scored."""
        return float(self.scored.parts[part][self.position])

    def constant(self) -> float:
        """What standardizing subtracts. The middle of asymmetric distances is half the length of the code."""
        middles = {"codes": len(self.bits) / 2}
        return sum(factor * (middles.get(name, 0.0) - self.means[name]) for name, factor in self.factors.items())

    def by_parts(self, encoded: Encoded) -> dict[str, Doubles]:
        """What codes and vectors add to the score for variants of the query, the constant left out: [n] each."""
        found = {}
        if "codes" in self.factors:
            found["codes"] = -self.factors["codes"] * agreement(encoded.margins, self.signs)
        if "vectors" in self.factors and self.target is not None:
            found["vectors"] = self.factors["vectors"] * (encoded.vectors @ self.target)
        return found


def explain(case: Case) -> Explanation:
    """Return the shares of the score, and the effects of words or regions of query and document."""
    query_text = _text(case.query, case.analyzer)
    document_text = _text(case.document, case.analyzer)
    words = _word_shares(case, query_text)
    query_parts, query_margins = _query_words(case, query_text if case.encoded_again else None)
    document_parts, document_margins = _document_words(case, document_text)
    by_word = _by_word(words, query_text)
    named = (_top_words(query_text, query_margins), _top_words(document_text, document_margins))
    shares = [*words, *_vector_shares(case, query_text, query_parts), *_bit_shares(case, named)]
    shares.append(Share("constant", "average document", case.constant()))
    return Explanation(
        case.document.id,
        float(case.scored.scores[case.position]),
        case.distance,
        shares,
        _effects(query_text, query_parts, by_word),
        _effects(document_text, document_parts, by_word),
        _query_map(case),
        _document_map(case),
    )


def _text(document: Document, analyzer: Analyzer | None) -> SpannedText | None:
    if not isinstance(document.content, str):
        return None
    return SpannedText(document.content, analyzer or Analyzer())


def _word_shares(case: Case, text: SpannedText | None) -> list[Share]:
    """The BM25 of each term and pair that query and document share."""
    if "words" not in case.factors or case.words is None or text is None:
        return []
    factor = case.factors["words"]
    found = case.words.contributions(case.question.terms, case.position)
    shares = [
        Share("words", " ".join(text.terms.get(term, term) for term in terms), factor * value, {"terms": list(terms)})
        for terms, value in found
        if value
    ]
    return sorted(shares, key=lambda share: -share.share)


def _query_words(case: Case, text: SpannedText | None) -> tuple[dict[str, Doubles], Doubles]:
    """The shares of the words of the query in codes and vectors, [words] each, and in the margins [words, bits]."""
    if text is None or not text.words or not case.factors.keys() & {"codes", "vectors"}:
        return {}, np.zeros((0, len(case.bits)))
    names: list[str] = []

    def value(sets: Sequence[frozenset[int]]) -> Doubles:
        variants = [text.only([text.words[place] for place in own]) for own in sets]
        encoded = case.probe.encode([Document("variant", variant) for variant in variants], queries=True)
        parts = case.by_parts(encoded)
        names[:] = list(parts)
        return np.column_stack([*parts.values(), encoded.margins])

    shares = shapley(len(text.words), value)
    return {name: shares[:, place] for place, name in enumerate(names)}, shares[:, len(names) :]


def _document_words(case: Case, text: SpannedText | None) -> tuple[dict[str, Doubles], Doubles]:
    """What is lost of codes and vectors when a word of the document is removed, and its part of the margins."""
    if text is None or not text.words or not case.factors.keys() & {"codes", "vectors"}:
        return {}, np.zeros((0, len(case.bits)))
    variants = [text.text, *(text.without([word]) for word in text.words)]
    encoded = case.probe.encode([Document("variant", variant) for variant in variants], queries=False)
    parts = _of_document(case, encoded)
    return {name: own[0] - own[1:] for name, own in parts.items()}, encoded.margins[0] - encoded.margins[1:]


def _of_document(case: Case, encoded: Encoded) -> dict[str, Doubles]:
    """What codes and vectors add to the score for variants of the document, by values before the threshold."""
    found: dict[str, Doubles] = {}
    question = case.question
    if "codes" in case.factors and question.margins is not None:
        scale = np.abs(encoded.margins[0]).mean() or 1.0
        soft = np.clip(encoded.margins / scale, -1, 1)
        found["codes"] = -case.factors["codes"] * agreement(np.nan_to_num(question.margins).astype(np.float64), soft.T)
    if "vectors" in case.factors and question.features is not None and case.probe.quantizer is not None:
        asked = case.probe.quantizer.prepared(question.features[None])[0].astype(np.float64)
        found["vectors"] = case.factors["vectors"] * (encoded.vectors @ asked)
    return found


def _vector_shares(case: Case, text: SpannedText | None, parts: Mapping[str, Doubles]) -> list[Share]:
    """The shares of the words of the query in the cosine, or the cosine where the query is no text."""
    if "vectors" not in case.factors:
        return []
    if text is None or "vectors" not in parts:
        return [Share("vectors", case.query.kind, case.factors["vectors"] * case.value("vectors"))]
    shares = [Share("vectors", word, float(own)) for word, own in zip(text.words, parts["vectors"], strict=True)]
    return sorted(shares, key=lambda share: -share.share)


def _bit_shares(case: Case, named: tuple[list[list[str]], list[list[str]]]) -> list[Share]:
    """The share of each bit, those with most weight first."""
    if "codes" not in case.factors or case.question.margins is None:
        return []
    margins = np.nan_to_num(case.question.margins).astype(np.float64)
    sure = np.abs(margins)
    total = float(sure.sum()) or 1.0
    agree = (margins > 0) == (case.signs > 0)
    each = -case.factors["codes"] * len(margins) / 2 * np.where(agree, sure, -sure) / total
    largest = float(sure.max()) or 1.0
    shares = []
    for j in np.argsort(-sure, kind="stable").tolist():
        bit = case.bits[j]
        details = {
            "bit": j,
            "agree": bool(agree[j]),
            "query_bit": int(margins[j] > 0),
            "document_bit": int(case.signs[j] > 0),
            "certainty": float(sure[j] / largest),
            "stands_for": list(bit.ones if margins[j] > 0 else bit.zeros),
            "query_words": named[0][2 * j + int(margins[j] > 0)] if named[0] else [],
            "document_words": named[1][2 * j + int(case.signs[j] > 0)] if named[1] else [],
        }
        shares.append(Share("codes", f"bit {j}", float(each[j]), details))
    return shares


def _top_words(text: SpannedText | None, margins: Doubles) -> list[list[str]]:
    """The words that push each bit most towards 0, and towards 1, [2 bits] lists."""
    found: list[list[str]] = []
    if text is None or not len(margins):
        return found
    for own in margins.T:
        for sign in (-1, 1):
            order = np.argsort(-sign * own, kind="stable")[:TOP]
            found.append([text.words[place] for place in order if sign * own[place] > 0])
    return found


def _by_word(shares: Sequence[Share], text: SpannedText | None) -> dict[str, float]:
    """The BM25 of each term, with half of that of its pairs, in the score."""
    found: dict[str, float] = {}
    if text is not None:
        for share in shares:
            for term in share.details["terms"]:
                found[term] = found.get(term, 0.0) + share.share / len(share.details["terms"])
    return found


def _effects(text: SpannedText | None, parts: Mapping[str, Doubles], by_term: Mapping[str, float]) -> list[WordEffect]:
    """The words of a text by their effect on the score, largest first."""
    if text is None:
        return []
    words: dict[str, float] = {}
    for term, share in by_term.items():
        if term in text.terms:
            words[text.terms[term]] = words.get(text.terms[term], 0.0) + share
    found = []
    for place, word in enumerate(text.words):
        own = {"words": words.get(word, 0.0)} | {name: float(values[place]) for name, values in parts.items()}
        found.append(WordEffect(word, sum(own.values()), own))
    return sorted((effect for effect in found if effect.word != OTHERS), key=lambda effect: -effect.effect)


def _query_map(case: Case) -> HeatMap | None:
    """The effect of each region of a query that is an image."""
    if case.query.kind != "image" or not case.factors or not case.encoded_again:
        return None

    def value(documents: list[Document]) -> Doubles:
        return _sum(case.by_parts(case.probe.encode(documents, queries=True)))

    return occlusion(case.query, value)


def _document_map(case: Case) -> HeatMap | None:
    """The effect of each region of a document that is an image."""
    if case.document.kind != "image" or not case.factors:
        return None

    def value(documents: list[Document]) -> Doubles:
        return _sum(_of_document(case, case.probe.encode(documents, queries=False)))

    return occlusion(case.document, value)


def _sum(parts: Mapping[str, Doubles]) -> Doubles:
    return np.asarray(np.sum([*parts.values()], axis=0), np.float64)
