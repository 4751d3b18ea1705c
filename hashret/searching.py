"""The part of `Index` that searches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import overload

import numpy as np

from hashret.codes import Codes, hamming, unpack
from hashret.documents import as_ids, as_labels
from hashret.errors import CorruptIndex, DataError, UsageError
from hashret.features import Vectors
from hashret.queries import EncodedQueries, Queries, Query, encode_queries, is_one_query, without_unknown
from hashret.ranking import Codes as CodePart
from hashret.ranking import Originals, QuantizedVectors, Question, Ranking, Scored, Scoring, Words, checked_parts
from hashret.ranking.score import OVERSAMPLE, By, Weights
from hashret.reading import Reading
from hashret.results import Hit, Hits
from hashret.search import Neighbors, Searcher, searcher
from hashret.search.base import check_k
from hashret.snapshot import Made, become, on_snapshot, snapshot
from hashret.snippets import Snippet, snippet
from hashret.store import Record

Labels = str | Iterable[str]
Among = tuple[tuple[str, ...], str | None]  # labels and filter of the documents to search
KEPT = 8  # filters whose documents are cached


class Searching(Reading):
    """Base class of `hashret.Index`, for reading and searching."""

    def search_by(self, name: str = "auto", threads: int | None = None, verify: bool = False) -> None:
        """Set the searcher for later queries.

        Args:
            name: Name of the searcher, one of `hashret.search.SEARCHERS`. "auto" chooses between scan and multi_index.
            threads: Number of threads; by default one for few queries and all cores for many.
            verify: Compare each result with a full scan, and raise HashretError if they differ.

        Raises:
            UsageError: The name is unknown, or the searcher does not support codes of this length.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> index.search_by("scan", threads=1)
        """
        way = {"name": name, "threads": threads, "verify": verify}
        while True:
            own = snapshot(self)
            made = Made(searcher=searcher(own.codes, own.bits, **way))  # type: ignore[arg-type]
            if become(self, {"_way": way, "_made": made}, lambda now, own=own: now.store is own.store):  # type: ignore[misc]
                return  # otherwise another thread changed the index: try again

    @overload
    def search(  # type: ignore[overload-overlap]  # a str is an iterable of str, and yet one query
        self,
        queries: Query,
        k: int = 10,
        labels: Labels = (),
        *,
        where: str | None = None,
        by: By = None,
        weights: Weights = None,
        oversample: int | None = None,
    ) -> Hits: ...

    @overload
    def search(
        self,
        queries: Iterable[Query],
        k: int = 10,
        labels: Labels = (),
        *,
        where: str | None = None,
        by: By = None,
        weights: Weights = None,
        oversample: int | None = None,
    ) -> list[Hits]: ...

    def search(
        self,
        queries: Queries,
        k: int = 10,
        labels: Labels = (),
        *,
        where: str | None = None,
        by: By = None,
        weights: Weights = None,
        oversample: int | None = None,
    ) -> Hits | list[Hits]:
        """Return the k best documents for a query, or a list with one result per query.

        For a text query, documents are scored by words (BM25), codes and vectors. For images and vectors, they are
        scored by codes and vectors. See `hashret.ranking.score` for the formula. All documents are scored, so the
        results are exact, and results for k are a prefix of those for k + 1.

        Args:
            queries: A query or several. A query is a text, an image (path or array), a vector or a Document, of the
                same type as the documents of the index. An index of images whose model reads texts takes texts too.
            k: Number of documents per query.
            labels: Search only documents that have one of these labels. Scores do not depend on it.
            where: Search only documents for which this filter holds, a condition over the fields of the metadata, `id`
                and `label`, such as "year >= 1871 and author = 'Darwin'". A comparison with a missing value is false.
                Scores do not depend on it.
            by: The parts to score by: "words", "codes", "vectors", or several. By "codes" alone documents are sorted
                by Hamming distance.
            weights: Weights of parts, in place of the default ones.
            oversample: If the index stores original features (see `rescore` in `create`), the number of documents with
                the best scores whose vectors are compared again by these, 100 by default; 0 for none. They are chosen
                before `labels`. The hits are then not `exact`, unless all documents are compared again.

        Returns:
            Hits for one query, a list of Hits for several. If no word of a text occurs in the index, its Hits are empty
            and a warning is logged.

        Raises:
            DataError: A query has another type than the index, or no document has one of the labels.
            UsageError: `k` is not an integer of at least 1, the index does not have a part in `by`, a weight is
                negative, or `oversample` is set and the index stores no original features.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> hits = index.search("wheat was dear", k=1)
            >>> hits[0].id, sorted(hits[0].parts)
            ('1', ['codes', 'vectors', 'words'])
            >>> index.search("wheat was dear", k=1, by="codes")[0].distance
            0
            >>> len(index.search(["the harvest", "wheat"], k=2))
            2
        """
        scoring = self._scoring(by, weights, oversample)
        answers = self._answers(queries, check_k(k), (as_labels(labels), where), scoring)
        return answers[0] if is_one_query(queries, self.hasher.document_type) else answers

    @on_snapshot
    def _answers(self, queries: Queries, k: int, among: Among, scoring: Scoring) -> list[Hits]:
        """Return one Hits per query."""
        encoded = self._encode(queries)
        if scoring.parts == ("codes",):
            return self._answered(encoded, self._search(encoded, k, among))
        return self._ranked(encoded, k, among, scoring)

    def _scoring(
        self,
        by: By,
        weights: Weights,
        oversample: int | None = None,
        likeness: bool = False,
        usual: Sequence[str] | None = None,
    ) -> Scoring:
        """Check how to score; the parts are by default `usual`, or else all parts of the index."""
        parts = self._checked_parts(by, weights, usual or self.parts)
        there = self._parts.original is not None and "vectors" in parts
        if oversample is None:
            oversample = OVERSAMPLE if there else 0
        if isinstance(oversample, bool) or not isinstance(oversample, int) or oversample < 0:
            raise UsageError(f"oversample must be an integer of at least 0, got {oversample!r}")
        if oversample and not there:
            what = "the index stores no original features" if "vectors" in parts else "by does not contain vectors"
            raise UsageError(f"oversample needs the original features of vectors, but {what}; leave it out")
        return Scoring(parts, weights, likeness, oversample)

    def _checked_parts(self, by: By, weights: Weights, usual: Sequence[str]) -> tuple[str, ...]:
        return checked_parts(by, weights, self.parts, usual)

    @on_snapshot
    def scores(
        self,
        query: Query,
        *,
        by: By = None,
        weights: Weights = None,
        likeness: bool = False,
        oversample: int | None = None,
    ) -> Scored:
        """Score all documents for one query, as `search` does.

        Args:
            query: A text, image, vector or Document.
            by, weights, oversample: As for `search`.
            likeness: Use the weights of `like` for a text.

        Returns:
            An object with `scores`, float64 [n] in order of insertion, and `parts`, the raw values [n] of each part.
            If no word of the query is known, all scores are 0.

        Example:
            >>> index = hashret.Index.create("indexes/pair", ["the harvest of that year", "wheat was dear"], bits=16)
            >>> int(index.scores("wheat was dear").scores.argmax())
            1
        """
        scoring = self._scoring(by, weights, oversample, likeness)
        return self._scored(self._encode([query]).question(0), scoring)

    @property
    def _ranking(self) -> Ranking:
        """The parts of all documents, for ranking."""
        return self._made.get("ranking", self._make_ranking)

    def snippet(self, hit: Hit, query: str) -> Snippet:
        """Return an excerpt of a hit's text that contains words of the query.

        The result has `text`, the excerpt, and `marks`, the positions (start, stop) of the words in it.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> index.snippet(index.search("wheat", k=1)[0], "wheat")
            Snippet(text='wheat was dear', marks=[(0, 5)])
        """
        return self.snippets([hit], query)[0]

    def snippets(self, hits: Iterable[Hit], query: str) -> list[Snippet]:
        """Return an excerpt for each hit of a query, as `snippet` does.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> len(index.snippets(index.search("wheat", k=2), "wheat"))
            2
        """
        analyzer = self._parts.analyzer
        terms = [] if analyzer is None else analyzer.query(query)
        found, plain = list[Snippet](), dict[str, frozenset[str]]()
        for hit in hits:
            text, title = hit.document.content, hit.metadata.get("title")
            if analyzer is None or not isinstance(text, str):
                found.append(Snippet("", []))
            else:
                title = title if isinstance(title, str) else ""
                found.append(snippet(text, terms, analyzer, title, plain=plain))
        return found

    def _make_ranking(self) -> Ranking:
        self._check_open()
        vectors, live = self._vectors, ~self.store.deleted
        words = None
        if self._parts.analyzer is not None:
            fields = [self.store.fields(name) for name in ("words", "titles")]
            words = Words(fields[0], fields[1], live, self._parts.analyzer.stop_terms)
        made = None
        if self._parts.quantizer is not None and vectors is not None:
            originals = None
            if self._parts.original is not None:
                rows, store = self._rows, self.store
                originals = Originals(self._parts.original, lambda positions: store.originals(rows[positions]))
            vectors = vectors if live.all() else vectors.take(live)
            made = QuantizedVectors(vectors, self._parts.quantizer, originals)
        return Ranking(CodePart(self.codes, self.bits), made, words, self.hasher.vectorizer.pretrained)

    @property
    def _vectors(self) -> Vectors | None:
        """The vectors of all rows, including deleted rows."""
        return self._made.get("vectors", self.store.vectors)

    def _ranked(
        self,
        encoded: EncodedQueries,
        k: int,
        among: Among,
        scoring: Scoring,
        own: Sequence[int] | None = None,
    ) -> list[Hits]:
        """Return the k best documents of each query by score. `own` [m] are rows to exclude, one per query."""
        rows, chosen, answers, known = self._rows, self._chosen(among), [], []
        for number in range(len(encoded.codes)):
            question = encoded.question(number)
            scored = self._scored(question, scoring)
            allowed = chosen
            if own is not None:
                allowed = np.ones(len(rows), bool) if chosen is None else chosen.copy()
                allowed[np.searchsorted(rows, own[number])] = False
            positions, ties = scored.top(k, allowed)
            distances = hamming(encoded.codes[number : number + 1], self.codes[positions])[0]
            each = zip(positions.tolist(), distances.tolist(), strict=True)
            hits = [
                Hit(
                    self._document(int(rows[position])),
                    distance,
                    rank,
                    float(scored.scores[position]),
                    {name: float(raw[position]) for name, raw in scored.parts.items()},
                )
                for rank, (position, distance) in enumerate(each, 1)
            ]
            terms = question.terms if "words" in scoring.parts else ()
            answers.append(Hits(hits, scored.exact, "ranking", ties, terms, self.language))
            known.append(question.known or (scored.known_terms > 0 and "words" in scoring.parts))
        return without_unknown(answers, known)

    def _scored(self, question: Question, scoring: Scoring) -> Scored:
        """Return the scores of all documents for a query. Raises CorruptIndex if postings are damaged."""
        try:
            return self._ranking.scores(question, scoring)
        except ValueError as error:
            raise CorruptIndex(f"index {self.name!r} is damaged: {error}", path=self.name) from error

    def _answered(self, encoded: EncodedQueries, answers: list[Hits]) -> list[Hits]:
        """Replace the results of unknown queries by empty ones."""
        known = [True] * len(answers) if encoded.known is None else encoded.known.tolist()
        return without_unknown(answers, known)

    @on_snapshot
    def search_codes(self, codes: Codes, k: int = 10, labels: Labels = (), *, where: str | None = None) -> list[Hits]:
        """Return the k nearest documents of each code by Hamming distance.

        Args:
            codes: uint8 [m, ceil(bits / 8)], as `encode` returns them.
            k: Number of documents per code.
            labels, where: As for `search`.

        Example:
            >>> index = hashret.Index.create("indexes/two", ["the harvest of that year", "wheat was dear"], bits=16)
            >>> [hits] = index.search_codes(index.encode("wheat was dear"), k=1)
            >>> hits[0].distance
            0
        """
        return self._search(EncodedQueries(codes), k, (as_labels(labels), where))

    @overload
    def within(  # type: ignore[overload-overlap]
        self, queries: Query, radius: int, labels: Labels = (), *, where: str | None = None
    ) -> Hits: ...

    @overload
    def within(
        self, queries: Iterable[Query], radius: int, labels: Labels = (), *, where: str | None = None
    ) -> list[Hits]: ...

    def within(
        self, queries: Queries, radius: int, labels: Labels = (), *, where: str | None = None
    ) -> Hits | list[Hits]:
        """Return all documents whose codes differ from the query's in at most `radius` bits, nearest first.

        Documents at the same distance are sorted by score. For the other arguments and errors, see `search`.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> len(index.within("wheat was dear", radius=16))
            2
        """
        answers = self._all_within(queries, radius, (as_labels(labels), where))
        return answers[0] if is_one_query(queries, self.hasher.document_type) else answers

    @on_snapshot
    def _all_within(self, queries: Queries, radius: int, among: Among) -> list[Hits]:
        encoded = self._encode(queries)
        return self._answered(encoded, self._within(encoded, radius, among))

    @on_snapshot
    def within_codes(self, codes: Codes, radius: int, labels: Labels = (), *, where: str | None = None) -> list[Hits]:
        """Return all documents whose codes differ in at most `radius` bits, per code, uint8 [m, ceil(bits / 8)]."""
        return self._within(EncodedQueries(codes), radius, (as_labels(labels), where))

    @overload
    def like(  # type: ignore[overload-overlap]
        self,
        ids: str,
        k: int = 10,
        labels: Labels = (),
        radius: int | None = None,
        *,
        where: str | None = None,
        by: By = None,
        weights: Weights = None,
        oversample: int | None = None,
    ) -> Hits: ...

    @overload
    def like(
        self,
        ids: Sequence[str],
        k: int = 10,
        labels: Labels = (),
        radius: int | None = None,
        *,
        where: str | None = None,
        by: By = None,
        weights: Weights = None,
        oversample: int | None = None,
    ) -> list[Hits]: ...

    def like(
        self,
        ids: str | Sequence[str],
        k: int = 10,
        labels: Labels = (),
        radius: int | None = None,
        *,
        where: str | None = None,
        by: By = None,
        weights: Weights = None,
        oversample: int | None = None,
    ) -> Hits | list[Hits]:
        """Return the k documents most similar to a stored document, excluding the document itself.

        Documents are scored by codes and vectors.

        Args:
            ids: The id of a stored document, or a list of ids.
            k: Number of documents per id.
            labels, where: As for `search`.
            radius: Return all documents within this Hamming distance instead of the k best.
            by, weights, oversample: As for `search`. The stored text or thumbnail is encoded again to score it.

        Returns:
            Hits for one id, a list of Hits for several.

        Raises:
            UnknownId: No document has this id.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> [hit.id for hit in index.like("0", k=5)]
            ['1']
        """
        usual = [name for name in self.parts if name != "words"]
        scoring = self._scoring(by, weights, oversample, True, usual)
        if radius is not None and (by is not None or weights is not None) and scoring.parts != ("codes",):
            raise UsageError("radius cannot be combined with by or weights, because it is a Hamming distance of codes")
        answers = self._like(as_ids(ids), check_k(k), (as_labels(labels), where), radius, scoring)
        return answers[0] if isinstance(ids, str) else answers

    @on_snapshot
    def _like(self, ids: list[str], k: int, among: Among, radius: int | None, scoring: Scoring) -> list[Hits]:
        """Return one Hits per id."""
        rows = [self._row(id) for id in ids]
        encoded = self._stored_as_queries(rows)
        if radius is not None:
            return self._answered(encoded, self._within(encoded, radius, among, rows))
        if scoring.parts == ("codes",):
            return self._answered(encoded, self._search(encoded, k, among, rows))
        return self._ranked(encoded, k, among, scoring, rows)

    def _search(self, encoded: EncodedQueries, k: int, among: Among, own: Sequence[int] | None = None) -> list[Hits]:
        """Return the k nearest documents of each query by codes. `own` [m] are rows to exclude, one per query."""
        searcher, rows = self._searched(among)
        found = searcher.search(encoded.codes, check_k(k) + (own is not None))
        assert found.ties_at_k is not None
        answers = []
        for number, ties in enumerate(found.ties_at_k.tolist()):
            here = rows[found.positions[number]]
            itself = -1 if own is None else own[number]
            kept = np.flatnonzero(here != itself)[:k]
            if own is not None and len(kept) and _holds(rows, itself):
                # do not count the excluded document among the ties; if it is not listed, it ties at the k-th distance
                there = np.flatnonzero(here == itself)
                last = found.distances[number, kept[-1]]
                ties -= not len(there) or bool(found.distances[number, there[0]] == last)
            elif own is not None and k < len(here):  # excluded by the labels, so one result too many was requested
                again = searcher.search(encoded.codes[number : number + 1], k).ties_at_k
                assert again is not None
                ties = int(again[0])
            answers.append(self._hits(here[kept], found.distances[number, kept], found, ties if len(kept) else 0))
        return answers

    def _within(
        self, encoded: EncodedQueries, radius: int, among: Among, own: Sequence[int] | None = None
    ) -> list[Hits]:
        """Return all documents within the radius of each query, sorted by distance, then by score of all parts."""
        searcher, rows = self._searched(among)
        found = searcher.within(encoded.codes, radius)
        assert found.offsets is not None
        by = tuple(name for name in self.parts if own is None or name != "words")
        scoring = Scoring(by, likeness=own is not None)
        answers = []
        for number, (start, stop) in enumerate(pairwise(found.offsets.tolist())):
            here, distances = rows[found.positions[start:stop]], found.distances[start:stop]
            if encoded.margins is not None and len(here) and len(by) > 1:
                scored = self._scored(encoded.question(number), scoring)
                order = np.lexsort((here, -scored.scores[np.searchsorted(self._rows, here)], distances))
                here, distances = here[order], distances[order]
            kept = here != (-1 if own is None else own[number])
            answers.append(self._hits(here[kept], distances[kept], found, None))
        return answers

    def encode(self, queries: Queries) -> Codes:
        """Return the codes of queries, uint8 [m, ceil(bits / 8)].

        Raises:
            DataError: A query has another type than the index.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> index.encode(["the harvest", "wheat"]).shape
            (2, 2)
        """
        return self._encode(queries).codes

    def _encode(self, queries: Queries) -> EncodedQueries:
        """Encode queries for search and ranking."""
        return encode_queries(self.hasher, self._parts, queries)

    def _stored_as_queries(self, rows: Sequence[int]) -> EncodedQueries:
        """Convert stored documents to queries."""
        codes = self.codes[np.searchsorted(self._rows, rows)]
        vectors = self._vectors if self.hasher.vectorizer.pretrained else None
        vectors = None if vectors is None else vectors.take(np.array(rows, np.int64))
        return self._as_queries(codes, vectors, [self.store.record(row) for row in rows])

    def _as_queries(self, codes: Codes, vectors: Vectors | None, records: Sequence[Record]) -> EncodedQueries:
        """Convert stored documents to queries. Codes are the stored ones; the rest is encoded again."""
        if self.hasher.vectorizer.pretrained:
            margins = np.where(unpack(codes, self.bits), 1, -1).astype(np.float32)
            features = known = None
            if vectors is not None and self._parts.quantizer is not None:
                features, known = self._parts.quantizer.features(vectors), vectors.norms > 0
            terms: list[list[str]] = []
            if self._parts.analyzer is not None:
                terms = [self._parts.analyzer.query(record.content) for record in records]
            return EncodedQueries(codes, margins, features, terms, known)
        encoded = self._encode([self._restore(record, small=True) for record in records])
        return EncodedQueries(codes, encoded.margins, encoded.features, encoded.terms, encoded.known)

    def _labelled(self, labels: Sequence[str]) -> np.ndarray | None:
        """Return the mask of documents with one of the labels, bool [n], or None if no labels are given."""
        self._check_open()
        if not labels or not len(self._rows):
            return None
        here = self.labels
        if unknown := [label for label in labels if not any(label in own for own in here)]:
            known = sorted({label for own in here for label in own})
            listed = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "") if known else "none"
            raise DataError(f"no document has the label {unknown[0]!r}; existing labels: {listed}")
        return np.array([any(label in labels for label in own) for own in here])

    def _chosen(self, among: Among) -> np.ndarray | None:
        """Return the mask of documents to search, bool [n], or None for all."""
        labels, where = among
        mask = self._labelled(labels)
        if where is None:
            return mask
        held = self._filters(where)
        return held if mask is None else held & mask

    @property
    def _filters(self) -> Callable[[str], np.ndarray]:
        """Returns the mask of documents for which a filter holds, bool [n]. Some are cached."""
        return self._made.get("filters", lambda: lru_cache(KEPT)(self._matching))

    def _matching(self, where: str) -> np.ndarray:
        from hashret.filters import matching, parse

        self._check_open()
        store = self.store
        return matching(parse(where), store.kinds(), store.columns, len(store.deleted))[~store.deleted]

    def _searched(self, among: Among) -> tuple[Searcher, np.ndarray]:
        """Return a searcher over the documents to search, and their rows."""
        if among == ((), None):
            return self._made.get("searcher", lambda: searcher(self.codes, self.bits, **self._way)), self._rows
        return self._made.get("searchers", lambda: lru_cache(KEPT)(self._searcher_of))(*among)

    def _searcher_of(self, labels: tuple[str, ...], where: str | None) -> tuple[Searcher, np.ndarray]:
        chosen, rows = self._chosen((labels, where)), self._rows
        if chosen is None:
            return searcher(self.codes, self.bits, **self._way), rows
        return searcher(self.codes[chosen], self.bits, **self._way), rows[chosen]

    def _hits(self, rows: np.ndarray, distances: np.ndarray, found: Neighbors, ties: int | None) -> Hits:
        """Return the Hits of one query, from rows in order of distance."""
        each = zip(rows.tolist(), distances.tolist(), strict=True)
        hits = [Hit(self._document(row), distance, rank) for rank, (row, distance) in enumerate(each, 1)]
        return Hits(hits, found.exact, found.searcher, ties)


def _holds(rows: np.ndarray, row: int) -> bool:
    """Whether sorted rows contain a row."""
    place = int(np.searchsorted(rows, row))
    return place < len(rows) and int(rows[place]) == row
