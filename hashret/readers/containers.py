"""Containers: .npy, .npz and HDF5 files as named arrays, read a few rows at a time and never unpickled."""

from __future__ import annotations

import io
import math
import tokenize
import warnings
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from hashret import worker
from hashret.errors import DataError
from hashret.readers.base import shown
from hashret.readers.decode import raw_head, reading
from hashret.readers.magic import open_zip
from hashret.readers.spool import Spool

HDF5_MARK = b"\x89HDF\r\n\x1a\n"
MAX_ARRAYS = 10_000  # in a .npz file
MAX_HEADER = 1 << 16  # bytes of a .npy header
BY_COLUMNS = 32 << 20  # bytes read at once of an array in column-major order
SHORT_COLUMN, READ = 1 << 12, 1 << 20  # columns of at most SHORT_COLUMN bytes are read in full, READ bytes at a time
# limit of an unpacked copy on disk: COPY bytes plus COPY_FACTOR times the compressed size
COPY, COPY_FACTOR = 64 << 20, 16

Block = np.ndarray[Any, Any]


class Array(NamedTuple):
    """Description of an array in a file."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    problem: str | None = None  # reason why it cannot be read

    @property
    def row_bytes(self) -> int:
        """Size of a row in bytes."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


class Container(ABC):
    """Base class of files that hold named arrays."""

    arrays: dict[str, Array]

    @abstractmethod
    def rows(self, names: Sequence[str], block: int) -> Iterator[Sequence[Block]]:
        """Yield `block` rows at a time of the named arrays, which must have equal lengths."""


