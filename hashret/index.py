"""Index: documents on disk, found by the distance of their codes. The main path: read it top down.

index = Index.create("indexes/news", documents, bits=64)     # learn a hasher, encode, store
index.search("a text", k=10)                                 # encode, search, read the hits
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np

from hashret.analyzer import checked_language
from hashret.codes import Codes, group, hamming, unpack
from hashret.documents import Document, Documents, Records, as_id, as_ids, as_labels, batches, bytes_of
from hashret.errors import CorruptIndex, DataError, HashretError, StoreError, UnknownId, UsageError
from hashret.features import Vectors
from hashret.hasher import BATCH, Hasher
from hashret.ingest import append, as_document, as_record, changed, describe, each_once, expected, gone, placed, select
from hashret.parts import Parts, Sample
from hashret.progress import track
from hashret.quantizer import Quantizer, checked_kind
from hashret.queries import EncodedQueries, Queries, Query, encode_queries, is_one_query, without_unknown
from hashret.ranking import Codes as CodePart
from hashret.ranking import QuantizedVectors, Question, Ranking, Scored, Words, checked_parts
from hashret.ranking.score import By, Weights
from hashret.readers import as_source
from hashret.readers.base import Fields, Source, Stamped
from hashret.results import Hit, Hits
from hashret.search import Neighbors, Searcher, searcher
from hashret.search.base import check_k
from hashret.snapshot import Made, become, on_snapshot, snapshot
from hashret.snippets import Snippet, snippet
from hashret.store import Derived, Record, Store, Transaction
from hashret.store.manifest import Manifest
from hashret.store.reader import resolved

if TYPE_CHECKING:
    from hashret.store.check import Problem
    from hashret.store.repair import Repaired


BATCH_BYTES = 16 << 20  # of documents held at once while they are encoded

ENOUGH_WORDS, UNSEEN = 1000, 0.1  # words added, and the share of unseen ones beyond that of the fit, to suggest a refit

Labels = str | Iterable[str]

log = logging.getLogger("hashret")


class Index:
    """An open index. Make one with `create`, open one with `open`; usable in a `with` statement.

    Example:
        >>> texts = ["wheat was dear", "the harvest of that year", "a ship sailed north"]
        >>> with hashret.Index.create("indexes/texts", texts, bits=16) as index:
        ...     index.add([hashret.Document("note", "the wheat of that year", ("1873",))])
        ...     print(index.search("wheat was dear", k=1)[0].id)
        ...     print(index["note"].labels, "note" in index, len(index))
        ...     index.delete("note")
        1
        0
        ('1873',) True 4
        1
    """

    def __init__(self, store: Store, hasher: Hasher, parts: Parts) -> None:
        self.store = store
        self.hasher = hasher
        self._parts = parts
        self._made = Made()
        self._way: dict[str, Any] = {}

    @classmethod
    def create(
        cls,
        path: str | Path,
        documents: Source | Documents | Records,
        *,
        bits: int | Literal["auto"] | None = None,
        encoder: str | None = None,
        vectorizer: str | None = None,
        seed: int | None = None,
        device: str | None = None,
        options: Mapping[str, Any] | None = None,
        hasher: Hasher | None = None,
        vectors: int | str | None = "auto",
        language: str = "auto",
        force: bool = False,
        id: str | None = None,
        text: str | Sequence[str] | None = None,
        label: str | None = None,
    ) -> Self:
        """Learn a hasher from documents (or take one that is fitted), encode them and store everything in a folder.

        Args:
            path: The folder of the index. It is locked from the beginning: nobody else creates or changes an index
                there meanwhile.
            documents: A path of files, a source, a data frame, an array, or a collection of documents, texts,
                mappings, image paths or arrays.
            bits: Length of the codes, 1 to 4096, or "auto": as many as the documents need. 64 by default.
            encoder: Name of the encoder, of `hashret.encoders.ENCODERS`.
            vectorizer: Name of the vectorizer, of `hashret.vectorizers.VECTORIZERS`.
            seed: Seed of all randomness, 0 by default.
            device: "auto", "cpu" or "cuda".
            options: Options of the encoder, the vectorizer and the schedule by name.
            hasher: A fitted hasher; then nothing is learned.
            vectors: What the part `vectors` of a document is: a number of bytes, "auto" (16), "int8" (a byte a
                dimension), "float" (4 bytes a dimension), or None to leave it out.
            language: Language of the texts, for stemming; "none" does not stem; "auto" detects it.
            force: Replace an index that is there. It serves until the new one is complete.
            id, text, label: Names of the fields of records, where they are not the usual ones. The label "folder" is
                the name of the folder that holds a file.

        Raises:
            IndexExists: There is an index already, and `force` is not set.
            UsageError: An argument is wrong, or the folder holds other files.
            IndexLocked: Another process creates or changes an index there.
            DataError: There are no documents, or some cannot be used.

        Example:
            >>> index = hashret.Index.create("indexes/mine", ["the harvest of that year", "wheat was dear"], bits=16)
            >>> len(index)
            2
        """
        fit = _given(
            bits=bits, encoder=encoder, vectorizer=vectorizer, seed=seed, device=device, options=options or None
        )
        if hasher is not None and fit:
            raise UsageError(f"a fitted hasher was given, so nothing is learned: leave out {', '.join(fit)}")
        kind, language = checked_kind(vectors), language if language == "auto" else checked_language(language)
        store = Store.new(path, force)
        source = as_source(documents, **_given(id=id, text=text, label=label)).without(store.path)
        with store.write() as change:
            sample = Sample()
            read = sample.drawn_from(each_once(source))
            hasher = hasher or Hasher.fit(read, **fit)
            for _ in read:  # what is left, if nothing was learned
                pass
            parts = Parts.fit(hasher, sample.documents, kind, language)
            about = describe(source, hasher) | parts.about()
            change.start_over(hasher.bits, hasher.fingerprint, about, hasher.files() | parts.files())
            index = cls(store, hasher, parts)
            added, _ = index._take_in(change, source, "refuse")
            if not added:
                raise DataError("no documents to index; give a source that holds some")
        return index

    @classmethod
    def open(cls, path: str | Path, *, search: str = "auto", threads: int | None = None) -> Self:
        """Open an index.

        Args:
            path: The folder of the index.
            search: How codes are searched, of `hashret.search.SEARCHERS`; see `search_by`.
            threads: Threads to search with; by default one for few queries and all cores for many.

        Raises:
            IndexNotFound: There is no index at the path.
            CorruptIndex: A file of it is damaged or missing.
            FormatTooNew: A newer version of hashret wrote it.

        Example:
            >>> with hashret.Index.open("indexes/mine") as index:
            ...     print(index)
            Index('indexes/mine', 2 documents, 16 bits)
        """
        store, hasher = _opened(Path(path))
        if hasher.bits != store.manifest.bits:
            words = f"index {str(path)!r} has codes of {store.manifest.bits} bits, its hasher {hasher.bits}"
            raise CorruptIndex(words, path=str(path))
        index = cls(store, hasher, _parts_of(store, hasher))
        if (search, threads) != ("auto", None):
            index.search_by(search, threads)
        return index

    def __repr__(self) -> str:
        what = "closed" if self.store.closed else f"{len(self):,} documents, {self.bits} bits"
        return f"{type(self).__name__}({self.store.name!r}, {what})"

    def __contains__(self, id: object) -> bool:
        return self.store.find(as_id(id)) is not None

    def __getitem__(self, id: str) -> Document:
        """The document with this id; raises UnknownId if there is none."""
        return self.document(id)

    def __iter__(self) -> Iterator[Document]:
        """All documents, in order of insertion."""
        return self.documents()

    @property
    def path(self) -> Path:
        """The absolute path of the folder."""
        return self.store.path

    @property
    def bits(self) -> int:
        """Length of the codes."""
        return self.hasher.bits

    @property
    def fields(self) -> Fields:
        """The field names that documents were read with, and that `add` uses."""
        return Fields.from_json(self.store.manifest.about.get("fields") or {})

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of its documents that the index ranks by: "words", "codes", "vectors".

        Example:
            >>> hashret.Index.create("indexes/few", ["the harvest of that year", "wheat was dear"], bits=16).parts
            ('words', 'codes', 'vectors')
        """
        there = {"words": self._parts.analyzer, "codes": True, "vectors": self._parts.quantizer}
        return tuple(name for name, part in there.items() if part is not None)

    @property
    def language(self) -> str | None:
        """The language of its texts, "none" if words are not stemmed; None if it holds no texts."""
        return None if self._parts.analyzer is None else self._parts.analyzer.language

    @on_snapshot
    def __len__(self) -> int:
        return len(self.store.deleted) - int(self.store.deleted.sum())

    @property
    def _rows(self) -> np.ndarray:
        """Rows of the store that are not deleted: position -> row."""
        return np.flatnonzero(~self.store.deleted)

    @property
    @on_snapshot
    def ids(self) -> list[str]:
        """All ids, in order of insertion."""
        ids = self.store.ids()
        return [ids[row] for row in self._rows]

    @property
    @on_snapshot
    def labels(self) -> list[tuple[str, ...]]:
        """Each document's labels, in order of insertion."""
        labels = self.store.labels()
        return [labels[row] for row in self._rows]

    @property
    @on_snapshot
    def codes(self) -> Codes:
        """All codes, uint8 [n, ceil(bits / 8)], in order of insertion."""
        return self._made.get("codes", self._read_codes)

    def _read_codes(self) -> Codes:
        codes = self.store.codes()
        return codes[~self.store.deleted] if self.store.deleted.any() else codes

    # Searching

    def search_by(self, name: str = "auto", threads: int | None = None, verify: bool = False) -> None:
        """Choose how later calls search.

        Args:
            name: Name of the searcher, of `hashret.search.SEARCHERS`; "auto" chooses by the codes.
            threads: Number of threads; by default one for few queries and all cores for many.
            verify: Compare each answer with a full scan, and raise an error if they differ.

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
                return  # otherwise another thread has changed the index

    @overload
    def search(  # type: ignore[overload-overlap]  # a str is an iterable of str, and yet one query
        self, queries: Query, k: int = 10, labels: Labels = (), *, by: By = None, weights: Weights = None
    ) -> Hits: ...
    @overload
    def search(
        self, queries: Iterable[Query], k: int = 10, labels: Labels = (), *, by: By = None, weights: Weights = None
    ) -> list[Hits]: ...
    def search(
        self, queries: Queries, k: int = 10, labels: Labels = (), *, by: By = None, weights: Weights = None
    ) -> Hits | list[Hits]:
        """Return the k best documents for a query, or a list with one result per query.

        A text is a question: documents are scored by their words (BM25), codes and vectors. Images and vectors are
        scored by codes and vectors. `hashret.ranking.score` has the formula. Every document is scored, so the k best
        are exact, and the first of any longer list.

        Args:
            queries: A query or several. A query is a text, an image (path or array), a vector or a Document, of the
                same type as the documents of the index.
            k: Number of documents per query.
            labels: Search only documents that have one of these labels. Scores do not depend on it.
            by: The parts to score by: "words", "codes", "vectors", or several. By "codes" alone documents are sorted
                by Hamming distance.
            weights: Weights of parts, in place of the default ones.

        Returns:
            Hits for one query, a list of Hits for several. Hits are empty, and a warning is logged, for a text that
            has no word that occurs in the index.

        Raises:
            DataError: A query is of another type, or no document has one of the labels.
            UsageError: `k` is not a whole number of at least 1, the index does not hold a part, or a weight is
                negative.

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
        answers = self._answers(queries, check_k(k), as_labels(labels), by, weights)
        return answers[0] if is_one_query(queries, self.hasher.document_type) else answers

    @on_snapshot
    def _answers(self, queries: Queries, k: int, labels: Sequence[str], by: By, weights: Weights) -> list[Hits]:
        """One Hits per query."""
        chosen = checked_parts(by, weights, self.parts, self.parts)
        encoded = self._encode(queries)
        if chosen == ("codes",):
            return self._answered(encoded, self._search(encoded, k, labels))
        return self._ranked(encoded, k, labels, chosen, weights, self._is_likeness)

    @property
    def _is_likeness(self) -> bool:
        """Whether a query is an example of what is sought, and not a question."""
        return self.hasher.document_type != "text"

    @on_snapshot
    def scores(self, query: Query, *, by: By = None, weights: Weights = None, likeness: bool = False) -> Scored:
        """Score all documents for one query, as `search` does.

        Args:
            query: A text, image, vector or Document.
            by, weights: As for `search`.
            likeness: Use the weights of `like` for a text.

        Returns:
            An object with `scores`, float64 [n] in order of insertion, and `parts`, the raw values [n] of each part.
            Both are empty of meaning if the query has no known word: then all scores are 0.

        Example:
            >>> index = hashret.Index.create("indexes/pair", ["the harvest of that year", "wheat was dear"], bits=16)
            >>> int(index.scores("wheat was dear").scores.argmax())
            1
        """
        chosen = checked_parts(by, weights, self.parts, self.parts)
        return self._scored(self._encode([query]).question(0), chosen, weights, likeness or self._is_likeness)

    @property
    def _ranking(self) -> Ranking:
        """The parts of all documents, for ranking."""
        return self._made.get("ranking", self._make_ranking)

    def snippet(self, hit: Hit, query: str) -> Snippet:
        """Return the part of a hit's text where the words of a query stand: a `text` and the `marks` in it.

        Marks are pairs of character positions [from, to) in that text.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> index.snippet(index.search("wheat", k=1)[0], "wheat")
            Snippet(text='wheat was dear', marks=[(0, 5)])
        """
        text = hit.document.content
        if self._parts.analyzer is None or not isinstance(text, str):
            return Snippet("", [])
        title = hit.metadata.get("title")
        terms = self._parts.analyzer.query(query)
        return snippet(text, terms, self._parts.analyzer, title if isinstance(title, str) else "")

    def _make_ranking(self) -> Ranking:
        self._check_open()
        vectors, live = self._vectors, ~self.store.deleted
        words = None
        if self._parts.analyzer is not None:
            fields = [self.store.fields(name) for name in ("words", "titles")]
            words = Words(fields[0], fields[1], live, self._parts.analyzer.stop_terms)
        made = None
        if self._parts.quantizer is not None and vectors is not None:
            made = QuantizedVectors(vectors if live.all() else vectors.take(live), self._parts.quantizer)
        return Ranking(CodePart(self.codes, self.bits), made, words)

    @property
    def _vectors(self) -> Vectors | None:
        """The vectors of all rows, deleted ones included."""
        return self._made.get("vectors", self.store.vectors)

    def _ranked(
        self,
        encoded: EncodedQueries,
        k: int,
        labels: Sequence[str],
        by: Sequence[str],
        weights: Weights,
        likeness: bool,
        own: Sequence[int] | None = None,
    ) -> list[Hits]:
        """The k best of each query; `own` [m]: the row of each query itself, which is left out."""
        rows, among, answers, known = self._rows, self._labelled(labels), [], []
        for number in range(len(encoded.codes)):
            question = encoded.question(number)
            scored = self._scored(question, by, weights, likeness)
            allowed = among
            if own is not None:
                allowed = np.ones(len(rows), bool) if among is None else among.copy()
                allowed[np.searchsorted(rows, own[number])] = False
            if tuple(by) == ("words",) and "words" in scored.parts:
                found = scored.parts["words"] > 0
                allowed = found if allowed is None else found & allowed
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
            answers.append(Hits(hits, True, "ranking", ties))
            known.append(question.known or (scored.known_terms > 0 and "words" in by))
        return without_unknown(answers, known)

    def _scored(self, question: Question, by: Sequence[str], weights: Weights, likeness: bool) -> Scored:
        """The scores of all documents for a question; CorruptIndex if postings are damaged."""
        try:
            return self._ranking.scores(question, by, likeness, weights)
        except ValueError as error:
            raise CorruptIndex(f"index {self.store.name!r} is damaged: {error}", path=self.store.name) from error

    def _answered(self, encoded: EncodedQueries, answers: list[Hits]) -> list[Hits]:
        """The answers by codes alone; empty for queries of which nothing is known."""
        known = [True] * len(answers) if encoded.known is None else encoded.known.tolist()
        return without_unknown(answers, known)

    @on_snapshot
    def search_codes(self, codes: Codes, k: int = 10, labels: Labels = ()) -> list[Hits]:
        """Return the k nearest documents of each code.

        Args:
            codes: uint8 [m, ceil(bits / 8)], as `encode` returns them.
            k: Number of documents per code.
            labels: Search only documents that have one of these labels.

        Example:
            >>> index = hashret.Index.create("indexes/two", ["the harvest of that year", "wheat was dear"], bits=16)
            >>> [hits] = index.search_codes(index.encode("wheat was dear"), k=1)
            >>> hits[0].distance
            0
        """
        return self._search(EncodedQueries(codes), k, as_labels(labels))

    @overload
    def within(  # type: ignore[overload-overlap]
        self, queries: Query, radius: int, labels: Labels = ()
    ) -> Hits: ...
    @overload
    def within(self, queries: Iterable[Query], radius: int, labels: Labels = ()) -> list[Hits]: ...
    def within(self, queries: Queries, radius: int, labels: Labels = ()) -> Hits | list[Hits]:
        """Return all documents whose codes differ from the query's in at most `radius` bits, nearest first.

        Documents at the same distance are in the order of their scores, as `search` computes them.

        `search` describes the other arguments and the errors.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> len(index.within("wheat was dear", radius=16))
            2
        """
        answers = self._all_within(queries, radius, as_labels(labels))
        return answers[0] if is_one_query(queries, self.hasher.document_type) else answers

    @on_snapshot
    def _all_within(self, queries: Queries, radius: int, labels: Sequence[str]) -> list[Hits]:
        encoded = self._encode(queries)
        return self._answered(encoded, self._within(encoded, radius, labels))

    @on_snapshot
    def within_codes(self, codes: Codes, radius: int, labels: Labels = ()) -> list[Hits]:
        """Return all documents whose codes differ in at most `radius` bits from each, uint8 [m, ceil(bits / 8)]."""
        return self._within(EncodedQueries(codes), radius, as_labels(labels))

    @overload
    def like(  # type: ignore[overload-overlap]
        self,
        ids: str,
        k: int = 10,
        labels: Labels = (),
        radius: int | None = None,
        *,
        by: By = None,
        weights: Weights = None,
    ) -> Hits: ...
    @overload
    def like(
        self,
        ids: Sequence[str],
        k: int = 10,
        labels: Labels = (),
        radius: int | None = None,
        *,
        by: By = None,
        weights: Weights = None,
    ) -> list[Hits]: ...
    def like(
        self,
        ids: str | Sequence[str],
        k: int = 10,
        labels: Labels = (),
        radius: int | None = None,
        *,
        by: By = None,
        weights: Weights = None,
    ) -> Hits | list[Hits]:
        """Return the k documents most similar to a stored document, without that document.

        They are scored by codes and vectors.

        Args:
            ids: The id of a stored document, or a list of ids.
            k: Number of documents per id.
            labels: Search only documents that have one of these labels.
            radius: Return all documents within this Hamming distance instead of the k best.
            by, weights: As for `search`. The stored text or thumbnail is encoded again for it.

        Returns:
            Hits for one id, a list of Hits for several.

        Raises:
            UnknownId: No document has this id.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> [hit.id for hit in index.like("0", k=5)]
            ['1']
        """
        answers = self._like(as_ids(ids), check_k(k), as_labels(labels), radius, by, weights)
        return answers[0] if isinstance(ids, str) else answers

    @on_snapshot
    def _like(
        self, ids: list[str], k: int, labels: Sequence[str], radius: int | None, by: By, weights: Weights
    ) -> list[Hits]:
        """One Hits per id."""
        usual = [name for name in self.parts if name != "words"]
        chosen = checked_parts(by, weights, self.parts, usual)
        if radius is not None and (by is not None or weights is not None) and chosen != ("codes",):
            raise UsageError("a radius is a Hamming distance between codes; leave out by and weights")
        rows = [self._row(id) for id in ids]
        encoded = self._stored_as_queries(rows)
        if radius is not None:
            return self._answered(encoded, self._within(encoded, radius, labels, rows))
        if chosen == ("codes",):
            return self._answered(encoded, self._search(encoded, k, labels, rows))
        return self._ranked(encoded, k, labels, chosen, weights, True, rows)

    def _search(
        self, encoded: EncodedQueries, k: int, labels: Sequence[str], own: Sequence[int] | None = None
    ) -> list[Hits]:
        """The k nearest of each query by codes; `own` [m]: the row of each query itself, which is left out."""
        searcher, rows = self._among(labels)
        found = searcher.search(encoded.codes, check_k(k) + (own is not None))
        assert found.ties_at_k is not None
        answers = []
        for number, ties in enumerate(found.ties_at_k.tolist()):
            here = rows[found.positions[number]]
            itself = -1 if own is None else own[number]
            kept = np.flatnonzero(here != itself)[:k]
            if own is not None and len(kept) and _holds(rows, itself):
                # itself ties with the last of the others where that is as near, as it is nearest of all
                there = np.flatnonzero(here == itself)
                last = found.distances[number, kept[-1]]
                ties -= not len(there) or bool(found.distances[number, there[0]] == last)
            elif own is not None and k < len(here):  # it is not among the labels: one more than needed was requested
                again = searcher.search(encoded.codes[number : number + 1], k).ties_at_k
                assert again is not None
                ties = int(again[0])
            answers.append(self._hits(here[kept], found.distances[number, kept], found, ties if len(kept) else 0))
        return answers

    def _within(
        self, encoded: EncodedQueries, radius: int, labels: Sequence[str], own: Sequence[int] | None = None
    ) -> list[Hits]:
        """All documents within the radius of each query by codes, those at one distance by the score of all parts."""
        searcher, rows = self._among(labels)
        found = searcher.within(encoded.codes, radius)
        assert found.offsets is not None
        by = [name for name in self.parts if own is None or name != "words"]
        answers = []
        for number, (start, stop) in enumerate(pairwise(found.offsets.tolist())):
            here, distances = rows[found.positions[start:stop]], found.distances[start:stop]
            if encoded.margins is not None and len(here) and len(by) > 1:
                scored = self._scored(encoded.question(number), by, None, own is not None or self._is_likeness)
                order = np.lexsort((here, -scored.scores[np.searchsorted(self._rows, here)], distances))
                here, distances = here[order], distances[order]
            kept = here != (-1 if own is None else own[number])
            answers.append(self._hits(here[kept], distances[kept], found, None))
        return answers

    def encode(self, queries: Queries) -> Codes:
        """Return the codes of queries, uint8 [m, ceil(bits / 8)].

        Raises:
            DataError: A query is of another type than the documents of the index.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> index.encode(["the harvest", "wheat"]).shape
            (2, 2)
        """
        return self._encode(queries).codes

    def _encode(self, queries: Queries) -> EncodedQueries:
        """Queries in the forms that searching and ranking need."""
        return encode_queries(self.hasher, self._parts, queries)

    def _stored_as_queries(self, rows: Sequence[int]) -> EncodedQueries:
        """Stored documents as queries: their codes as they are, the rest encoded again from text or thumbnail."""
        codes = self.codes[np.searchsorted(self._rows, rows)]
        if self.hasher.document_type == "vector":
            margins = np.where(unpack(codes, self.bits), 1, -1).astype(np.float32)
            features = None
            if self._vectors is not None and self._parts.quantizer is not None:
                features = self._parts.quantizer.decode(self._vectors.take(np.array(rows, np.int64)))
            return EncodedQueries(codes, margins, features)
        documents = [self._restore(self.store.record(row), small=True) for row in rows]
        encoded = self._encode(documents)
        return EncodedQueries(codes, encoded.margins, encoded.features, encoded.terms, encoded.known)

    def _check_open(self) -> None:
        if self.store.closed:
            raise StoreError(f"index {self.store.name!r} is closed; open it again")

    def _labelled(self, labels: Sequence[str]) -> np.ndarray | None:
        """Which documents have one of the labels, bool [n]; None for all if there are no labels."""
        self._check_open()
        if not labels or not len(self._rows):
            return None
        here = self.labels
        if unknown := [label for label in labels if not any(label in own for own in here)]:
            known = sorted({label for own in here for label in own})
            listed = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "") if known else "there are none"
            raise DataError(f"no document is labelled {unknown[0]!r}; labels: {listed}")
        return np.array([any(label in labels for label in own) for own in here])

    def _among(self, labels: Sequence[str]) -> tuple[Searcher, np.ndarray]:
        """A searcher over all documents, or over those with one of the labels; and position -> row."""
        chosen, rows = self._labelled(labels), self._rows
        if chosen is not None:
            return searcher(self.codes[chosen], self.bits, **self._way), rows[chosen]
        return self._made.get("searcher", lambda: searcher(self.codes, self.bits, **self._way)), rows

    def _hits(self, rows: np.ndarray, distances: np.ndarray, found: Neighbors, ties: int | None) -> Hits:
        """Rows found for one query, nearest first, as hits with their documents."""
        each = zip(rows.tolist(), distances.tolist(), strict=True)
        hits = [Hit(self._document(row), distance, rank) for rank, (row, distance) in enumerate(each, 1)]
        return Hits(hits, found.exact, found.searcher, ties)

    # Reading

    @on_snapshot
    def document(self, id: str) -> Document:
        """Return the document with this id, as `index[id]` does; raises UnknownId if there is none."""
        return self._document(self._row(id))

    @on_snapshot
    def documents(self) -> Iterator[Document]:
        """Iterate over all documents, in order of insertion; images are the stored thumbnails."""
        return (self._restore(record, small=True) for record in self.store.records())

    @on_snapshot
    def thumbnail(self, id: str) -> bytes:
        """Return the stored thumbnail of an image: a JPEG, or a PNG if the image has at most 64 pixels a side.

        Empty bytes for other documents; raises UnknownId if no document has this id.
        """
        return self.store.record(self._row(id)).thumbnail

    @on_snapshot
    def codes_of(self, ids: str | Sequence[str]) -> Codes:
        """Return the stored codes of documents, uint8 [m, ceil(bits / 8)]; raises UnknownId if an id is not found."""
        rows = [self._row(id) for id in as_ids(ids)]
        return self.codes[np.searchsorted(self._rows, rows)]

    def _row(self, id: str) -> int:
        row = self.store.find(as_id(id))
        if row is None:
            raise UnknownId(f"no document has the id {id!r}", id=id, path=str(self.path))
        return row

    def _document(self, row: int) -> Document:
        return self._restore(self.store.record(row))

    def _restore(self, record: Record, small: bool = False) -> Document:
        return as_document(record, self.hasher.document_type, self.store.manifest.about.get("root") or ".", small)

    @on_snapshot
    def info(self) -> dict[str, Any]:
        """Return facts about the index as a dict for JSON: counts, options, sizes in bytes, labels, sources.

        Example:
            >>> index = hashret.Index.create("indexes/facts", ["the harvest of that year", "wheat was dear"], bits=16)
            >>> index.info()["documents"], index.info()["code_bytes"]
            (2, 4)
        """
        manifest, codes = self.store.manifest, self.codes
        buckets = np.bincount(group(codes)[1]) if len(codes) else np.zeros(0, int)
        return {
            "path": self.store.name,
            "documents": len(self),
            "holds": self.hasher.document_type,
            "bits": self.bits,
            "encoder": self.hasher.encoder,
            "encoder_options": self.hasher.params,
            "vectorizer": self.hasher.vectorizer.name,
            "vectorizer_options": self.hasher.vectorizer.params(),
            "bytes": sum(entry.bytes for entry in manifest.files.values()),
            "code_bytes": codes.nbytes,
            "distinct_codes": len(buckets),
            "largest_bucket": int(buckets.max(initial=0)),
            "deleted": manifest.deleted,
            "segments": len(manifest.segments),
            "parts": list(self.parts),
            "language": self.language,
            "vectors": self._vectors_kind(),
            "unseen_words": self._unseen("added"),
            "labels": sorted({label for labels in self.labels for label in labels}),
            "fields": self.fields.as_json(),
            "sources": list(manifest.about.get("sources") or []),
            "example_ids": self.ids[:3],
            "fingerprint": manifest.fingerprint,
            "generation": manifest.generation,
        }

    def _unseen(self, when: str) -> float | None:
        """The share of words unknown to the vectorizer, in documents "fitted" or "added" since; None if none are."""
        words, unseen = (self.store.manifest.about.get("words") or {}).get(when, (0, 0))
        return round(unseen / words, 4) if words else None

    def suggestion(self) -> str | None:
        """Return what would make the index better, None if nothing is known.

        Many unseen words in documents that were added since the fit suggest a refit.

        Example:
            >>> hashret.Index.create("indexes/small", ["the harvest of that year", "wheat was dear"]).suggestion()
        """
        words, _ = (self.store.manifest.about.get("words") or {}).get("added", (0, 0))
        fitted, added = self._unseen("fitted"), self._unseen("added")
        if added is None or words < ENOUGH_WORDS or added < (fitted or 0.0) + UNSEEN:
            return None
        return (
            f"{added:.0%} of the words added since the fit are unknown to codes and vectors "
            f"({fitted or 0:.0%} of those in the fit); refit the index"
        )

    def _vectors_kind(self) -> str | None:
        """What `vectors` was when the index was made, as text."""
        kind = _kind_of(self._parts.quantizer)
        return f"{kind} bytes" if isinstance(kind, int) else kind

    def verify(self) -> list[Problem]:
        """Check the files of the index; return the problems found, an empty list if there are none."""
        return verify(self.path)

    # Changing

    def add(
        self, documents: Source | Documents | Records, *, replace: bool = False, skip: bool = False, prune: bool = False
    ) -> int:
        """Encode and append documents; return how many. All of them are on disk when it returns, or none.

        The log has the number of documents that were added, replaced and skipped. A folder that was indexed before gets
        the same ids again.

        Args:
            documents: A source, a Path, or documents, texts or arrays. A str is one text, never a path, because it may
                come from a user. Texts without an id get their position as id; use Document or mappings to set it.
            replace: Delete stored documents with the same ids. In a folder, only files whose size or time changed are
                read.
            skip: Leave out new documents whose id is in the index.
            prune: Delete the documents of files that are no longer in the folder; otherwise the log lists them.

        Raises:
            DuplicateIds: An id is in the index, and neither `replace` nor `skip` is set; or it occurs twice.
            IndexLocked: Another process is changing the index.
            DataError: A document is of another type, or cannot be read.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> index.add([{"id": "barley", "text": "barley was cheap that year"}])
            1
        """
        if replace and skip:
            raise UsageError("an id that is there already is replaced or skipped, not both: choose one of the two")
        policy = "replace" if replace else "skip" if skip else "refuse"
        source = as_source([documents] if isinstance(documents, str) else documents).without(self.path)
        if prune and not isinstance(source, Stamped):
            raise UsageError("only files of a folder can be gone: prune needs folders as its source")
        with self._changing() as (change, now):
            about, source = placed(source, change.about)
            change.about = about
            if isinstance(source, Stamped) and (replace or prune):
                lost = gone(source, now.store, about)
                if prune:
                    change.delete([row for row, _ in lost])
                _report_gone([id for _, id in lost], prune)
            unchanged = 0
            if isinstance(source, Stamped) and replace:
                fresh, known, unchanged = changed(source, now.store)
                source = source.only(fresh, known)
            deleted = int(change.deleted.sum())
            added, left = now._take_in(change, source, policy)
            replaced = int(change.deleted.sum()) - deleted
        log.info(f"documents added: {added - replaced:,}, replaced: {replaced:,}, skipped: {left + unchanged:,}")
        return added

    def delete(self, ids: str | Iterable[str]) -> int:
        """Delete a document or several by id; return how many.

        Raises:
            UnknownId: An id is not in the index. Nothing is deleted.
            IndexLocked: Another process is changing the index.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> index.delete("barley")
            1
        """
        with self._changing() as (change, now):
            rows = {now._row(id) for id in as_ids(ids)}
            change.delete(sorted(rows))
            return len(rows)

    def compact(self) -> None:
        """Merge segments and free the space of deleted documents; results of queries stay the same."""
        with self._changing() as (change, _):
            change.compact()

    def refit(
        self,
        *,
        bits: int | Literal["auto"] | None = None,
        encoder: str | None = None,
        vectorizer: str | None = None,
        seed: int | None = None,
        device: str | None = None,
        options: Mapping[str, Any] | None = None,
        language: str | None = None,
    ) -> None:
        """Learn a new hasher from the stored documents and encode them again.

        The arguments are those of `create`; those left out keep their values, also the training options. Queries use
        the old codes until the new ones are complete. Images are read from the stored thumbnails, which are exact up to
        64 pixels a side.

        Raises:
            UsageError: An option is wrong, or the index holds vectors, which are not stored exactly.
            IndexLocked: Another process is changing the index.
        """
        if self.hasher.document_type == "vector":
            raise UsageError("an index of vectors does not keep them exactly; create it again from its source")
        fit = _given(
            bits=bits, encoder=encoder, vectorizer=vectorizer, seed=seed, device=device, options=options or None
        )
        before = self.store.manifest.generation
        sample = Sample()
        hasher = Hasher.fit(sample.drawn_from(self.documents()), **self._as_before(fit))
        kind = _kind_of(self._parts.quantizer)
        parts = Parts.fit(hasher, sample.documents, kind, language or self.language or "auto")
        with self._changing() as (change, now):
            if now.store.manifest.generation != before:
                raise StoreError("another process changed the index while this one was learning; refit again")
            about = dict(now.store.manifest.about) | parts.about() | {"words": {}}
            change.start_over(hasher.bits, hasher.fingerprint, about, hasher.files() | parts.files(), new=False)
            for records in batches(track(now.store.records(), "encoding", len(now)), BATCH):
                append(
                    change, hasher, parts, [now._restore(record, small=True) for record in records], records, "fitted"
                )
            now.hasher, now._parts = hasher, parts

    def _as_before(self, fit: Mapping[str, Any]) -> dict[str, Any]:
        """What was given for fitting, and where nothing was, how the index was made."""
        old = self.hasher
        options: dict[str, Any] = {}
        if fit.get("vectorizer", old.vectorizer.name) == old.vectorizer.name:
            options |= {f"vectorizer.{name}": value for name, value in old.vectorizer.params().items()}
        if fit.get("encoder", old.encoder) == old.encoder:
            options |= {f"encoder.{name}": value for name, value in old.params.items()}
        options |= {f"schedule.{name}": value for name, value in old.training.items() if name != "seed"}
        options |= fit.get("options") or {}
        before = {"bits": self.bits, "encoder": old.encoder, "vectorizer": old.vectorizer.name}
        before |= {"seed": old.training["seed"]} if "seed" in old.training else {}
        return {**before, **fit, "options": options}

    @contextmanager
    def _changing(self) -> Iterator[tuple[Transaction, Index]]:
        """A transaction, and this index as of the newest generation, on which it works.

        It becomes this one when it is done: queries under way in other threads keep the generation they began with.
        """
        now = snapshot(self)
        now.store = copy(self.store)
        try:
            with now.store.write() as change:
                now._follow()
                yield change, now
        finally:
            now._follow()
            become(self, vars(now), lambda old: old.store.manifest.generation <= now.store.manifest.generation)

    def _follow(self) -> None:
        """Take up the generation that the store has now, and its hasher where that is another."""
        self._made = Made()
        about = self.store.manifest.about
        if self.hasher.fingerprint != self.store.manifest.fingerprint:
            self.hasher = _hasher_of(self.store)
        if self._parts.about() != {name: about[name] for name in ("analyzer", "vectors") if name in about}:
            self._parts = _parts_of(self.store, self.hasher)

    def _take_in(self, change: Transaction, documents: Iterable[Document], policy: str) -> tuple[int, int]:
        """Encode and append documents in batches; how many, and how many were left out.

        `policy`: what to do with ids that are there already.
        """
        seen: set[str] = set()
        root = str(change.about.get("root") or "")
        added = left = 0
        for batch in batches(track(documents, "encoding", expected(documents)), BATCH, bytes_of, BATCH_BYTES):
            fresh = select(change, batch, seen, policy)
            records = [as_record(document, root) for document in fresh]
            append(change, self.hasher, self._parts, fresh, records, "fitted" if change.started_over else "added")
            added += len(fresh)
            left += len(batch) - len(fresh)
        return added, left

    def close(self) -> None:
        """Close all files; a closed index answers no more. Closing twice is fine."""
        self.store.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled, it is its path, and the index is opened where it arrives."""
        return type(self).open, (str(self.path),)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _given(**arguments: Any) -> dict[str, Any]:
    """Those that were given."""
    return {name: value for name, value in arguments.items() if value is not None}


def _opened(path: Path) -> tuple[Store, Hasher]:
    """An index's files and its hasher, of one generation."""
    while True:
        store = Store.open(path)
        try:
            return store, _hasher_of(store)
        except HashretError:
            if Store.open(path).manifest.hasher == store.manifest.hasher:
                raise  # otherwise it was replaced between the two, and is gone


