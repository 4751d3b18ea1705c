"""Cache of embeddings in an SQLite file, so that a model computes each document once."""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from hashret.documents import Document
from hashret.features import Floats

AT_ONCE = 500  # keys in one query; SQLite limits the number of parameters
WAIT = 60  # seconds for another process that writes to the cache

log = logging.getLogger("hashret")


class Cache:
    """Embeddings by key. A cache that cannot be used is reported once, and nothing is cached."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def find(self, keys: Sequence[bytes], dim: int | None) -> dict[bytes, Floats]:
        """Return the embeddings that the cache has for these keys, float32 [dim] each."""
        found: dict[bytes, Floats] = {}
        if self.path is None or not self.path.exists():
            return found
        try:
            with closing(sqlite3.connect(self.path, timeout=WAIT)) as connection:
                for start in range(0, len(keys), AT_ONCE):
                    some = list(keys[start : start + AT_ONCE])
                    asked = f"SELECT key, embedding FROM embeddings WHERE key IN ({', '.join('?' * len(some))})"
                    found |= {key: np.frombuffer(data, "<f4") for key, data in connection.execute(asked, some)}
        except sqlite3.Error as error:
            self._give_up(error)
        return {key: row for key, row in found.items() if dim is None or len(row) == dim}

    def keep(self, keys: Sequence[bytes], embeddings: Floats) -> None:
        """Store embeddings [n, dim], all or none of them."""
        if self.path is None:
            return
        rows = zip(keys, (row.astype("<f4").tobytes() for row in embeddings), strict=True)
        try:
            with closing(sqlite3.connect(self.path, timeout=WAIT)) as connection, connection:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS embeddings (key BLOB PRIMARY KEY, embedding BLOB NOT NULL)"
                )
                connection.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?)", rows)
        except sqlite3.Error as error:
            self._give_up(error)

    def _give_up(self, error: sqlite3.Error) -> None:
        log.warning("the cache of embeddings at %s cannot be used (%s); nothing is cached", self.path, error)
        self.path = None


def keys(space: str, documents: Sequence[Document]) -> list[bytes]:
    """Return the keys of documents: digests of their contents and of `space`, which describes the model."""
    return [hashlib.sha256(space.encode() + b"\0" + _content(document)).digest() for document in documents]


def _content(document: Document) -> bytes:
    content = document.content
    if isinstance(content, str):
        return content.encode("utf-8", "surrogatepass")
    if isinstance(content, Path):
        return content.read_bytes()
    array = np.ascontiguousarray(content)
    return f"{array.dtype.str} {array.shape}\0".encode() + array.tobytes()
