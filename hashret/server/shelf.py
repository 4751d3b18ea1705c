"""The indexes of a server. Each request gets the current generation, also if another process changed the index."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from hashret.address import is_address
from hashret.errors import HashretError, IndexNotFound
from hashret.index import Index

R = TypeVar("R")
Stamp = tuple[int, int, int] | None
MANIFEST = "manifest.json"


class Kept:
    """Values of one generation of an index, by key, each with a lock."""

    def __init__(self, generation: tuple[int, str] | None) -> None:
        self.generation = generation
        self.values: dict[Any, Any] = {}
        self.locks: dict[Any, threading.Lock] = {}


class Served:
    """One index, by name."""

    def __init__(self, name: str, path: str) -> None:
        self.name, self.path = name, path
        self.local = not is_address(path)
        self._opening, self._changing = threading.Lock(), threading.Lock()
        self._stamp: Stamp = None
        self._index: Index | None = None
        self._kept, self._keeping = Kept(None), threading.Lock()

    def open(self) -> None:
        """Open the index for the first time. Raises HashretError if that fails."""
        Index.open(self.path).close()  # its error says more than that of a missing file
        self._refresh()

    def index(self) -> Index:
        """The index at its current generation; opens it again if its files changed. Raises IndexNotFound if gone."""
        stamp = self._now()
        if self._index is None or stamp != self._stamp:
            with self._opening:
                if self._index is None or stamp != self._stamp:
                    self._take_up(self._opened(), stamp)
        found = self._index
        assert found is not None
        return found

    def change(self, act: Callable[[Index], R]) -> R:
        """Change the index, and serve the new generation before this returns."""
        with self._changing:
            own = self.index().reopened() if self.local else Index.open(self.path)
            result = act(own)
            self._refresh()
            return result

    def _refresh(self) -> None:
        """Open the index again. What is opened is at least as new as the stamp."""
        with self._opening:
            stamp = self._now()
            self._take_up(self._opened(), stamp)

    def kept(self, key: Any, index: Index, make: Callable[[], R]) -> R:
        """A value of this generation of the index, such as its map, made once. Other keys do not wait for it."""
        if not self.local:
            return make()
        generation = (index.store.manifest.generation, index.hasher.fingerprint)
        with self._keeping:
            if self._kept.generation != generation:
                self._kept = Kept(generation)
            kept = self._kept
            lock = kept.locks.setdefault(key, threading.Lock())
        with lock:
            if key not in kept.values:
                kept.values[key] = make()
            found: R = kept.values[key]
            return found

    def _now(self) -> Stamp:
        """What tells one generation from another without opening it."""
        if not self.local:
            return None
        try:
            found = os.stat(Path(self.path) / MANIFEST)  # noqa: PTH116
        except OSError:
            self._index = None
            raise IndexNotFound(f"index {self.name!r} is not there any more; build it again", path=self.path) from None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _opened(self) -> Index:
        """Open the index, and load what the first query needs."""
        index = self._index.reopened() if self.local and self._index is not None else Index.open(self.path)
        if len(index):
            with suppress(HashretError):
                index.search_codes(index.codes[:1], k=1)
            if self.local and index.hasher.document_type == "text":
                index.scores("a")
        return index

    def _take_up(self, index: Index, stamp: Stamp) -> None:
        self._index, self._stamp = index, stamp  # queries that run keep the old one, which closes with the last of them


class Shelf:
    """All indexes of a server, by name."""

    def __init__(self, indexes: Mapping[str, str]) -> None:
        self.served = {name: Served(name, path) for name, path in indexes.items()}

    def __getitem__(self, name: str) -> Served:
        if name not in self.served:
            raise IndexNotFound(f"no such index; there are: {', '.join(self.served)}", path=name)
        return self.served[name]

    def __iter__(self) -> Any:
        return iter(self.served.values())

    def check(self) -> None:
        """Open all indexes. Raises HashretError if one cannot be opened."""
        for served in self.served.values():
            served.open()
