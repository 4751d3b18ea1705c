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
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np

from hashret.codes import Codes, group, unpack
from hashret.documents import Document, Documents, as_id, as_ids, as_labels, batches, bytes_of
from hashret.errors import CorruptIndex, DataError, HashretError, StoreError, UnknownId, UsageError
from hashret.features import Floats
from hashret.hasher import BATCH, Hasher, check_dense
from hashret.ingest import append, as_document, as_record, changed, describe, each_once, expected, gone, placed, select
from hashret.progress import track
from hashret.queries import EncodedQueries, Queries, Query, encode_queries, is_one_query, without_unknown
from hashret.readers import as_source
from hashret.readers.base import Fields, Source, Stamped
from hashret.results import Hit, Hits
from hashret.search import Neighbors, Searcher, searcher
from hashret.search.base import check_k
from hashret.search.rerank import SHORT_LIST, ByLogits, ByVectors, Finer, Reranked
from hashret.snapshot import Made, become, on_snapshot, snapshot
from hashret.store import Record, Store, Transaction
from hashret.store.reader import resolved

if TYPE_CHECKING:
    from hashret.store.check import Problem
    from hashret.store.repair import Repaired


BATCH_BYTES = 16 << 20  # of documents held at once while they are encoded

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

    def __init__(self, store: Store, hasher: Hasher) -> None:
        self.store = store
        self.hasher = hasher
        self._made = Made()
        self._way: dict[str, Any] = {}

    @classmethod
    def create(
        cls,
        path: str | Path,
        documents: Source | Documents,
        *,
        bits: int | Literal["auto"] | None = None,
        encoder: str | None = None,
        vectorizer: str | None = None,
        seed: int | None = None,
        device: str | None = None,
        options: Mapping[str, Any] | None = None,
        hasher: Hasher | None = None,
        keep_vectors: bool = False,
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
            keep_vectors: Store the vectorizer's features too, for re-ranking.
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
        store = Store.new(path, force)
        source = as_source(documents, **_given(id=id, text=text, label=label)).without(store.path)
        with store.write() as change:
            hasher = hasher or Hasher.fit(each_once(source), dense=keep_vectors, **fit)
            if keep_vectors:
                check_dense(hasher.vectorizer)
            about = describe(source, hasher) | {"keeps_vectors": keep_vectors}
            change.start_over(hasher.bits, hasher.fingerprint, about, hasher.files())
            index = cls(store, hasher)
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
        index = cls(store, hasher)
        dim = prod(hasher.program.shape) if index.keeps_vectors else 0
        if strange := store.dims - {dim}:
            words = f"index {str(path)!r} should keep vectors of {dim} numbers, some have {min(strange)}"
            raise CorruptIndex(words, path=str(path))
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
    def keeps_vectors(self) -> bool:
        """Whether the features of the documents are stored, for re-ranking."""
        return bool(self.store.manifest.about.get("keeps_vectors"))

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
        self, queries: Query, k: int = 10, labels: Labels = (), rerank: bool = False
    ) -> Hits: ...
    @overload
    def search(
        self, queries: Iterable[Query], k: int = 10, labels: Labels = (), rerank: bool = False
    ) -> list[Hits]: ...
    def search(self, queries: Queries, k: int = 10, labels: Labels = (), rerank: bool = False) -> Hits | list[Hits]:
        """Return the k nearest documents of a query, or a list with one result per query.

        Args:
            queries: A query or several. A query is a text, an image (path or array), a vector or a Document, of the
                same type as the documents of the index.
            k: Number of documents per query.
            labels: Search only documents that have one of these labels.
            rerank: Reorder the nearest max(1000, k) documents, and those that tie with the last of them, by a finer
                distance: between the query's logits and the codes, or between vectors if the index stores them.
                `search/rerank.py` has the formulas.

        Returns:
            Hits for one query, a list of Hits for several. Hits are empty, and a warning is logged, for a text that
            has no word in the vocabulary of the index.

        Raises:
            DataError: A query is of another type, or no document has one of the labels.
            UsageError: `k` is not a whole number of at least 1.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> hits = index.search("wheat was dear", k=1)
            >>> hits[0].distance
            0
            >>> len(index.search(["the harvest", "wheat"], k=2))
            2
        """
        answers = self._answers(queries, lambda own, encoded: own._search(encoded, k, as_labels(labels)), rerank)
        return answers[0] if is_one_query(queries, self.hasher.document_type) else answers

    @on_snapshot
    def _answers(
        self, queries: Queries, find: Callable[[Index, EncodedQueries], list[Hits]], rerank: bool = False
    ) -> list[Hits]:
        """One Hits per query; empty if the query has no word of the vocabulary."""
        encoded = self.encode_queries(queries, rerank)
        return without_unknown(encoded, find(self, encoded))

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
        self, queries: Query, radius: int, labels: Labels = (), rerank: bool = False
    ) -> Hits: ...
    @overload
    def within(
        self, queries: Iterable[Query], radius: int, labels: Labels = (), rerank: bool = False
    ) -> list[Hits]: ...
    def within(self, queries: Queries, radius: int, labels: Labels = (), rerank: bool = False) -> Hits | list[Hits]:
        """Return all documents whose codes differ from the query's in at most `radius` bits.

        `search` describes the other arguments, the result and the errors; `rerank` reorders all documents found.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> len(index.within("wheat was dear", radius=16))
            2
        """
        answers = self._answers(queries, lambda own, encoded: own._within(encoded, radius, as_labels(labels)), rerank)
        return answers[0] if is_one_query(queries, self.hasher.document_type) else answers

    @on_snapshot
    def within_codes(self, codes: Codes, radius: int, labels: Labels = ()) -> list[Hits]:
        """Return all documents whose codes differ in at most `radius` bits from each, uint8 [m, ceil(bits / 8)]."""
        return self._within(EncodedQueries(codes), radius, as_labels(labels))

    @overload
    def like(  # type: ignore[overload-overlap]
        self, ids: str, k: int = 10, labels: Labels = (), radius: int | None = None, rerank: bool = False
    ) -> Hits: ...
    @overload
    def like(
        self, ids: Sequence[str], k: int = 10, labels: Labels = (), radius: int | None = None, rerank: bool = False
    ) -> list[Hits]: ...
    def like(
        self,
        ids: str | Sequence[str],
        k: int = 10,
        labels: Labels = (),
        radius: int | None = None,
        rerank: bool = False,
    ) -> Hits | list[Hits]:
        """Return the k documents most similar to a stored document, without that document.

        Args:
            ids: The id of a stored document, or a list of ids.
            k: Number of documents per id.
            labels: Search only documents that have one of these labels.
            radius: Return all documents within this Hamming distance instead of the k nearest.
            rerank: As in `search`. The logits of a document are not stored, so its stored text or thumbnail is
                encoded again. An index that stores neither the document nor its vector is reordered by codes alone.

        Returns:
            Hits for one id, a list of Hits for several.

        Raises:
            UnknownId: No document has this id.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> [hit.id for hit in index.like("0", k=5)]
            ['1']
        """
        answers = self._like(as_ids(ids), k, as_labels(labels), radius, rerank)
        return answers[0] if isinstance(ids, str) else answers

    @on_snapshot
    def _like(self, ids: list[str], k: int, labels: Sequence[str], radius: int | None, rerank: bool) -> list[Hits]:
        """One Hits per id."""
        encoded, own = self._ask_like(ids, rerank), [self._row(id) for id in ids]
        if radius is None:
            return without_unknown(encoded, self._search(encoded, k, labels, own))
        return without_unknown(encoded, self._within(encoded, radius, labels, own))

    def _search(
        self, encoded: EncodedQueries, k: int, labels: Sequence[str], own: Sequence[int] | None = None
    ) -> list[Hits]:
        """The k nearest of each query; `own` [m]: the row of each query itself, which is left out."""
        searcher, rows = self._among(labels)
        by = self._reranked(searcher, encoded, rows if labels else None, SHORT_LIST + (own is not None))
        found = by.search(encoded.codes, check_k(k) + (own is not None))
        assert found.ties_at_k is not None
        distances = found.distances if found.finer is None else found.finer
        answers = []
        for number, ties in enumerate(found.ties_at_k.tolist()):
            here = rows[found.positions[number]]
            itself = -1 if own is None else own[number]
            kept = np.flatnonzero(here != itself)[:k]
            if own is not None and len(kept) and _holds(rows, itself):
                # itself ties with the last of the others where that is as near, as it is nearest of all
                there = np.flatnonzero(here == itself)
                ties -= not len(there) or bool(distances[number, there[0]] == distances[number, kept[-1]])
            elif own is not None and k < len(here):  # it is not among the labels: one more than needed was requested
                part = encoded.part(slice(number, number + 1))
                again = self._reranked(searcher, part, rows if labels else None).search(part.codes, k).ties_at_k
                assert again is not None
                ties = int(again[0])
            answers.append(self._hits(here[kept], found.distances[number, kept], found, ties if len(kept) else 0))
        return answers

    def _within(
        self, encoded: EncodedQueries, radius: int, labels: Sequence[str], own: Sequence[int] | None = None
    ) -> list[Hits]:
        searcher, rows = self._among(labels)
        found = self._reranked(searcher, encoded, rows if labels else None).within(encoded.codes, radius)
        assert found.offsets is not None
        answers = []
        for number, (start, stop) in enumerate(pairwise(found.offsets.tolist())):
            here = rows[found.positions[start:stop]]
            kept = here != (-1 if own is None else own[number])
            answers.append(self._hits(here[kept], found.distances[start:stop][kept], found, None))
        return answers

    def _reranked(
        self, searcher: Searcher, encoded: EncodedQueries, rows: np.ndarray | None, least: int = SHORT_LIST
    ) -> Searcher | Reranked:
        """The searcher, its answers re-ranked where the queries bring the numbers for it."""
        return searcher if encoded.margins is None else Reranked(searcher, self.finer(encoded, rows), least)

    def finer(self, encoded: EncodedQueries, rows: np.ndarray | None = None) -> Finer:
        """The finer distance between queries encoded with `rerank` and all documents or those in these rows."""
        assert encoded.margins is not None
        codes = self.codes if rows is None else self.codes[np.searchsorted(self._rows, rows)]
        by_logits = ByLogits(encoded.margins, codes)
        if encoded.features is None:
            return by_logits
        places = self._rows if rows is None else rows
        return ByVectors(by_logits, encoded.features, lambda positions: self.store.vectors(places[positions]))

    def encode(self, queries: Queries) -> Codes:
        """Return the codes of queries, uint8 [m, ceil(bits / 8)].

        Raises:
            DataError: A query is of another type than the documents of the index.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> index.encode(["the harvest", "wheat"]).shape
            (2, 2)
        """
        return self.encode_queries(queries).codes

    def encode_queries(self, queries: Queries, rerank: bool = False) -> EncodedQueries:
        """Encode queries, with what `rerank` needs if it is set."""
        return encode_queries(self.hasher, queries, rerank, self.keeps_vectors)

    def _ask_like(self, ids: Sequence[str], rerank: bool) -> EncodedQueries:
        """Stored documents as queries, with the numbers to re-rank by if `rerank` is set."""
        codes, rows = self.codes_of(ids), [self._row(id) for id in ids]
        known = None
        if self.hasher.document_type == "text":
            known = self.encode_queries([self._restore(self.store.record(row)) for row in rows]).known
        if not rerank:
            return EncodedQueries(codes, known=known)
        if self.hasher.document_type == "vector":
            margins: Floats | None = np.where(unpack(codes, self.bits), 1, -1).astype(np.float32)
        else:
            documents = [self._restore(self.store.record(row), small=True) for row in rows]
            margins = self.encode_queries(documents, rerank=True).margins
        kept = self.store.vectors(np.array(rows, np.int64)).dense() if self.keeps_vectors else None
        return EncodedQueries(codes, margins, kept, known)

    def _among(self, labels: Sequence[str]) -> tuple[Searcher, np.ndarray]:
        """A searcher over all documents, or over those with one of the labels; and position -> row."""
        if self.store.closed:
            raise StoreError(f"index {self.store.name!r} is closed; open it again")
        rows = self._rows
        if labels and len(rows):
            here = self.labels
            if unknown := [label for label in labels if not any(label in own for own in here)]:
                known = sorted({label for own in here for label in own})
                listed = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "") if known else "there are none"
                raise DataError(f"no document is labelled {unknown[0]!r}; labels: {listed}")
            chosen = np.array([any(label in labels for label in own) for own in here])
            return searcher(self.codes[chosen], self.bits, **self._way), rows[chosen]
        return self._made.get("searcher", lambda: searcher(self.codes, self.bits, **self._way)), rows

    def _hits(self, rows: np.ndarray, distances: np.ndarray, found: Neighbors, ties: int | None) -> Hits:
        """Rows found for one query, nearest first, as hits with their documents."""
        each = zip(rows.tolist(), distances.tolist(), strict=True)
        hits = [
            Hit(self._document(row), distance, rank, found.reranked) for rank, (row, distance) in enumerate(each, 1)
        ]
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
            "keeps_vectors": self.keeps_vectors,
            "labels": sorted({label for labels in self.labels for label in labels}),
            "fields": self.fields.as_json(),
            "sources": list(manifest.about.get("sources") or []),
            "example_ids": self.ids[:3],
            "fingerprint": manifest.fingerprint,
            "generation": manifest.generation,
        }

    def verify(self) -> list[Problem]:
        """Check the files of the index; return the problems found, an empty list if there are none."""
        return verify(self.path)

    # Changing

    def add(
        self, documents: Source | Documents, *, replace: bool = False, skip: bool = False, prune: bool = False
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
        hasher = Hasher.fit(self.documents(), dense=self.keeps_vectors, **self._as_before(fit))
        with self._changing() as (change, now):
            if now.store.manifest.generation != before:
                raise StoreError("another process changed the index while this one was learning; refit again")
            about = dict(now.store.manifest.about)
            change.start_over(hasher.bits, hasher.fingerprint, about, hasher.files(), new=False)
            for records in batches(track(now.store.records(), "encoding", len(now)), BATCH):
                append(change, hasher, [now._restore(record, small=True) for record in records], records)
            now.hasher = hasher

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
        if self.hasher.fingerprint != self.store.manifest.fingerprint:
            self.hasher = _hasher_of(self.store)

    def _take_in(self, change: Transaction, documents: Iterable[Document], policy: str) -> tuple[int, int]:
        """Encode and append documents in batches; how many, and how many were left out.

        `policy`: what to do with ids that are there already.
        """
        seen: set[str] = set()
        root = str(change.about.get("root") or "")
        added = left = 0
        for batch in batches(track(documents, "encoding", expected(documents)), BATCH, bytes_of, BATCH_BYTES):
            fresh = select(change, batch, seen, policy)
            append(change, self.hasher, fresh, [as_record(document, root) for document in fresh])
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

    return repair(resolved(path))
