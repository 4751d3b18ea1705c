"""File access of the store: all reads and writes go through a `Root`, with names relative to the index folder.

Links inside an index are never followed. Each folder of a path is opened by descriptor with O_NOFOLLOW, so a link that
is created at any time is an error and cannot lead outside the index. The index folder itself may be a link.

Files are read with `pread`, not memory-mapped: a bad sector or a truncated file raises OSError or EOFError, while a
mapping would crash the process.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from hashret.errors import StoreError

BLOCK = 1 << 10  # bytes per block checksum
PIECE = 1 << 20  # bytes read at once when a file is read in pieces
MOST = 1 << 30  # bytes per system call
BY_DESCRIPTOR = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")  # False on Windows
NOFOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
NONBLOCK = getattr(os, "O_NONBLOCK", 0)  # opening a pipe must not wait for a writer
BUSY = {
    errno.EMFILE: "this process has too many files open; close some, or raise the limit (ulimit -n)",
    errno.ENFILE: "the system has too many files open",
    errno.ENOMEM: "the system has no memory left",
}
"""Messages of system errors that are not caused by the file itself."""


class Reader(Protocol):
    """Bytes that can be read at any offset."""

    @property
    def size(self) -> int:
        """Size in bytes."""

    def read(self, start: int, size: int) -> bytes:
        """Return `size` bytes from offset `start`. Raises EOFError if there are fewer, OSError if the disk fails."""


class File:
    """A file open for reading; it stays readable after it is replaced or removed.

    The descriptor is closed when the object is garbage-collected, so that no thread can read from a closed or reused
    descriptor.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self.size = os.fstat(descriptor).st_size

    def __del__(self) -> None:
        with suppress(OSError, AttributeError):
            os.close(self._descriptor)

    def read(self, start: int, size: int) -> bytes:
        """Return `size` bytes from offset `start`. Raises EOFError if there are fewer, OSError if the disk fails."""
        if len(data := self._some(start, min(size, MOST))) == size:
            return data
        parts, done = [data], len(data)
        while done < size:
            data = self._some(start + done, min(MOST, size - done))
            if not data:
                raise EOFError(f"the file ends at byte {start + done:,}, expected {start + size:,} bytes")
            parts.append(data)
            done += len(data)
        return b"".join(parts)

    def _some(self, start: int, size: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, size, start)
        with self._lock:  # Windows
            os.lseek(self._descriptor, start, os.SEEK_SET)
            return os.read(self._descriptor, size)

    def pieces(self) -> Iterator[bytes]:
        """Yield all bytes in pieces of PIECE bytes."""
        start = 0
        while data := self._some(start, PIECE):
            yield data
            start += len(data)


class Memory:
    """Bytes in memory with the interface of `File`."""

    def __init__(self, data: bytes | bytearray) -> None:
        self.data, self.size = data, len(data)

    def read(self, start: int, size: int) -> bytes:
        """Return `size` bytes from offset `start`. Raises EOFError if there are fewer."""
        if start + size > self.size:
            raise EOFError(f"there are {self.size:,} bytes, expected {start + size:,}")
        return bytes(self.data[start : start + size])