def _hasher_of(store: Store) -> Hasher:
    """The hasher of the generation that a store has open."""
    return Hasher.from_files(store.hasher_reader(), f"{store.path / store.manifest.hasher}")


def _parts_of(store: Store, hasher: Hasher) -> Parts:
    """The parts of the generation that a store has open."""
    return Parts.restore(store.manifest.about, store.hasher_reader(), hasher.vectorizer.state().vocabulary)


def _kind_of(quantizer: Quantizer | None) -> int | str | None:
    """The `vectors` argument that makes such a quantizer."""
    if quantizer is None:
        return None
    return quantizer.width if quantizer.name == "binary" else quantizer.name


def _derive(manifest: Manifest, read: Callable[[str], bytes]) -> Callable[[Sequence[Record]], Derived]:
    """What makes words, titles and, of texts, vectors from the records of documents; what cannot be made is None."""
    hasher = None
    try:
        parts = Parts.restore(manifest.about, read)
        hasher = Hasher.from_files(read, manifest.hasher)
    except (StoreError, UsageError):
        parts = Parts.restore({name: own for name, own in manifest.about.items() if name != "vectors"}, read)

    def derive(records: Sequence[Record]) -> Derived:
        features = None
        if hasher is not None and hasher.document_type == "text":
            transformed = hasher.vectorizer.transform([Document(record.id, record.content) for record in records])
            features = hasher.vectorizer.for_vectors(transformed.input)
        return parts.derive(features, records)

    return derive


