"""Source of vectors in FAISS indexes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from hashret import worker
from hashret.documents import Document
from hashret.errors import DataError
from hashret.readers.arrays import CHUNK_BYTES, CHUNK_ROWS, MAX_ROW, documents_of
from hashret.readers.base import USUAL, Fields, Source, no_fields, shown
from hashret.readers.decode import raw_head, reading

BINARY = (b"IBxF", b"IBwF", b"IBHf", b"IBHc", b"IBHh", b"IBHm", b"IBFf", b"IBMp", b"IBM2")
_CONSTANT = (1 << 20).to_bytes(8, "little") * 2  # FAISS writes it into the header of every index of floats

log = logging.getLogger("hashret")


class Faiss(Source):
    """One document per vector of a FAISS index of floats; its id is that of the index, otherwise `name:number`.

    An index that compresses its vectors gives them back approximately, and a warning is logged.
    """

    name: ClassVar[str] = "faiss"
    summary: ClassVar[str] = "a FAISS index of float vectors (faiss.write_index), with its ids if it has an id map"

    def __init__(self, path: Path, fields: Fields = USUAL) -> None:
        no_fields(fields, f"a FAISS index ({shown(path.name)})")
        super().__init__(path, fields)
        if raw_head(path).startswith(BINARY):
            raise DataError(f"{shown(path)} is a FAISS index of binary codes; give the vectors that they were made of")
        self._told = False

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the file starts like a FAISS index, of floats or of binary codes."""
        if not path.is_file():
            return False
        start = raw_head(path)[:32]
        return (start[:1] == b"I" and start[16:] == _CONSTANT) or (start.startswith(BINARY) and b"\0" in start)

    @property
    def kind(self) -> str:
        """Always "vector"."""
        return "vector"

    def count(self) -> int:
        """Return the number of vectors given in the header."""
        return self._header()[1]

    def __iter__(self) -> Iterator[Document]:
        dim, count = self._header()
        size, block, number = self.path.stat().st_size, max(1, min(CHUNK_ROWS, CHUNK_BYTES // (4 * dim))), 0
        try:
            found = worker.stream("hashret.worker.faiss:rows", size, path=worker.real(self.path), block=block)
            for (width, ids, exact), raw in found:
                if not exact and not self._told:
                    log.warning("%s is a compressed FAISS index: its vectors are approximate", shown(self.path))
                self._told = True
                rows = np.frombuffer(raw, "<f4").reshape(-1, width)
                yield from documents_of(self.path, rows, None, None if ids is None else np.array(ids), number)
                number += len(rows)
        except worker.Unreadable as error:
            raise DataError(f"{shown(self.path)} cannot be read as a FAISS index: {error}") from error
        if number != count:
            raise DataError(f"{shown(self.path)} claims {count} vectors but holds {number}")

    def _header(self) -> tuple[int, int]:
        """Return the number of dimensions and of vectors, as the file claims them."""
        with reading(self.path), self.path.open("rb") as stream:
            start = stream.read(16)
        dim, count = (int.from_bytes(part, "little", signed=True) for part in (start[4:8], start[8:16]))
        if not 0 < 4 * dim <= MAX_ROW or count < 0:
            raise DataError(f"{shown(self.path)} claims {count} vectors of {dim} dimensions; it is damaged")
        return dim, count
