"""The part of `RemoteIndex` that reads documents, codes and facts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np

from hashret.address import APPROXIMATE
from hashret.backends.base import Engine, Row, State
from hashret.backends.ranked import Stored
from hashret.codes import Codes, width
from hashret.documents import Document, as_id, as_ids
from hashret.errors import HashretError, StoreError, UnknownId, UsageError
from hashret.hasher import BATCH, Hasher
from hashret.index import Index
from hashret.parts import Parts

T = TypeVar("T")


class RemoteReading(Index):
    """Base class of `RemoteIndex`, for reading."""

    def __init__(self, engine: Engine, state: State, hasher: Hasher, parts: Parts) -> None:
        self.engine, self._state = engine, state
        self.hasher, self._parts = hasher, parts
        self._cache: dict[str, Any] = {}  # values computed once per generation, used inside of `engine.run` only
        self._approximate = engine.address.approximate

    @property
    def _closed(self) -> bool:
        return self.engine.closed

    def __len__(self) -> int:
        return self.engine.run(self._count)

    def _count(self) -> int:
        """The number of documents."""
        state = self._current()
        return self._cached("documents", lambda: self.engine.documents(state))

    def __contains__(self, id: object) -> bool:
        def find() -> bool:
            self._current()
            return self.engine.find([as_id(id)])[0] is not None

        return self.engine.run(find)

    def __reduce__(self) -> NoReturn:
        raise HashretError("a remote index cannot be pickled, because its address may hold a password; open it again")

    @property
    def name(self) -> str:
        """The address, without user and password."""
        return str(self.engine.address)

    @property
    def path(self) -> Path:
        """Not available: the index is in no folder."""
        raise UsageError(f"index {self.name} is not in a folder and has no path")

    @property
    def store(self) -> NoReturn:  # type: ignore[override]
        """Not available: the index is in no folder."""
        raise UsageError(f"index {self.name} is not in a folder; pull it into one")

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that the engine can score."""
        there = {
            "words": self._parts.analyzer and self.engine.has_words,
            "codes": True,
            "vectors": self._parts.quantizer,
        }
        return tuple(name for name, part in there.items() if part)

    @property
    def _about(self) -> Mapping[str, Any]:
        return self._state.about

    def _current(self) -> State:
        """Return the state in the engine. Raises StoreError if there is another index now."""
        state = self.engine.state()
        check_same(self._state, state, self.name)
        if state.change != self._state.change or state.generation != self._state.generation:
            self._state, self._cache = state, {}
        return state

    @property
    def ids(self) -> list[str]:
        """All ids, in order of insertion."""
        return self.engine.run(lambda: [id for _, id, _ in self._heads()])

    @property
    def labels(self) -> list[tuple[str, ...]]:
        """The labels of all documents, in order of insertion."""
        return self.engine.run(lambda: [labels for *_, labels in self._heads()])

    def _heads(self) -> Iterator[tuple[int, str, tuple[str, ...]]]:
        self._current()
        return self.engine.heads()

    @property
    def codes(self) -> Codes:
        """All codes, in order of insertion."""
        return self.engine.run(lambda: self._all().codes.codes)

    def _all(self) -> Stored:
        """Codes and vectors of all documents."""
        self._current()
        return self._cached("all", lambda: Stored.of(self.engine.columns(), self.bits, self._parts.quantizer))

    def _cached(self, name: str, make: Callable[[], T]) -> T:
        if name not in self._cache:
            self._cache[name] = make()
        found: T = self._cache[name]
        return found

    def document(self, id: str) -> Document:
        """Return the document with this id."""
        return self.engine.run(lambda: self._restore(self.engine.records(self._positions([id]))[0]))

    def documents(self) -> Iterator[Document]:
        """Iterate over all documents, in order of insertion. Each block of documents is read when it is needed."""

        def read(after: int) -> list[Row]:
            self._current()
            return list(self.engine.rows(after, BATCH))

        after = -1
        while True:
            rows = self.engine.run(partial(read, after))
            yield from self._inputs((row.record for row in rows), self.hasher.vectorizer.pretrained)
            if len(rows) < BATCH:
                return
            after = rows[-1].position

    def thumbnail(self, id: str) -> bytes:
        """Return the stored thumbnail of an image."""
        return self.engine.run(lambda: self.engine.records(self._positions([id]))[0].thumbnail)

    def codes_of(self, ids: str | Sequence[str]) -> Codes:
        """Return the stored codes of documents."""
        return self.engine.run(lambda: self._stored(self._positions(as_ids(ids))).codes.codes)

    def _positions(self, ids: Sequence[str]) -> list[int]:
        self._current()
        found = self.engine.find([as_id(id) for id in ids])
        for id, position in zip(ids, found, strict=True):
            if position is None:
                raise UnknownId(f"no document has the id {id!r}", id=id, path=self.name)
        return [position for position in found if position is not None]

    def _stored(self, positions: Sequence[int]) -> Stored:
        """Codes and vectors at these positions, in this order."""
        found = self.engine.columns(positions)
        order = np.searchsorted(found.positions, positions)
        vectors = [found.vectors[place] for place in order] if found.vectors else []
        columns = type(found)(found.positions[order], found.codes[order], vectors, found.norms[order])
        return Stored.of(columns, self.bits, self._parts.quantizer)

    def info(self) -> dict[str, Any]:
        """Return statistics and settings of the index."""
        return self.engine.run(self._info)

    def _info(self) -> dict[str, Any]:
        state, documents = self._current(), self._count()
        examples = [record.id for record in self.engine.records(self.engine.first(3).tolist())]
        return {
            "path": self.name,
            "documents": documents,
            **self._settings(),
            "bytes": self.engine.size(),
            "code_bytes": documents * width(state.bits),
            "search": APPROXIMATE[self.engine.name] if self._approximate else "scan",
            "labels": self.engine.label_names(1000),
            "example_ids": examples,
            "fingerprint": state.fingerprint,
            "generation": state.generation,
        }

    def close(self) -> None:
        """Close the connection."""
        self.engine.close()


def check_same(known: State, now: State, where: str) -> None:
    """Raise StoreError if there is another index at the address now, or another hasher made its codes."""
    if now.identity != known.identity:
        raise StoreError(f"index {where} was replaced by another index; open it again", path=where)
    if now.fingerprint != known.fingerprint:
        raise StoreError(f"index {where} has codes of another hasher now; open it again", path=where)