def _holds(rows: np.ndarray, row: int) -> bool:
    """Whether a row is among ascending rows."""
    place = int(np.searchsorted(rows, row))
    return place < len(rows) and int(rows[place]) == row


def _report_gone(ids: Sequence[str], pruned: bool) -> None:
    if ids:
        named = ", ".join(map(repr, ids[:5])) + (", ..." if len(ids) > 5 else "")
        what = "their documents are deleted" if pruned else "their documents stay until they are pruned"
        log.warning("files that are gone: %d; %s: %s", len(ids), what, named)


def verify(path: str | Path) -> list[Problem]:
    """List the problems of the index at a path, even of one that cannot be opened; empty if it is sound.

    Each problem has a `file`, `what` is wrong with it, and what that `means`. Raises IndexNotFound.

    Example:
        >>> hashret.verify("indexes/mine")
        []
    """
    from hashret.store.check import Problem, problems

    place = resolved(path)
    wrong = problems(place)
    if not wrong:
        try:
            with Index.open(place) as index:
                if index.hasher.fingerprint == index.store.manifest.fingerprint:
                    return []
            what = "is not the one that made the codes: its fingerprint does not match"
        except HashretError as error:
            what = f"cannot be used: {error}"
        wrong.append(Problem("hasher", what, "queries cannot be trusted; index the source again, or restore a copy"))
    return wrong


def repair(path: str | Path) -> Repaired:
    """Repair the index at a path as far as possible, and report what was done and what is lost.

    The report lists `done` (file, what was done), `lost` (file, id), `nameless` (file, number of lost documents whose
    ids are unknown) and `left` (problems that remain). Raises IndexNotFound, or CorruptIndex if no manifest can be
    read.

    Example:
        >>> report = hashret.repair("indexes/mine")
        >>> report.done, report.lost, report.left
        ([], [], [])
    """
    from hashret.store.repair import repair

    return repair(resolved(path), _derive)
