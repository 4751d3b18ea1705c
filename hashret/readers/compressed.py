"""Unpack gzip, bzip2, xz and Zstandard while reading."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from typing import IO, Any

from hashret.errors import need

MAGICS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "Zstandard"}
SUFFIXES = {".gz", ".bz2", ".xz", ".zst", ".tgz", ".tbz2", ".txz", ".tzst"}
MEMORY = 128 << 20  # bytes that unpacking may take

LONGEST = max(map(len, MAGICS))


class Damaged(Exception):
    """Zstandard data are damaged."""


ERRORS = (gzip.BadGzipFile, zlib.error, lzma.LZMAError, Damaged)
DAMAGED = (EOFError, *ERRORS)  # EOFError: the data are cut short


def format_of(start: bytes) -> str | None:
    """Return the name of the compression that a file begins with, or None."""
    for magic, name in MAGICS.items():
        if start.startswith(magic):
            return None if name == "bzip2" and start[3:4] not in b"123456789" else name
    return None


def unpacked(stream: IO[bytes], name: str) -> IO[bytes]:
    """Return a stream of the unpacked bytes of a compression that `format_of` returned.

    Raises MissingExtra for Zstandard without the package.
    """
    if name == "gzip":
        opened: Any = _Once(gzip.GzipFile(fileobj=stream))
    elif name == "bzip2":
        opened = _Once(bz2.BZ2File(stream))
    elif name == "xz":
        opened = _Xz(stream)
    else:
        opened = _zstandard(stream)
    return _Unpacked(opened, stream)


def unpacked_start(raw: bytes, size: int) -> bytes:
    """Return the first unpacked bytes of a file, at most `size`, from its first bytes; empty if it is damaged."""
    name = format_of(raw)
    if name is None:
        return raw[:size]
    found = b""
    try:
        with unpacked(io.BytesIO(raw), name) as stream:
            while len(found) < size and (more := stream.read1(size - len(found))):  # type: ignore[attr-defined]
                found += more
    except (*DAMAGED, OSError, ImportError):
        pass
    return found


class _Unpacked(io.BufferedReader):
    """Unpacked bytes in a buffer, which makes readline five times faster; closing it closes the file."""

    def __init__(self, opened: Any, stream: IO[bytes]) -> None:
        super().__init__(opened)
        self.stream = stream

    def close(self) -> None:
        super().close()
        self.stream.close()


class _Once(io.RawIOBase):
    """A stream that returns what it has, where `read` would lose all of it if the data end too early."""

    def __init__(self, stream: gzip.GzipFile | bz2.BZ2File) -> None:
        self.stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self.stream.read1(len(buffer))
        buffer[: len(found)] = found
        return len(found)


class _Xz(io.RawIOBase):
    """An xz stream that takes a limited amount of memory."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.decoder = stream, lzma.LZMADecompressor(memlimit=MEMORY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if self.decoder.eof:  # several streams may follow each other, with zeros between them
                rest = (self.decoder.unused_data or self.stream.read(io.DEFAULT_BUFFER_SIZE)).lstrip(b"\0")
                if not rest:
                    return 0
                self.decoder = lzma.LZMADecompressor(memlimit=MEMORY)
            else:
                rest = self.stream.read(io.DEFAULT_BUFFER_SIZE) if self.decoder.needs_input else b""
                if not rest and self.decoder.needs_input:
                    raise EOFError
            if found := self.decoder.decompress(rest, len(buffer)):
                buffer[: len(found)] = found
                return len(found)


class _Zstandard(io.RawIOBase):
    """A Zstandard stream."""

    def __init__(self, stream: IO[bytes], package: Any) -> None:
        decompressor = package.ZstdDecompressor(max_window_size=MEMORY)
        self.reader, self.error = decompressor.stream_reader(stream, read_across_frames=True), package.ZstdError

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            return int(self.reader.readinto(buffer))
        except self.error as error:
            raise Damaged(str(error)) from None


def _zstandard(stream: IO[bytes]) -> Any:
    return _Zstandard(stream, need("zstandard", "zstandard", "reading Zstandard"))
