"""Index: documents on disk, found by the distance of their codes. The main path: read it top down.

index = Index.create("indexes/news", documents, bits=64)     # learn a hasher, encode, store
index.search(["a text"], k=10)                               # encode, search, read the hits
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from hashret.asked import Asked, Query, answered, encoded
from hashret.codes import Codes, group, unpack
from hashret.documents import Content, Document, batches
from hashret.errors import DataError, HashretError, StoreError, UsageError
from hashret.features import Floats
from hashret.hasher import BATCH, Hasher, check_dense
from hashret.hits import Hit, Hits
from hashret.intake import append, as_document, as_record, describe, each_once, expected, select
from hashret.progress import track
from hashret.search import Neighbors, Searcher, searcher
from hashret.search.rerank import SHORT_LIST, ByLogits, ByVectors, Finer, Reranked
from hashret.sources.base import Fields, Source, Stamped
from hashret.sources.memory import Memory
from hashret.steady import become, snapshot, steady
from hashret.store import Record, Store, Transaction

if TYPE_CHECKING:
    from hashret.store.check import Problem
    from hashret.store.repair import Repaired


class Index:
    """An index opened. Make one with `create`, open one with `open`; usable in a `with` statement."""

    def __init__(self, store: Store, hasher: Hasher) -> None:
        self.store = store
        self.hasher = hasher
        self._codes: Codes | None = None
        self._searcher: Searcher | None = None
        self._way: dict[str, Any] = {}

    @classmethod
    def create(
        cls,
        path: str | Path,
        documents: Iterable[Document | Content],
        *,
        hasher: Hasher | None = None,
        force: bool = False,
        keep_vectors: bool = False,
        **fit: Any,
    ) -> Self:
        """Learn a hasher from the documents (or take the one given), encode them and store all in the folder `path`.

        `fit` is what `Hasher.fit` takes: bits, encoder, vectorizer, seed, device, options. `keep_vectors` stores the
        vectorizer's features too, for re-ranking. Raises UsageError where an index is there already and `force` is not
        set. An index that is replaced serves until the new one is complete.
        """
        store = Store.new(path, force)
        if hasher is not None and fit:
            raise UsageError(f"a fitted hasher was given, so nothing is learned: leave out {', '.join(fit)}")
        documents = documents if isinstance(documents, Source) else Memory(documents)
        hasher = hasher or Hasher.fit(each_once(documents), dense=keep_vectors, **fit)
        if keep_vectors:
            check_dense(hasher.vectorizer)
        about = describe(documents, hasher) | {"keeps_vectors": keep_vectors}
        with store.write(write_file) as change:
            change.start_over(hasher.bits, hasher.fingerprint, about, hasher.save)
            index = cls(store, hasher)
            if not index._take_in(change, documents, "refuse"):
                raise DataError("no documents to index; give a source that holds some")
        return index

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open an index; UsageError where there is none, StoreError where it is damaged."""
        store, hasher = _opened(Path(path))
        if hasher.bits != store.manifest.bits:
            raise StoreError(f"index {str(path)!r} has codes of {store.manifest.bits} bits, its hasher {hasher.bits}")
        index = cls(store, hasher)
        dim = prod(hasher.program.shape) if index.keeps_vectors else 0
        if strange := store.dims - {dim}:
            raise StoreError(f"index {str(path)!r} should keep vectors of {dim} numbers, some have {min(strange)}")
        return index

    @property
    def path(self) -> Path:
        """The folder."""
        return self.store.path

    @property
    def bits(self) -> int:
        """Length of the codes."""
        return self.hasher.bits

    @property
    def fields(self) -> Fields:
        """The fields that documents were read with, for those to come."""
        return Fields.from_json(self.store.manifest.about.get("fields") or {})

    @property
    def keeps_vectors(self) -> bool:
        """Whether the documents' features are stored, for re-ranking."""
        return bool(self.store.manifest.about.get("keeps_vectors"))

    @steady
    def __len__(self) -> int:
        return len(self.store.deleted) - int(self.store.deleted.sum())

    @property
    def _rows(self) -> np.ndarray:
        """Rows of the store that are not deleted: position -> row."""
        return np.flatnonzero(~self.store.deleted)

    @property
    @steady
    def ids(self) -> list[str]:
        """All ids, in order of insertion."""
        ids = self.store.ids()
        return [ids[row] for row in self._rows]

    @property
    @steady
    def labels(self) -> list[tuple[str, ...]]:
        """Each document's labels, in order of insertion."""
        labels = self.store.labels()
        return [labels[row] for row in self._rows]

    @property
    @steady
    def codes(self) -> Codes:
        """All codes, uint8 [n, ceil(bits / 8)], in order of insertion."""
        if self._codes is None:
            codes = self.store.codes()
            self._codes = codes[~self.store.deleted] if self.store.deleted.any() else codes
        return self._codes

    # Searching

    def search_by(self, name: str = "auto", threads: int | None = None, verify: bool = False) -> None:
        """Search in this way from now on: `hashret.searcher` has the names; `verify` holds answers against a full scan.

        UsageError where the name is unknown, or not for codes of this length.
        """
        self._way, self._searcher = {"name": name, "threads": threads, "verify": verify}, None
        self._among(())

    @steady
    def search(
        self, queries: Iterable[Query], k: int = 10, labels: Sequence[str] = (), rerank: bool = False
    ) -> list[Hits]:
        """The k nearest documents of each query; where labels are given, of those that carry one of them.

        A query is a text, a picture's path or array, a vector, or a Document, whatever the index holds. A text of which
        the index knows no word has no answer, and the log says so. `rerank` puts the nearest max(1000, k), and all that
        tie with the last of them, in order by a finer distance: between the query's logits and the codes, and between
        vectors where the index keeps them (search/rerank.py has the formulas).
        """
        asked = self.ask(queries, rerank)
        return answered(asked, self._search(asked, k, labels))

    @steady
    def search_codes(self, codes: Codes, k: int = 10, labels: Sequence[str] = ()) -> list[Hits]:
        """The same for queries that are codes already, uint8 [m, ceil(bits / 8)]."""
        return self._search(Asked(codes), k, labels)

    @steady
    def within(
        self, queries: Iterable[Query], radius: int, labels: Sequence[str] = (), rerank: bool = False
    ) -> list[Hits]:
        """All documents whose codes differ from the query's in at most `radius` bits; `rerank` orders all of them."""
        asked = self.ask(queries, rerank)
        return answered(asked, self._within(asked, radius, labels))

    @steady
    def within_codes(self, codes: Codes, radius: int, labels: Sequence[str] = ()) -> list[Hits]:
        """The same for queries that are codes already."""
        return self._within(Asked(codes), radius, labels)

    @steady
    def like(
        self,
        ids: Sequence[str],
        k: int = 10,
        labels: Sequence[str] = (),
        radius: int | None = None,
        rerank: bool = False,
    ) -> list[Hits]:
        """The k documents most like each of these, or all within the radius, the document itself left out.

        Its logits are not stored: to re-rank by them, the stored text or small picture is encoded anew. An index of
        vectors that keeps none has only the code, each bit of which then counts as much as any other.
        """
        asked = self._ask_like(ids) if rerank else Asked(self.codes_of(ids))
        if radius is None:
            answers = self._search(asked, k + 1, labels, SHORT_LIST + 1)
        else:
            answers = self._within(asked, radius, labels)
        return [hits.without(id, k if radius is None else len(hits)) for id, hits in zip(ids, answers, strict=True)]

    def _search(self, asked: Asked, k: int, labels: Sequence[str], least: int = SHORT_LIST) -> list[Hits]:
        searcher, rows = self._among(labels)
        by = self._finely(searcher, asked, rows if labels else None, least)
        found = by.search(asked.codes, k)
        assert found.ties_at_k is not None
        ends = np.arange(1, len(asked.codes) + 1) * found.positions.shape[1]
        return self._hits(rows[found.positions.reshape(-1)], found, ends, found.ties_at_k.tolist())

    def _within(self, asked: Asked, radius: int, labels: Sequence[str]) -> list[Hits]:
        searcher, rows = self._among(labels)
        found = self._finely(searcher, asked, rows if labels else None).within(asked.codes, radius)
        assert found.offsets is not None
        return self._hits(rows[found.positions], found, found.offsets[1:], [None] * len(asked.codes))

    def _finely(
        self, searcher: Searcher, asked: Asked, rows: np.ndarray | None, least: int = SHORT_LIST
    ) -> Searcher | Reranked:
        """The searcher, its answers re-ranked where the queries bring the numbers for it."""
        return searcher if asked.margins is None else Reranked(searcher, self.finer(asked, rows), least)

    def finer(self, asked: Asked, rows: np.ndarray | None = None) -> Finer:
        """The finer distance between queries, asked with `rerank`, and all documents or those in these rows."""
        assert asked.margins is not None
        codes = self.codes if rows is None else self.codes[np.searchsorted(self._rows, rows)]
        by_logits = ByLogits(asked.margins, codes)
        if asked.features is None:
            return by_logits
        places = self._rows if rows is None else rows
        return ByVectors(by_logits, asked.features, lambda positions: self.store.vectors(places[positions]))

    def encode(self, queries: Iterable[Query]) -> Codes:
        """Queries -> codes uint8 [m, ceil(bits / 8)]; DataError where one is of another kind than the index holds."""
        return self.ask(queries).codes

    def ask(self, queries: Iterable[Query], rerank: bool = False) -> Asked:
        """The same, with the numbers to re-rank by if asked for."""
        return encoded(self.hasher, queries, rerank, self.keeps_vectors)

    def _ask_like(self, ids: Sequence[str]) -> Asked:
        """Stored documents as queries, with the numbers to re-rank by."""
        codes, rows = self.codes_of(ids), [self._row(id) for id in ids]
        if self.hasher.reads == "vector":
            margins: Floats | None = np.where(unpack(codes, self.bits), 1, -1).astype(np.float32)
        else:
            documents = [self._restore(self.store.record(row), small=True) for row in rows]
            margins = self.ask(documents, rerank=True).margins
        kept = self.store.vectors(np.array(rows, np.int64)).dense() if self.keeps_vectors else None
        return Asked(codes, margins, kept)

    def _among(self, labels: Sequence[str]) -> tuple[Searcher, np.ndarray]:
        """A searcher over all documents, or over those with one of the labels; and position -> row."""
        rows = self._rows
        if labels:
            here = self.labels
            if unknown := [label for label in labels if not any(label in own for own in here)]:
                raise DataError(f"no document is labelled {unknown[0]!r}; hashret info lists the labels")
            chosen = np.array([any(label in labels for label in own) for own in here])
            return searcher(self.codes[chosen], self.bits, **self._way), rows[chosen]
        if self._searcher is None:
            self._searcher = searcher(self.codes, self.bits, **self._way)
        return self._searcher, rows

    def _hits(self, rows: np.ndarray, found: Neighbors, ends: np.ndarray, ties: list[int | None]) -> list[Hits]:
        """Rows found, query after query, as hits with their documents."""
        distances, start, answers = found.distances.reshape(-1).tolist(), 0, []
        for stop, tied in zip(ends.tolist(), ties, strict=True):
            here = range(start, stop)
            hits = [Hit(self._document(int(rows[i])), distances[i], i - start + 1, found.reranked) for i in here]
            answers.append(Hits(hits, found.exact, found.searcher, tied))
            start = stop
        return answers

    # Reading

    @steady
    def document(self, id: str) -> Document:
        """The document with this id; DataError where there is none."""
        return self._document(self._row(id))

    @steady
    def documents(self) -> Iterator[Document]:
        """All documents, in order of insertion; pictures as the small copies that are stored."""
        return (self._restore(record, small=True) for record in self.store.records())

    @steady
    def thumbnail(self, id: str) -> bytes:
        """The small JPEG that is kept of a picture; nothing of other documents. DataError for an unknown id."""
        return self.store.record(self._row(id)).thumbnail

    @steady
    def codes_of(self, ids: Sequence[str]) -> Codes:
        """The stored codes of these documents, uint8 [m, ceil(bits / 8)]; DataError for an unknown id."""
        rows = [self._row(id) for id in ids]
        return self.codes[np.searchsorted(self._rows, rows)]

    def _row(self, id: str) -> int:
        row = self.store.find(id)
        if row is None:
            raise DataError(f"no document has the id {id!r}; hashret info shows what ids look like")
        return row

    def _document(self, row: int) -> Document:
        return self._restore(self.store.record(row))

    def _restore(self, record: Record, small: bool = False) -> Document:
        return as_document(record, self.hasher.reads, self.store.manifest.about.get("root") or ".", small)

    @steady
    def info(self) -> dict[str, Any]:
        """What there is to know of the index, as JSON can hold it."""
        manifest, codes = self.store.manifest, self.codes
        buckets = np.bincount(group(codes)[1]) if len(codes) else np.zeros(0, int)
        return {
            "path": str(self.path),
            "documents": len(self),
            "holds": self.hasher.reads,
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
        """Everything that is wrong with the index on disk; an empty list where all is well."""
        return verify(self.path)

    # Changing

    def add(self, documents: Iterable[Document | Content], *, replace: bool = False, skip: bool = False) -> int:
        """Encode and append documents; how many. All of them are on disk when it returns, or none.

        An id that is there already is refused with DataError, unless `replace` (the old one is deleted; of a folder
        only files whose size or time changed are read) or `skip` (the new one is left out).
        """
        if replace and skip:
            raise UsageError("an id that is there already is replaced or skipped, not both: choose one of the two")
        policy = "replace" if replace else "skip" if skip else "refuse"
        if replace and isinstance(documents, Stamped):
            documents = documents.only(self._changed(documents))
        source = documents if isinstance(documents, Source) else Memory(documents)
        with self._changing() as (change, now):
            return now._take_in(change, source, policy)

    def delete(self, ids: Iterable[str]) -> int:
        """Delete documents by id; how many. DataError, and nothing deleted, where an id is unknown."""
        with self._changing() as (change, now):
            rows = {now._row(id) for id in ids}
            change.delete(sorted(rows))
            return len(rows)

    def compact(self) -> None:
        """Merge segments and drop what is deleted; answers stay as they are."""
        with self._changing() as (change, _):
            change.compact()

    def refit(self, **fit: Any) -> None:
        """Learn a new hasher from the stored documents and encode them all anew.

        `fit` is what `Hasher.fit` takes; what is not said stays as it was. The old codes serve until the new ones are
        complete. Pictures are learned from their stored small copies, which are exact up to 64 pixels a side. Raises
        UsageError for an index of vectors: it keeps none, or none as they were.
        """
        if self.hasher.reads == "vector":
            raise UsageError("an index of vectors does not keep them as they were; index the source again with --force")
        before = self.store.manifest.generation
        hasher = Hasher.fit(self.documents(), dense=self.keeps_vectors, **self._as_before(fit))
        with self._changing() as (change, now):
            if now.store.manifest.generation != before:
                raise StoreError("another process changed the index while this one was learning; refit again")
            about = dict(now.store.manifest.about)
            change.start_over(hasher.bits, hasher.fingerprint, about, hasher.save)
            for records in batches(track(now.store.records(), "encoding", len(now)), BATCH):
                append(change, hasher, [now._restore(record, small=True) for record in records], records)
            now.hasher = hasher

    def _as_before(self, fit: Mapping[str, Any]) -> dict[str, Any]:
        """What was said of fitting, and where nothing was, how the index was made."""
        old = self.hasher
        options: dict[str, Any] = {}
        if fit.get("vectorizer", old.vectorizer.name) == old.vectorizer.name:
            options |= {f"vectorizer.{name}": value for name, value in old.vectorizer.params().items()}
        if fit.get("encoder", old.encoder) == old.encoder:
            options |= {f"encoder.{name}": value for name, value in old.params.items()}
        options |= fit.get("options") or {}
        before = {"bits": self.bits, "encoder": old.encoder, "vectorizer": old.vectorizer.name}
        return {**before, **fit, "options": options}

    @contextmanager
    def _changing(self) -> Iterator[tuple[Transaction, Index]]:
        """A transaction, and this index as of the newest generation, on which it works.

        It becomes this one when it is done: queries under way in other threads keep the generation they began with.
        """
        now = snapshot(self)
        now.store = copy(self.store)
        try:
            with now.store.write(write_file) as change:
                now._follow()
                yield change, now
        finally:
            now._follow()
            become(self, now, lambda old: old.store.manifest.generation <= now.store.manifest.generation)

    def _follow(self) -> None:
        """Take up the generation that the store has now, and its hasher where that is another."""
        self._codes = self._searcher = None
        if self.hasher.fingerprint != self.store.manifest.fingerprint:
            self.hasher = Hasher.load(self.store.hasher_path)

    def _take_in(self, change: Transaction, documents: Iterable[Document], policy: str) -> int:
        """Encode and append documents in batches; how many. `policy`: what becomes of ids that are there already."""
        seen: set[str] = set()
        root = str(change.about.get("root") or "")
        added = 0
        for batch in batches(track(documents, "encoding", expected(documents)), BATCH):
            fresh = select(change, batch, seen, policy)
            append(change, self.hasher, fresh, [as_record(document, root) for document in fresh])
            added += len(fresh)
        return added

    def _changed(self, source: Stamped) -> set[str]:
        """Ids of the source's files that are new, or whose size or time is not as stored."""
        changed = set()
        for id, stamp in source.stamps():
            row = self.store.find(id)
            if row is None or any(self.store.record(row).metadata.get(key) != value for key, value in stamp.items()):
                changed.add(id)
        return changed

    def close(self) -> None:
        """Let go of all files."""
        self.store.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process goes the path, and the index is opened there."""
        return type(self).open, (str(self.path.absolute()),)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _opened(path: Path) -> tuple[Store, Hasher]:
    """An index's files and its hasher, of one generation."""
    while True:
        store = Store.open(path)
        try:
            return store, Hasher.load(store.hasher_path)
        except HashretError:
            if Store.open(path).manifest.hasher == store.manifest.hasher:
                raise  # else it was replaced between the two, and has gone


def write_file(path: Path, codes: Codes, bits: int) -> None:
    """Write FAISS's file of a segment; what only reads an index does without FAISS."""
    from hashret.search import faiss

    faiss.write_file(path, codes, bits)


def verify(path: str | Path) -> list[Problem]:
    """Everything that is wrong with the index at a path, even where it cannot be opened; UsageError where none is."""
    from hashret.store.check import Problem, problems

    wrong = problems(Path(path))
    if not wrong:
        try:
            with Index.open(path) as index:
                if index.hasher.fingerprint == index.store.manifest.fingerprint:
                    return []
            what = "is not the one that made the codes: its fingerprint does not fit"
        except HashretError as error:
            what = f"cannot be used: {error}"
        wrong.append(Problem("hasher", what, "queries cannot be trusted; index the source again, or restore a copy"))
    return wrong


def repair(path: str | Path) -> Repaired:
    """Mend the index at a path as far as can be, and tell what was done and what is lost; UsageError where none is."""
    from hashret.store.repair import repair

    return repair(Path(path), write_file)
