"""`Spool`: a temporary file for input that can be read only once."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterable
from typing import IO


class Spool:
    """An unnamed temporary file; the system removes it when the process ends, however that happens."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile(prefix="hashret-")  # noqa: SIM115  closed when nothing refers to it
        weakref.finalize(self, self.file.close)
        self.lock = threading.Lock()

    def copy(self, stream: IO[bytes]) -> None:
        """Write all bytes of a stream."""
        shutil.copyfileobj(stream, self.file, 1 << 20)
        self.file.flush()

    def write(self, lines: Iterable[str]) -> None:
        """Write lines, each followed by a line break."""
        for line in lines:
            self.file.write(f"{line}\n".encode())
        self.file.flush()

    def open(self, mode: str = "rb") -> IO[bytes]:
        """Return a reader from the start; several readers can be used at once, each with its own position."""
        return io.BufferedReader(_Reader(self), 1 << 16)

    def __str__(self) -> str:
        return "standard input"


class _Reader(io.RawIOBase):
    def __init__(self, spool: Spool) -> None:
        self.spool, self.at = spool, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self.at}.get(whence)
        self.at = offset + (os.fstat(self.spool.file.fileno()).st_size if origin is None else origin)
        return self.at

    def tell(self) -> int:
        return self.at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        found = _read_at(self.spool, len(buffer), self.at)
        buffer[: len(found)] = found
        self.at += len(found)
        return len(found)


def _read_at(spool: Spool, count: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(spool.file.fileno(), count, offset)
    with spool.lock:  # Windows
        spool.file.seek(offset)
        return spool.file.read(count)
