"""The part of `RemoteIndex` that searches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from hashret.address import APPROXIMATE
from hashret.backends.base import EVERYTHING, Engine, Near, Selection, WordScores
from hashret.backends.ranked import PER_HIT, SAMPLE, SHORT, Ranked, Stored, rank
from hashret.backends.reading import RemoteReading
from hashret.codes import Codes, check_codes, hamming
from hashret.documents import as_labels
from hashret.errors import DataError, UsageError
from hashret.filters import check, parse
from hashret.queries import EncodedQueries, Queries, without_unknown
from hashret.ranking import Question, Ranking, Scoring, Words, default_weights
from hashret.ranking.score import By, Weights
from hashret.results import Hit, Hits
from hashret.search.base import check_k, check_radius
from hashret.searching import Among, Labels


class _EngineWords(Words):
    """The part `words` for evaluation: BM25 of all documents, computed by the engine."""

    def __init__(self, engine: Engine, positions: np.ndarray, stop_terms: frozenset[str]) -> None:
        self.engine, self.positions, self.stop_terms = engine, positions, stop_terms

    def knows(self, terms: Sequence[str]) -> bool:
        """Whether a document has one of the terms."""
        return self.engine.run(lambda: self.engine.words(terms, self.stop_terms, 1).known_terms > 0)

    def scores(self, terms: Sequence[str]) -> tuple[np.ndarray, int]:
        """The BM25 of all documents, and how many of the terms they know."""
        found = self.engine.run(lambda: self.engine.words(terms, self.stop_terms, None))
        scores = np.zeros(len(self.positions))
        scores[np.searchsorted(self.positions, found.positions)] = found.scores
        return scores, found.known_terms


class RemoteSearching(RemoteReading):
    """Base class of `RemoteIndex`, for searching."""

    def search_by(self, name: str = "auto", threads: int | None = None, verify: bool = False) -> None:
        """Choose between the scan of all codes ("scan") and the approximate index of the address ("hnsw", "ivf").

        "auto" is the one that the address names.
        """
        if threads is not None or verify:
            raise UsageError(f"threads and verify are for an index in a folder; {self.engine.name} searches by itself")
        there = [APPROXIMATE[self.engine.name]] if self.engine.address.approximate else []
        if name not in ("auto", "scan", *there):
            raise UsageError(
                f"unknown searcher {name!r} of {self.name}; allowed: {', '.join(['auto', 'scan', *there])}"
            )
        self._approximate = bool(there) and name != "scan"

    def _answers(self, queries: Queries, k: int, among: Among, scoring: Scoring) -> list[Hits]:
        return self._answered_by(self._encode(queries), k, among, scoring, None)

    def _checked_parts(self, by: By, weights: Weights, usual: Sequence[str]) -> tuple[str, ...]:
        named = [by] if isinstance(by, str) else list(by if by is not None else (weights or ()))
        if "words" in named and not self.engine.has_words and self._parts.analyzer is not None:
            raise UsageError(
                f"{self.engine.name} does not score words; search by {' or '.join(self.parts)}, or keep the index in a "
                "folder or in PostgreSQL"
            )
        return super()._checked_parts(by, weights, usual)

    def _answered_by(
        self,
        encoded: EncodedQueries,
        k: int,
        among: Among,
        scoring: Scoring,
        own: Sequence[int] | None,
    ) -> list[Hits]:
        """Return the k best documents of each query by these parts."""

        def answer(number: int) -> tuple[Hits, bool]:
            selection = self._selection(among)
            question, code = encoded.question(number), encoded.codes[number]
            itself = None if own is None else own[number]
            if scoring.parts == ("codes",):
                near = self.engine.nearest(code.tobytes(), k, selection, itself, self._approximate)
                return self._near_hits(near), question.known
            return self._ranked_hits(question, code, k, selection, scoring, itself)

        each = [self.engine.run(partial(answer, number)) for number in range(len(encoded.codes))]
        return without_unknown([hits for hits, _ in each], [known for _, known in each])

    def _ranked_hits(
        self,
        question: Question,
        code: np.ndarray,
        k: int,
        selection: Selection,
        scoring: Scoring,
        own: int | None,
    ) -> tuple[Hits, bool]:
        """Return the k best of a short list by score, and whether the query is known."""
        by = scoring.parts
        only_words, short = by == ("words",), max(SHORT, PER_HIT * k)
        listed, complete, words = np.zeros(0, np.int64), True, None
        if not only_words:
            listed, complete = self._candidates(question, code, short, selection, own)
        if "words" in by and question.terms:
            words = self._words(question.terms, k if only_words else short, selection, own, listed.tolist())
            listed = np.union1d(listed, words.positions)
        ranked, found = self._rank(question, np.sort(listed), words, scoring)
        if not only_words:
            complete = complete and len(self._sample().positions) == self._count()
        ties = words.ties if only_words and words is not None else ranked.ties_at(k)
        distances = hamming(code[None], found.codes.codes[ranked.places[:k]])[0]
        known = question.known or (words is not None and words.known_terms > 0)
        return self._hits_of(ranked, k, distances, complete, ties), known

    def _candidates(
        self, question: Question, code: np.ndarray, count: int, selection: Selection, own: int | None
    ) -> tuple[np.ndarray, bool]:
        """Positions of the documents with the nearest codes, and whether these are all documents."""
        if not question.known:  # all codes are equally near
            listed = self.engine.first(count, selection, own)
            return listed, len(listed) < count
        near = self.engine.nearest(code.tobytes(), count, selection, own, self._approximate)
        return near.positions, near.exact and len(near.positions) < count

    def _words(
        self, terms: Sequence[str], limit: int | None, selection: Selection, own: int | None, among: Sequence[int]
    ) -> WordScores:
        assert self._parts.analyzer is not None
        return self.engine.words(terms, self._parts.analyzer.stop_terms, limit, selection, own, among)

    def _rank(
        self,
        question: Question,
        listed: np.ndarray,
        words: WordScores | None,
        scoring: Scoring,
    ) -> tuple[Ranked, Stored]:
        """Score documents at these positions, which are sorted."""
        by = scoring.parts
        found = self._stored(listed.tolist())
        known_terms = 0 if words is None else words.known_terms
        is_text = self._parts.analyzer is not None
        usual = default_weights(by, scoring.likeness and is_text, known_terms, self.hasher.vectorizer.pretrained)
        sample = self._sample() if set(by) - {"words"} else found
        return rank(question, found, sample, words, by, usual | dict(scoring.weights or {})), found

    def _sample(self) -> Stored:
        """Documents over which codes and vectors are standardized: all, or some at equal steps."""
        return self._cached("sample", self._draw_sample)

    def _draw_sample(self) -> Stored:
        if self._count() <= SAMPLE:
            return self._all()
        steps = np.linspace(0, self._state.next - 1, SAMPLE).astype(np.int64)
        columns = self.engine.columns(np.unique(steps).tolist())
        return Stored.of(columns, self.bits, self._parts.quantizer)

    def _hits_of(self, ranked: Ranked, k: int, distances: np.ndarray, exact: bool, ties: int) -> Hits:
        records = self.engine.records(ranked.positions[:k].tolist())
        hits = [
            Hit(
                self._restore(record),
                int(distances[place]),
                place + 1,
                float(ranked.scores[place]),
                {name: float(raw[place]) for name, raw in ranked.parts.items()},
            )
            for place, record in enumerate(records)
        ]
        return Hits(hits, exact, self.engine.name, ties)

    def _near_hits(self, near: Near) -> Hits:
        records = self.engine.records(near.positions.tolist())
        each = zip(records, near.distances.tolist(), strict=True)
        hits = [Hit(self._restore(record), distance, place) for place, (record, distance) in enumerate(each, 1)]
        name = self.engine.name if near.exact else f"{self.engine.name} {APPROXIMATE[self.engine.name]}"
        return Hits(hits, near.exact, name, near.ties)

    def _selection(self, among: Among) -> Selection:
        """Return the documents to search. Raises DataError for an unknown label, UsageError for a wrong filter."""
        labels, where = among
        self._check_labels(labels)
        if where is None:
            return Selection(labels)
        kinds = self._cached("kinds", self.engine.kinds)
        expression = parse(where)
        check(expression, kinds)
        return Selection(labels, expression)

    def _check_labels(self, labels: Sequence[str]) -> None:
        """Raise DataError for a label that no document has."""
        self._current()
        for label in labels:
            if not self.engine.has_label(label):
                known = self.engine.label_names(11)
                listed = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "") if known else "none"
                raise DataError(f"no document has the label {label!r}; existing labels: {listed}")

    def search_codes(self, codes: Codes, k: int = 10, labels: Labels = (), *, where: str | None = None) -> list[Hits]:
        """Return the k nearest documents of each code."""
        encoded = EncodedQueries(check_codes(codes, self.bits, "queries"))
        return self._answered_by(encoded, check_k(k), (as_labels(labels), where), Scoring(("codes",)), None)

    def within_codes(self, codes: Codes, radius: int, labels: Labels = (), *, where: str | None = None) -> list[Hits]:
        """Return all documents within a Hamming distance of each code."""
        encoded = EncodedQueries(check_codes(codes, self.bits, "queries"))
        return self._within(encoded, radius, (as_labels(labels), where))

    def _all_within(self, queries: Queries, radius: int, among: Among) -> list[Hits]:
        encoded = self._encode(queries)
        return self._answered(encoded, self._within(encoded, radius, among))

    def _within(
        self, encoded: EncodedQueries, radius: int, among: Among, own: Sequence[int] | None = None
    ) -> list[Hits]:
        radius = min(check_radius(radius), self.bits)
        parts = tuple(name for name in self.parts if own is None or name != "words")
        scoring = Scoring(parts, likeness=own is not None)

        def answer(number: int) -> Hits:
            selection = self._selection(among)
            itself = None if own is None else own[number]
            near = self.engine.within(encoded.codes[number].tobytes(), radius, selection, itself)
            if encoded.margins is not None and len(near.positions) and len(parts) > 1:
                near = self._by_score(near, encoded.question(number), scoring)
            return self._near_hits(near)

        return [self.engine.run(partial(answer, number)) for number in range(len(encoded.codes))]

    def _by_score(self, near: Near, question: Question, scoring: Scoring) -> Near:
        """Sort documents at equal distances by score."""
        words = None
        if "words" in scoring.parts and question.terms:
            words = self._words(question.terms, 0, EVERYTHING, None, near.positions.tolist())
        listed = np.sort(near.positions)
        ranked, _ = self._rank(question, listed, words, scoring)
        scores = np.zeros(len(listed))
        scores[ranked.places] = ranked.scores
        order = np.lexsort((near.positions, -scores[np.searchsorted(listed, near.positions)], near.distances))
        return Near(near.positions[order], near.distances[order], near.exact, near.ties)

    def _like(self, ids: list[str], k: int, among: Among, radius: int | None, scoring: Scoring) -> list[Hits]:
        def read() -> tuple[list[int], EncodedQueries]:
            positions = self._positions(ids)
            stored = self._stored(positions)
            vectors = None if stored.vectors is None else stored.vectors.vectors
            return positions, self._as_queries(stored.codes.codes, vectors, self.engine.records(positions))

        positions, encoded = self.engine.run(read)
        if radius is not None:
            return self._answered(encoded, self._within(encoded, radius, among, positions))
        return self._answered_by(encoded, k, among, scoring, positions)

    @property
    def _ranking(self) -> Ranking:
        """All codes and vectors, for evaluation and `scores`."""

        def ranking() -> Ranking:
            self._current()
            return self._cached("ranking", self._make_ranking)

        return self.engine.run(ranking)

    def _make_ranking(self) -> Ranking:
        stored = self._all()
        words = None
        if self._parts.analyzer is not None and self.engine.has_words:
            words = _EngineWords(self.engine, stored.positions, self._parts.analyzer.stop_terms)
        return Ranking(stored.codes, stored.vectors, words, self.hasher.vectorizer.pretrained)
