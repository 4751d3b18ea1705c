"""Frames: the messages between this process and a worker, a JSON header followed by raw bytes."""

from __future__ import annotations

import json
import struct
from typing import IO, Any

_LENGTHS = struct.Struct("<QQ")  # lengths in bytes of the header and of the raw bytes

# the functions that a worker may run; each takes raw bytes and JSON-serializable keywords, and returns or yields
# pairs of (JSON-serializable value, raw bytes)
FUNCTIONS = frozenset(
    {
        "hashret.store.hdf5:places",
        "hashret.worker.bibtex:entries",
        "hashret.worker.faiss:rows",
        "hashret.worker.feed:items",
        "hashret.worker.hdf5:arrays",
        "hashret.worker.hdf5:rows",
        "hashret.worker.image:decode",
        "hashret.worker.mail:parts",
        "hashret.worker.office:text",
        "hashret.worker.opendocument:text",
        "hashret.worker.page:text",
        "hashret.worker.markup:text",
        "hashret.worker.parquet:arrow_rows",
        "hashret.worker.pdf:text",
        "hashret.worker.parquet:count",
        "hashret.worker.parquet:rows",
        "hashret.worker.subtitles:text",
    }
)


class Refused(ValueError):
    """A file cannot be read, with a reason for the user; raised by the functions in FUNCTIONS."""


def write(stream: IO[bytes], header: Any, raw: bytes = b"") -> None:
    """Write one frame."""
    text = json.dumps(header).encode("ascii")
    stream.write(_LENGTHS.pack(len(text), len(raw)) + text)
    stream.write(raw)
    stream.flush()


def read(stream: IO[bytes], largest: int) -> tuple[Any, bytes]:
    """Read one frame. Raises EOFError if the stream ends, ValueError for a frame of more than `largest` bytes."""
    text, raw = _LENGTHS.unpack(_exactly(stream, _LENGTHS.size))
    if text + raw > largest:
        raise ValueError(f"a frame of {text + raw:,} bytes, more than {largest:,}")
    return json.loads(_exactly(stream, text)), _exactly(stream, raw)


def _exactly(stream: IO[bytes], count: int) -> bytes:
    found = stream.read(count)
    if len(found) < count:
        raise EOFError
    return found
