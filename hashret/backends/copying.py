"""Copies of an index: `push` from a folder to an engine, `pull` from an engine to a folder.

A copy that is interrupted goes on where it stopped when it is called again. At the end, the numbers of documents and
the checksums of both sides are compared; until then the copy cannot be opened.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hashret.address import Address
from hashret.backends.base import BLOCK, FIRST_WAIT, TRIES, Engine, Row, State, Unreachable
from hashret.backends.engines import engine_of
from hashret.backends.remote import new_state, read_index
from hashret.documents import batches
from hashret.errors import IndexExists, IndexNotFound, StoreError, UsageError
from hashret.features import Vectors
from hashret.index import Index
from hashret.parts import Parts
from hashret.progress import track
from hashret.quantizer import Quantizer
from hashret.store import Derived, Store
from hashret.store.reader import resolved

log = logging.getLogger("hashret")

COPIED = "copied_from"  # of the description of an index in a folder: what it is a copy of
PULLED = 10_000  # documents of a transaction of `pull`


def push(path: str | Path, address: str, *, force: bool = False) -> int:
    """Copy the index in a folder to an engine. Returns the number of documents.

    If a push was interrupted, the same call goes on where it stopped.

    Args:
        path: The folder of the index.
        address: The address of the copy.
        force: Replace an index that is there.

    Raises:
        IndexExists: There is another index at the address, and `force` is not set.
        StoreError: The engine cannot be reached, or the copy differs from the folder.
    """
    engine = engine_of(Address.parse(address))
    try:
        with Index.open(_folder(path)) as index:
            return _Push(index, engine).run(force)
    finally:
        engine.close()


def pull(address: str, path: str | Path) -> int:
    """Copy the index of an engine to a folder. Returns the number of documents.

    The copy is made in a hidden folder beside `path`, and renamed when it is complete. If a pull was interrupted, the
    same call goes on where it stopped.

    Args:
        address: The address of the index.
        path: The folder to make. It must not exist, or be empty.

    Raises:
        IndexExists: There is an index at `path`.
        StoreError: The engine cannot be reached, or the index was changed during the copy.
    """
    engine = engine_of(Address.parse(address))
    try:
        return _Pull(engine, _folder(path)).run()
    finally:
        engine.close()


def _folder(path: str | Path) -> Path:
    if "://" in str(path):
        raise UsageError("an index is copied between a folder and an engine; give the path of a folder")
    return resolved(path)


class _Push:
    """A push from an open index to an engine."""

    def __init__(self, index: Index, engine: Engine) -> None:
        self.index, self.engine = index, engine
        self.parts: Parts = replace(index._parts, original=None)
        if index._parts.original is not None:
            log.warning("original features (rescore) are not copied")
        manifest = index.store.manifest
        self.source = f"{manifest.identity}:{manifest.generation}"

    def run(self, force: bool) -> int:
        """Create the copy or find out how far it is, copy the rest, compare."""
        state = self._begun()
        if state is None or state.source != self.source:
            if state is not None and not force:
                what = "an incomplete copy of something else" if state.source else "an index"
                raise IndexExists(f"there is {what} at {self.engine.address}", path=str(self.engine.address))
            self.engine.check_vacant(force)
            for batch in batches(rows_of(self.index), BLOCK):
                self.engine.check([row.record for row in batch])
            self._retried(lambda: self._create(force))
        done = self.engine.run(lambda: self.engine.documents(self.engine.state()))
        total = len(self.index)
        rest = islice(rows_of(self.index), done, None)
        for batch in batches(track(rest, "copying", total - done), BLOCK):
            self._retried(lambda batch=batch: self._add(batch))  # type: ignore[misc]
        compare(rows_of(self.index), self.engine)
        self._retried(self._finish)
        return total

    def _begun(self) -> State | None:
        try:
            return self.engine.run(self.engine.state)
        except IndexNotFound:
            return None

    def _create(self, force: bool) -> None:
        index = self.index
        about = {**index.store.manifest.about, **self.parts.about()}
        state = new_state(index.hasher, self.parts, about)
        with self.engine.write(create=True, force=force) as change:
            change.start_over(state, index.hasher.files() | self.parts.files)
            change.update(source=self.source)

    def _add(self, batch: Sequence[Row]) -> None:
        """Add a batch, unless all of it is there: the answer to an earlier attempt may have been lost."""
        with self.engine.write() as change:
            if change.state.source != self.source:
                raise StoreError(f"index {self.engine.address} was replaced during the copy", path="")
            if change.documents <= batch[-1].position:
                change.update(next=batch[0].position)  # Milvus may have reserved positions that were not used
                codes = np.frombuffer(b"".join(row.code for row in batch), np.uint8).reshape(len(batch), -1)
                change.add(codes, [row.record for row in batch], derived(batch, self.parts, self.engine.has_words))

    def _finish(self) -> None:
        with self.engine.write() as change:
            change.update(source="")

    def _retried(self, work: Callable[[], None]) -> None:
        """Call a function that changes the copy, and call it again with growing waits if the connection fails."""
        for number in range(TRIES):
            try:
                return work()
            except Unreachable as error:
                if number + 1 == TRIES:
                    words = f"{error}; the copy is incomplete, push again to go on"
                    raise StoreError(words, path=str(self.engine.address)) from None
                time.sleep(FIRST_WAIT * 3**number)
        return None


class _Pull:
    """A pull from an engine to a folder."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self.engine, self.path = engine, path
        self.partial = path.parent / f".{path.name}.pull"

    def run(self) -> int:
        """Open or create the hidden folder, copy the rest, compare, rename."""
        Store.new(self.path)  # raises an error if there is something
        state, hasher, parts = self.engine.run(lambda: read_index(self.engine))
        token = f"{state.identity}:{state.change}"
        store = self._begun(token)
        if store is None:
            store = Store.new(self.partial, force=True)
            about = dict(state.about) | {COPIED: {"change": token, "after": -1}}
            with store.write() as change:
                change.start_over(hasher.bits, hasher.fingerprint, about, hasher.files() | parts.files)
        total = self.engine.run(lambda: self.engine.documents(state))
        rest = self._rows(token, store.manifest.about[COPIED]["after"])
        for batch in batches(track(rest, "copying", total - store.manifest.rows), PULLED):
            codes = np.frombuffer(b"".join(row.code for row in batch), np.uint8).reshape(len(batch), -1)
            with store.write() as change:
                change.add(codes, [row.record for row in batch], derived(batch, parts, words=True))
                change.about = dict(change.about) | {COPIED: {"change": token, "after": batch[-1].position}}
        store.close()
        with Index.open(self.partial) as index:
            compare(rows_of(index), self.engine)
        self.partial.rename(self.path)
        return total

    def _begun(self, token: str) -> Store | None:
        """Open the hidden folder if it has a part of this copy."""
        try:
            store = Store.open(self.partial)
        except IndexNotFound:
            return None
        begun = store.manifest.about.get(COPIED)
        return store if isinstance(begun, dict) and begun.get("change") == token else None

    def _rows(self, token: str, after: int) -> Iterator[Row]:
        """Yield the rows after a position, a block at a time, so that a lost connection costs one block."""

        def block(after: int) -> list[Row]:
            state = self.engine.state()
            if f"{state.identity}:{state.change}" != token:
                where = str(self.engine.address)
                raise StoreError(f"index {where} was changed during the copy; pull it again", path=where)
            return list(self.engine.rows(after, BLOCK))

        while rows := self.engine.run(lambda after=after: block(after)):  # type: ignore[misc]
            yield from rows
            after = rows[-1].position