class Header(NamedTuple):
    """The header of a .npy file."""

    shape: tuple[int, ...]
    columns_first: bool
    dtype: np.dtype[Any]
    end: int  # offset of the first data byte

    @property
    def bytes(self) -> int:
        """Size of the data in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def problem(self) -> str | None:
        """Reason why the data cannot be read: object arrays are pickles, and loading a pickle runs code."""
        return (
            "holds Python objects, which are never loaded; save plain numbers or texts"
            if self.dtype.hasobject
            else None
        )


@contextmanager
def arrays_in(path: Path) -> Iterator[Container]:
    """Open a file of arrays; the array of a .npy file has the name "". Raises DataError if the file is damaged."""
    start = raw_head(path)
    with reading(path):
        try:
            if start.startswith(b"\x93NUMPY"):
                with path.open("rb", buffering=0) as stream:
                    yield _Npy(path, stream)
            elif start.startswith(HDF5_MARK):
                yield _Hdf5(path)
            else:
                with open_zip(path) as archive:
                    yield _Npz(path, archive)
        except worker.Unreadable as error:
            raise DataError(f"{shown(path)} cannot be read as HDF5: {error}") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError) as error:
            raise DataError(f"{shown(path)} is damaged or cut short ({error})") from error


class _Npy(Container):
    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self.path, self.stream = path, stream
        self.header = _header(stream, shown(path))
        there, shape, dtype = path.stat().st_size - self.header.end, self.header.shape, self.header.dtype
        if self.header.bytes > there and not self.header.problem:
            raise DataError(f"{shown(path)} claims an array {shape} of {dtype} but holds only {there} bytes")
        self.arrays = {"": Array("", shape, dtype, self.header.problem)}

    def rows(self, names: Sequence[str], block: int) -> Iterator[Sequence[Block]]:
        return ([found] for found in _blocks(self.stream, self.header, block, shown(self.path)))


class _Npz(Container):
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path, self.archive = path, archive
        self.members = {m.filename[:-4]: m for m in archive.infolist() if m.filename.endswith(".npy")}
        if len(self.members) > MAX_ARRAYS:
            raise DataError(f"{shown(path)} holds {len(self.members):,} arrays; allowed: at most {MAX_ARRAYS:,}")
        self.headers = {name: self._read_header(name) for name in self.members}
        self.arrays = {name: Array(name, h.shape, h.dtype, h.problem) for name, h in self.headers.items()}

    def _where(self, name: str) -> str:
        return f"{shown(self.path)}, array {shown(name)!r}"

    def _read_header(self, name: str) -> Header:
        member = self.members[name]
        if member.flag_bits & 1:
            raise DataError(f"{self._where(name)}: protected by a password; save it without one")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(
                f"{self._where(name)}: unsupported compression; save it with numpy.savez or savez_compressed"
            )
        with self.archive.open(member) as stream:
            header = _header(stream, self._where(name))
        if header.bytes > member.file_size - header.end and not header.problem:
            raise DataError(f"{self._where(name)} claims {header.shape} of {header.dtype} but holds fewer bytes")
        return header

    def rows(self, names: Sequence[str], block: int) -> Iterator[Sequence[Block]]:
        return zip(*[self._member(name, block) for name in names], strict=True)

    def _member(self, name: str, block: int) -> Iterator[Block]:
        header, member, where = self.headers[name], self.members[name], self._where(name)
        with self.archive.open(member) as stream:
            if not (header.columns_first and len(header.shape) > 1):
                yield from _blocks(stream, header, block, where)
                return
            # in column-major order, no row is complete before the last column was read
            if header.bytes > COPY + COPY_FACTOR * member.compress_size:
                raise DataError(
                    f"{where} is in column-major order and would unpack to {header.bytes:,} bytes, more than "
                    f"{COPY:,} plus {COPY_FACTOR} times its size; save it in row-major order (np.ascontiguousarray)"
                )
            spool = Spool()
            spool.copy(stream)
            yield from _blocks(spool.open(), header, block, where)


class _Hdf5(Container):
    def __init__(self, path: Path) -> None:
        self.path, self.size = worker.real(path), path.stat().st_size
        found, _ = worker.call("hashret.worker.hdf5:arrays", self.size, path=self.path)
        self.arrays = {
            name: Array(name, tuple(shape), np.dtype(dtype), problem) for name, shape, dtype, problem in found
        }

    def rows(self, names: Sequence[str], block: int) -> Iterator[Sequence[Block]]:
        frames = worker.stream("hashret.worker.hdf5:rows", self.size, path=self.path, names=list(names), block=block)
        found: list[Block] = []
        for content, raw in frames:
            if self.arrays[names[len(found)]].dtype.kind == "U":
                found.append(np.array(content, object))
            else:
                dtype, shape = content
                found.append(np.frombuffer(raw, dtype).reshape(shape))
            if len(found) == len(names):
                yield found
                found = []


def _blocks(stream: IO[bytes], header: Header, block: int, where: str) -> Iterator[Block]:
    """Yield `block` rows at a time of an array at the start of a stream."""
    count, rest = header.shape[0], header.shape[1:]
    if not header.bytes:  # no rows, or only empty texts
        for first in range(0, count, block):
            yield np.zeros((min(block, count - first), *rest), header.dtype)
        return
    if not (header.columns_first and rest):
        if stream.seekable():
            stream.seek(header.end)
        else:
            _exactly(stream, header.end, where)
        row = header.bytes // count
        for first in range(0, count, block):
            length = min(block, count - first)
            yield np.frombuffer(_exactly(stream, length * row, where), header.dtype).reshape(length, *rest)
        return
    size, columns = header.dtype.itemsize, math.prod(rest)
    # each column takes one read, so read as many rows as fit into BY_COLUMNS
    large = block * max(1, BY_COLUMNS // (columns * size * block))
    for first in range(0, count, large):
        length = min(large, count - first)
        raw = b"".join(_parts(stream, header, first, length, where))
        found = np.frombuffer(raw, header.dtype).reshape(*reversed(rest), length).T
        for start in range(0, length, block):
            yield found[start : start + block]


def _parts(stream: IO[bytes], header: Header, first: int, length: int, where: str) -> Iterator[bytes]:
    """Yield the bytes of some rows of a column-major array, in column-major order."""
    count, size, columns = header.shape[0], header.dtype.itemsize, math.prod(header.shape[1:])
    if count * size > SHORT_COLUMN:
        for column in range(columns):
            stream.seek(header.end + (column * count + first) * size)
            yield _exactly(stream, length * size, where)
        return
    stream.seek(header.end)
    many = READ // (count * size)
    for column in range(0, columns, many):
        some = min(many, columns - column)
        raw = _exactly(stream, some * count * size, where)
        yield np.frombuffer(raw, header.dtype).reshape(some, count)[:, first : first + length].tobytes()


def _exactly(stream: IO[bytes], wanted: int, where: str) -> bytes:
    raw = stream.read(wanted)
    if len(raw) < wanted:
        raise DataError(f"{where} is cut short")
    return raw


def _header(stream: IO[bytes], where: str) -> Header:
    """Read the header of a .npy file from the start of a stream."""
    start = io.BytesIO(stream.read(MAX_HEADER))  # NumPy would allocate any length that the header claims
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy warns about headers written by Python 2
            version = npy.read_magic(start)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, columns_first, dtype = read(start)
    except (ValueError, SyntaxError, TypeError, tokenize.TokenError, RecursionError, MemoryError, EOFError) as error:
        raise DataError(f"{where} has a damaged header: {' '.join(str(error).split())[:200]}") from None
    if min(shape, default=0) < 0:
        raise DataError(f"{where} has a damaged header: a shape of {shape}")
    return Header(tuple(int(size) for size in shape), columns_first, dtype, start.tell())
