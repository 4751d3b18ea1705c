"""Files: all that the store does to a disk: written whole, forced to disk, and nowhere but in the index."""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from collections.abc import Callable
from pathlib import Path

from hashret.errors import StoreError

BLOCK = 1 << 10  # bytes of a file that a checksum of its own tells to be whole


def sha256(path: Path) -> str:
    """Checksum of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(data: bytes | bytearray) -> str:
    """The same of bytes."""
    return hashlib.sha256(data).hexdigest()


def block_checksums(data: bytes) -> list[int]:
    """CRC-32 of each block; it changes with any one bit."""
    return [zlib.crc32(data[start : start + BLOCK]) for start in range(0, len(data), BLOCK)]


def own(root: Path, name: str) -> os.stat_result:
    """What the system says of a file of an index.

    FileNotFoundError where it is not there; StoreError where it is no plain file or a link leads out of the index.
    """
    place = str(root)
    *folders, last = name.split("/")
    for folder in folders:
        place = f"{place}/{folder}"
        if stat.S_ISLNK(os.lstat(place).st_mode):
            raise StoreError(f"{place} is a link; the files of an index lie in the index itself")
    found = os.lstat(f"{place}/{last}")
    if not stat.S_ISREG(found.st_mode):
        raise StoreError(f"{place}/{last} is no plain file; the files of an index lie in the index itself")
    return found


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each forced to disk as a name in the one above."""
    if folder.is_symlink():
        raise StoreError(f"{folder} is a link; the files of an index lie in the index itself")
    if not folder.exists():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def write(path: Path, data: bytes) -> None:
    """A new file with these bytes, forced to disk; its name is not until its folder is, see `sync`."""
    write_by(path, lambda new: _write(new, data))


def write_by(path: Path, make: Callable[[Path], None]) -> None:
    """The same, of whatever `make` writes at the path it is given."""
    path.unlink(missing_ok=True)  # what a killed writer left; never written over, as somebody may have it open
    make(path)
    sync(path)


def replace(path: Path, data: bytes) -> None:
    """Put a new file in the place of another; killed at any instant, there is the old one or the new one, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary, data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def unfinished(path: Path) -> list[Path]:
    """What killed writers left of a file that was to be replaced."""
    return list(path.parent.glob(f".{path.name}.*.tmp"))


def sync(path: Path) -> None:
    """Force a file, or a folder's list of names, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
