"""Whether an image file is an animation, of which only the first frame is compared."""

from __future__ import annotations

import hashlib
from pathlib import Path

EXTENSION, IMAGE = 0x21, 0x2C  # first bytes of blocks of a GIF
START = 1 << 16  # bytes in which PNG and WebP say that they are animations


def motion_of(path: Path) -> bytes:
    """Return a digest of an animated GIF, PNG or WebP file; b"" for other images, or if the file cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(START)
            if not start.startswith((b"GIF8", b"\x89PNG", b"RIFF")):
                return b""
            data = start if not start.startswith(b"GIF8") else start + file.read()
            if not _moves(data):
                return b""
            file.seek(0)
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return b""


def _moves(data: bytes) -> bool:
    if data.startswith(b"GIF8"):
        return _has_frames(data)
    return b"acTL" in data if data.startswith(b"\x89PNG") else b"ANIM" in data


def _has_frames(data: bytes) -> bool:
    """Whether a GIF has more than one frame: its blocks are skipped up to the second image."""
    at, frames = 13 + _colours(data, 10), 0
    while at < len(data) and frames < 2:
        if data[at] == EXTENSION:
            at += 2
        elif data[at] == IMAGE:
            frames += 1
            at += 11 + _colours(data, at + 9)
        else:  # the end, or damage
            break
        while at < len(data) and data[at]:  # pieces with their lengths, and a 0 after the last
            at += 1 + data[at]
        at += 1
    return frames > 1


def _colours(data: bytes, at: int) -> int:
    """Return the bytes of the table of colours that flags announce."""
    flags = data[at] if at < len(data) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