class Root:
    """The folder of an index, held open, so that changing the working folder or renaming the index has no effect."""

    def __init__(self, path: Path) -> None:
        """Open the folder. Raises FileNotFoundError or NotADirectoryError if it does not exist."""
        self.path = path
        self._descriptor: int | None = None
        if BY_DESCRIPTOR:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | getattr(os, "O_CLOEXEC", 0))
        elif not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))

    def close(self) -> None:
        """Close the folder; closing it again has no effect."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Root:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        with suppress(OSError, AttributeError):
            self.close()

    @contextmanager
    def _parent(self, name: str) -> Iterator[tuple[str, int | None]]:
        """Yield the last part of a name and a descriptor of its folder; on Windows the full path and None."""
        *folders, last = name.split("/")
        if self._descriptor is None:
            place = self.path
            for folder in folders:
                place /= folder
                if place.is_symlink():
                    raise _link(place)
            yield str(place / last), None
            return
        descriptor = os.dup(self._descriptor)
        try:
            place = self.path
            for folder in folders:
                place /= folder
                descriptor = self._enter(descriptor, folder, place)
            yield last, descriptor
        finally:
            os.close(descriptor)

    def _enter(self, descriptor: int, folder: str, place: Path) -> int:
        """Open a subfolder and close the descriptor of its parent."""
        try:
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | NOFOLLOW, dir_fd=descriptor)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR) and _is_link(folder, descriptor):
                raise _link(place) from None
            raise
        os.close(descriptor)
        return inner

    def stat(self, name: str) -> os.stat_result:
        """Return the status of a file. Raises FileNotFoundError if missing, StoreError if not a regular file."""
        with self._parent(name) as (last, where):
            found = os.stat(last, dir_fd=where, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode):
            raise _link(self.path / name) if stat.S_ISLNK(found.st_mode) else _not_plain(self.path / name)
        return found

    def exists(self, name: str) -> bool:
        """Whether a file, link or folder with this name exists."""
        with suppress(FileNotFoundError, NotADirectoryError), self._parent(name) as (last, where):
            os.stat(last, dir_fd=where, follow_symlinks=False)
            return True
        return False

    def is_link(self, name: str) -> bool:
        """Whether the name is a symbolic link."""
        with suppress(OSError, StoreError), self._parent(name) as (last, where):
            return stat.S_ISLNK(os.stat(last, dir_fd=where, follow_symlinks=False).st_mode)
        return False

    def open(self, name: str) -> File:
        """Open a file for reading; raises the same errors as `stat`."""
        self.stat(name)
        with self._parent(name) as (last, where):
            file = File(_open(last, os.O_RDONLY | NOFOLLOW | NONBLOCK, where, self.path / name))
        if not stat.S_ISREG(os.fstat(file._descriptor).st_mode):
            raise _not_plain(self.path / name)
        return file

    def read(self, name: str) -> bytes:
        """Return all bytes of a file; raises the same errors as `stat`."""
        file = self.open(name)
        return file.read(0, file.size)

    def sha256(self, name: str) -> str:
        """Return the SHA-256 of a file as hexadecimal digits."""
        digest = hashlib.sha256()
        for data in self.open(name).pieces():
            digest.update(data)
        return digest.hexdigest()

    def write(self, name: str, data: bytes) -> None:
        """Create a file with these bytes and flush it to disk; call `sync` to flush its name as well.

        An existing file, left by a killed writer, is removed and not overwritten, because a reader may have it open.
        """
        with self._parent(name) as (last, where):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NOFOLLOW
            try:
                descriptor = _open(last, flags, where, self.path / name)
            except FileExistsError:
                os.unlink(last, dir_fd=where)
                descriptor = _open(last, flags, where, self.path / name)
            try:
                write_all(descriptor, data)
                os.fsync(descriptor)
            except BaseException:
                with suppress(OSError):
                    os.unlink(last, dir_fd=where)
                raise
            finally:
                os.close(descriptor)

    def replace(self, name: str, data: bytes) -> None:
        """Replace a file atomically: if the process is killed, either the old file or the new one exists."""
        folder, _, last = name.rpartition("/")
        temporary = f"{folder}{'/' if folder else ''}.{last}.{os.getpid()}.tmp"
        self.write(temporary, data)
        try:
            self.rename(temporary, name)
        except BaseException:
            with suppress(OSError, StoreError):
                self.remove(temporary)
            raise

    def rename(self, name: str, other: str) -> None:
        """Rename a file, replacing an existing file with the new name."""
        with self._parent(name) as (old, old_folder), self._parent(other) as (new, new_folder):
            os.replace(old, new, src_dir_fd=old_folder, dst_dir_fd=new_folder)

    def remove(self, name: str) -> None:
        """Remove a file or a link if it exists."""
        with suppress(FileNotFoundError), self._parent(name) as (last, where):
            os.unlink(last, dir_fd=where)

    def remove_folder(self, name: str) -> None:
        """Remove a folder if it is empty."""
        with suppress(OSError), self._parent(name) as (last, where):
            os.rmdir(last, dir_fd=where)

    def make_folder(self, name: str) -> bool:
        """Create a folder and flush its name to disk; return whether it is new."""
        with self._parent(name) as (last, where):
            try:
                os.mkdir(last, dir_fd=where)
            except FileExistsError:
                return False
        self.sync(name.rpartition("/")[0])
        return True

    def names(self, folder: str = "") -> list[str]:
        """Return the sorted names in a folder; empty if it does not exist or is a link."""
        with suppress(OSError, StoreError), self._folder(folder) as place:
            return sorted(os.listdir(place))  # noqa: PTH208  `place` may be a descriptor
        return []

    def sync(self, folder: str = "") -> None:
        """Flush the names in a folder to disk."""
        if BY_DESCRIPTOR:  # not possible or needed on Windows
            with self._folder(folder) as descriptor:
                os.fsync(descriptor)

    @contextmanager
    def _folder(self, name: str) -> Iterator[int]:
        """Yield the descriptor of a folder of the index, or its path on Windows."""
        with self._parent(f"{name}/x" if name else "x") as (last, where):
            yield where if where is not None else Path(last).parent  # type: ignore[misc]

    def open_lock(self, name: str) -> tuple[int, bool]:
        """Open a file for locking; return its descriptor and whether it is new. The file stays empty."""
        flags = os.O_RDWR | NOFOLLOW | NONBLOCK
        with self._parent(name) as (last, where):
            try:
                return _open(last, flags | os.O_CREAT | os.O_EXCL, where, self.path / name), True
            except FileExistsError:
                return _open(last, flags, where, self.path / name), False


def _open(last: str, flags: int, where: int | None, place: Path) -> int:
    try:
        return os.open(last, flags, 0o666, dir_fd=where)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _link(place) from None
        raise


def write_all(descriptor: int, data: bytes) -> None:
    """Write all bytes to a descriptor."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _is_link(name: str, descriptor: int) -> bool:
    with suppress(OSError):
        return stat.S_ISLNK(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode)
    return False


def _link(place: Path) -> StoreError:
    return StoreError(f"{place} is a link; the files of an index must be inside the index folder")


def _not_plain(place: Path) -> StoreError:
    return StoreError(f"{place} is not a regular file; move it out of the index folder")


def make_root(path: Path) -> list[Path]:
    """Create a folder and its parents, flushing each name to disk; return the new folders."""
    if path.is_dir():
        return []
    made = make_root(path.parent)
    try:
        path.mkdir()
    except FileExistsError:
        return made
    sync_path(path.parent)
    return [*made, path]


def sync_path(folder: Path) -> None:
    """Flush the names in a folder to disk."""
    if BY_DESCRIPTOR:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sha256_of(data: bytes | bytearray) -> str:
    """Return the SHA-256 of bytes as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def block_checksums(data: bytes | bytearray) -> list[int]:
    """Return the CRC-32 of each block of BLOCK bytes; it detects any single-bit error."""
    view = memoryview(data)
    return [zlib.crc32(view[start : start + BLOCK]) for start in range(0, len(data), BLOCK)]


def reason(error: OSError) -> str:
    """Return a short description of a system error."""
    return BUSY.get(error.errno or 0) or error.strerror or str(error)