def rows_of(index: Index) -> Iterator[Row]:
    """Yield the documents of an index in a folder with their codes and vectors, numbered in order."""
    position, start = 0, 0
    for segment in index.store.segments:
        codes, vectors = segment.codes(), segment.vectors()
        gone = index.store.deleted[start : start + segment.rows]
        start += segment.rows
        for row, record in enumerate(segment.records()):
            if not gone[row]:
                vector = b"" if vectors is None else vectors.values[row].tobytes()
                norm = 0.0 if vectors is None else float(vectors.norms[row])
                yield Row(position, record, codes[row].tobytes(), vector, norm)
                position += 1


def derived(rows: Sequence[Row], parts: Parts, words: bool) -> Derived:
    """The parts of documents: the stored vectors, and words made from the texts."""
    made = parts.derive(None, [row.record for row in rows]) if words else Derived()
    return Derived(_vectors(rows, parts.quantizer), made.words, made.titles, sketches=made.sketches)


def _vectors(rows: Sequence[Row], quantizer: Quantizer | None) -> Vectors | None:
    if quantizer is None:
        return None
    values = np.frombuffer(b"".join(row.vector for row in rows), quantizer.dtype).reshape(len(rows), quantizer.width)
    return Vectors(values, np.array([row.norm for row in rows], np.float32))


def compare(here: Iterable[Row], engine: Engine) -> None:
    """Raise StoreError unless folder and engine have the same documents in the same order."""
    count = engine.run(engine.count)
    after, digest, number = -1, hashlib.sha256(), 0
    while rows := engine.run(lambda after=after: list(engine.rows(after, BLOCK))):  # type: ignore[misc]
        _feed(digest, rows)
        after, number = rows[-1].position, number + len(rows)
    mine, total = hashlib.sha256(), 0
    for batch in batches(here, BLOCK):
        _feed(mine, batch)
        total += len(batch)
    if (total, total, mine.digest()) != (number, count, digest.digest()):
        what = f"{total:,} and {number:,} documents" if total != number else "different documents"
        words = f"folder and engine have {what} after the copy; copy again, replacing the index there"
        raise StoreError(words, path=str(engine.address))


def _feed(digest: Any, rows: Iterable[Row]) -> None:
    for row in rows:
        record = row.record
        texts = json.dumps([record.id, record.content, record.labels, dict(record.metadata), row.norm], sort_keys=True)
        for part in (texts.encode(), record.thumbnail, row.code, row.vector):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
