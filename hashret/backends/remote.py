"""`RemoteIndex`: an index that an engine stores. It has the methods of `Index`, which opens one for an address."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from hashret.address import Address
from hashret.backends.base import Engine, State
from hashret.backends.engines import engine_of
from hashret.backends.reading import check_same
from hashret.backends.searching import RemoteSearching
from hashret.deduplication.collection import Collection, Read
from hashret.documents import Document, Documents, Records, as_ids, batches, bytes_of
from hashret.errors import StoreError, UnknownId, UsageError
from hashret.hasher import BATCH, Hasher
from hashret.index import learn
from hashret.ingest import BATCH_BYTES, as_record, describe, placed, select
from hashret.parts import Parts, vocabulary_of
from hashret.readers import as_source
from hashret.readers.base import Source
from hashret.store.check import Problem

log = logging.getLogger("hashret")


class RemoteIndex(RemoteSearching):
    """An index in an engine."""

    @classmethod
    def connect(cls, path: str | Path, search: str = "auto", threads: int | None = None) -> Self:
        """Open the index at an address. The arguments are those of `Index.open`, which calls this."""
        engine = engine_of(Address.parse(str(path)))
        try:
            state, hasher, parts = engine.run(lambda: read_index(engine))
            index = cls(engine, state, hasher, parts)
            index.search_by(search, threads)
        except BaseException:
            engine.close()
            raise
        return index

    @classmethod
    def learn(
        cls,
        path: str | Path,
        source: Source,
        fit: Mapping[str, Any],
        hasher: Hasher | None,
        vectors: int | str | None,
        language: str,
        force: bool,
    ) -> Self:
        """Learn a hasher and store the documents at an address. `Index.create` calls this with checked arguments."""
        engine = engine_of(Address.parse(str(path)))
        try:
            engine.check_vacant(force)
            hasher, parts = learn(source, hasher, fit, vectors, language)
            state = new_state(hasher, parts, describe(source, hasher) | parts.about())
            index = cls(engine, state, hasher, parts)
            if not engine.atomic:
                index._check_all(source, "create")
            with engine.write(create=True, force=force) as change:
                change.start_over(state, hasher.files() | parts.files)
                index._take_in(change, source, "refuse")
            index._state = change.state
        except BaseException:
            engine.close()
            raise
        return index

    def verify(self) -> list[Problem]:
        """Check counts, lengths and cross-references. Returns the problems found."""
        found = self.engine.run(lambda: self.engine.problems(self._current()))
        if self.hasher.fingerprint != self._state.fingerprint:
            found.append(("hasher", "did not create the codes: its fingerprint does not match", "push the index again"))
        return [Problem(*own) for own in found]

    def add(
        self, documents: Source | Documents | Records, *, replace: bool = False, skip: bool = False, prune: bool = False
    ) -> int:
        """Encode and append documents. The arguments are those of `Index.add`, except `prune`."""
        if replace and skip:
            raise UsageError("replace and skip cannot be combined; choose one")
        if prune:
            raise UsageError("prune is for an index in a folder; delete the documents by id")
        policy = "replace" if replace else "skip" if skip else "refuse"
        source = as_source([documents] if isinstance(documents, str) else documents)
        source = placed(source, self.engine.run(self._current).about)[1]
        if not self.engine.atomic:
            self._check_all(source, policy)
        with self.engine.write() as change:
            check_same(self._state, change.state, self.name)
            change.about = placed(source, change.about)[0]
            before = change.documents
            added, left = self._take_in(change, source, policy)
            replaced = before + added - change.documents
        self._state, self._cache = change.state, {}
        log.info(f"documents added: {added - replaced:,}, replaced: {replaced:,}, skipped: {left:,}")
        return added

    def _check_all(self, source: Iterable[Document], policy: str = "refuse") -> None:
        """Find documents that will be refused before the first is written, for an engine without transactions."""
        dry, seen, root = _Dry(self.engine, policy != "create"), set[str](), str(self._about.get("root") or "")
        for batch in batches(source, BATCH, bytes_of, BATCH_BYTES):
            fresh = self.engine.run(partial(select, dry, batch, seen, policy))
            self.engine.check([as_record(document, root) for document in fresh])

    def delete(self, ids: str | Iterable[str]) -> int:
        """Delete one or more documents by id. Returns their number. If an id is unknown, nothing is deleted."""
        wanted = list(dict.fromkeys(as_ids(ids)))
        with self.engine.write() as change:
            check_same(self._state, change.state, self.name)
            found = change.rows_of(wanted)
            for id, position in zip(wanted, found, strict=True):
                if position is None:
                    raise UnknownId(f"no document has the id {id!r}", id=id, path=self.name)
            change.delete([position for position in found if position is not None])
        self._state, self._cache = change.state, {}
        return len(wanted)

    def sql(self, query: str) -> list[dict[str, Any]]:
        """Not available: ask the engine itself, or pull the index into a folder."""
        raise self._in_a_folder("sql")

    def to_arrow(self) -> Any:
        """Not available: pull the index into a folder."""
        raise self._in_a_folder("to_arrow")

    def export(self, path: str | Path, *, force: bool = False) -> int:
        """Not available: pull the index into a folder."""
        raise self._in_a_folder("export")

    def reopened(self) -> Self:
        """Not needed: each call sees the newest generation."""
        raise self._in_a_folder("reopened")

    def explain(self, *arguments: Any, **keywords: Any) -> Any:
        """Not available: pull the index into a folder."""
        raise self._in_a_folder("explain")

    def explain_bits(self) -> Any:
        """Not available: pull the index into a folder."""
        raise self._in_a_folder("explain_bits")

    def health(self, *arguments: Any, **keywords: Any) -> Any:
        """Not available: pull the index into a folder."""
        raise self._in_a_folder("health")

    def mark_different(self, first: str, second: str, *, different: bool = True) -> None:
        """Not available: pull the index into a folder."""
        raise self._in_a_folder("mark_different")

    def change_files(self, *arguments: Any, **keywords: Any) -> Any:
        """Not available: pull the index into a folder."""
        raise self._in_a_folder("change_files")

    def _collection(self) -> Collection:
        return Read(_Again(self.documents), len(self), self._parts.analyzer)

    def _without_index(self, source: Source) -> Source:
        return source

    def _pairs_file(self) -> None:
        return None

    def _in_a_folder(self, what: str) -> UsageError:
        return UsageError(f"{what} is for an index in a folder; pull this index into one")

    def compact(self) -> None:
        """Not available: the engine does this by itself."""
        raise UsageError(f"compact is for an index in a folder; {self.engine.name} frees space by itself")

    def refit(self, **arguments: Any) -> None:
        """Not available: pull the index into a folder, refit it there, and push it."""
        raise UsageError("refit is for an index in a folder; pull this index, refit the folder, and push it")


class _Again:
    """The documents, read anew each time."""

    def __init__(self, documents: Callable[[], Iterator[Document]]) -> None:
        self.documents = documents

    def __iter__(self) -> Iterator[Document]:
        return self.documents()


class _Dry:
    """A change that looks up ids and changes nothing."""

    started_over = False
    about: Mapping[str, Any] = {}

    def __init__(self, engine: Engine, exists: bool) -> None:
        self.engine, self.exists = engine, exists

    def rows_of(self, ids: Sequence[str]) -> list[int | None]:
        """Return the position of each id, or None."""
        return self.engine.find(ids) if self.exists else [None] * len(ids)

    def add(self, *_: Any) -> None:
        """Do nothing."""

    def delete(self, rows: Sequence[int]) -> None:
        """Do nothing."""


def new_state(hasher: Hasher, parts: Parts, about: Mapping[str, Any]) -> State:
    """The state of a new index."""
    quantizer = parts.quantizer
    vector_bytes = 0 if quantizer is None else quantizer.width * np.dtype(quantizer.dtype).itemsize
    return State(hasher.bits, hasher.fingerprint, uuid.uuid4().hex, about, vector_bytes, 1)


def read_index(engine: Engine) -> tuple[State, Hasher, Parts]:
    """Read the state and the hasher. Raises StoreError if a push is not complete or the hasher made other codes."""
    state, where = engine.state(), str(engine.address)
    if state.source:
        raise StoreError(
            f"index {where} is incomplete: its creation or a push to it was cut off; push or create it again",
            path=where,
        )
    hasher = Hasher.from_files(engine.file, where)
    if hasher.fingerprint != state.fingerprint or hasher.bits != state.bits:
        raise StoreError(f"the codes of index {where} are of another hasher; push the index again", path=where)
    return state, hasher, Parts.restore(state.about, engine.file, vocabulary_of(hasher))
