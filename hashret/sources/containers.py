"""Containers: .npy, .npz and HDF5 files as named arrays that are read a few rows at a time, never unpickled."""

from __future__ import annotations

import math
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from numpy.lib import format as npy

from hashret.errors import DataError
from hashret.sources.base import shown
from hashret.sources.decode import raw_head, reading
from hashret.sources.spool import Spool

MAX_PACKING = 2000  # how many times smaller HDF5 may store an array; deflate reaches 1032
HDF5_MARK = b"\x89HDF\r\n\x1a\n"

Chunks = Callable[[int], Iterator[np.ndarray[Any, Any]]]


class Array(NamedTuple):
    """An array in a file; chunks(n) reads it n rows at a time."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: Chunks
    problem: str | None = None  # why it must not be read

    @property
    def row_bytes(self) -> int:
        """The size of a row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


class Header(NamedTuple):
    """What stands before the numbers of a .npy file."""

    shape: tuple[int, ...]
    columns_first: bool
    dtype: np.dtype[Any]
    end: int  # where the numbers begin

    @property
    def bytes(self) -> int:
        """The size of the numbers."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def problem(self) -> str | None:
        """Why the numbers must not be read: objects are pickled, and pickles run code."""
        return (
            "holds Python objects, which are never loaded; save plain numbers or texts"
            if self.dtype.hasobject
            else None
        )


@contextmanager
def arrays_in(path: Path) -> Iterator[dict[str, Array]]:
    """The arrays of a file by name; a .npy file's has the name ''. DataError where the file is not what it claims."""
    start = raw_head(path)
    with reading(path):
        try:
            if start.startswith(b"\x93NUMPY"):
                yield {"": _npy(path)}
            elif start.startswith(HDF5_MARK):
                import h5py

                with h5py.File(path, "r") as file:
                    yield _hdf5(path, file)
            else:
                with zipfile.ZipFile(path) as archive:
                    yield _npz(path, archive)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError) as error:
            raise DataError(f"{shown(path)} is damaged or cut short ({error})") from error


def _npy(path: Path) -> Array:
    with path.open("rb") as stream:
        header = _header(stream, shown(path))
    there = path.stat().st_size - header.end
    if header.bytes > there and not header.problem:
        raise DataError(f"{shown(path)} claims {header.shape} of {header.dtype} but holds only {there} bytes of it")

    return Array(header.shape, header.dtype, lambda rows: _mapped(path, header, rows), header.problem)


def _mapped(path: Path, header: Header, rows: int) -> Iterator[np.ndarray[Any, Any]]:
    """The rows of a .npy file, mapped into memory."""
    if header.bytes == 0:
        return
    order: Literal["F", "C"] = "F" if header.columns_first else "C"
    mapped = np.memmap(path, header.dtype, "r", header.end, header.shape, order)
    for first in range(0, header.shape[0], rows):
        yield np.array(mapped[first : first + rows])


def _npz(path: Path, archive: zipfile.ZipFile) -> dict[str, Array]:
    members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
    return {member.filename[:-4]: _member(path, archive, member) for member in members}


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    where = f"{shown(path)}, array {shown(member.filename[:-4])!r}"
    if member.flag_bits & 1:
        raise DataError(f"{where}: locked by a password")
    with archive.open(member) as stream:
        header = _header(stream, where)
    if header.bytes > member.file_size - header.end and not header.problem:
        raise DataError(f"{where} claims {header.shape} of {header.dtype} but the file holds less")

    def chunks(rows: int) -> Iterator[np.ndarray[Any, Any]]:
        with archive.open(member) as stream:
            if header.columns_first and len(header.shape) > 1:  # no row is whole before the last column is there
                spool = Spool()
                spool.copy(stream)
                yield from _mapped(spool.path, header, rows)
                return
            stream.read(header.end)
            for first in range(0, header.shape[0], rows):
                shape = (min(rows, header.shape[0] - first), *header.shape[1:])
                yield _take(stream, header.dtype, shape, where)

    return Array(header.shape, header.dtype, chunks, header.problem)


def _take(stream: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...], where: str) -> np.ndarray[Any, Any]:
    wanted = math.prod(shape) * dtype.itemsize
    raw = stream.read(wanted)
    if len(raw) < wanted:
        raise DataError(f"{where} is cut short")
    return np.frombuffer(raw, dtype).reshape(shape)


def _header(stream: IO[bytes], where: str) -> Header:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on headers that Python 2 wrote
            version = npy.read_magic(stream)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, columns_first, dtype = read(stream)
    except (ValueError, SyntaxError, TypeError, tokenize.TokenError, RecursionError, MemoryError, EOFError) as error:
        raise DataError(f"{where} has a damaged header: {' '.join(str(error).split())[:200]}") from None
    if min(shape, default=0) < 0:
        raise DataError(f"{where} has a damaged header: a shape of {shape}")
    return Header(tuple(int(size) for size in shape), columns_first, dtype, stream.tell())


def _hdf5(path: Path, file: Any) -> dict[str, Array]:
    import h5py

    links: dict[str, Any] = {}

    def visit(name: str, link: Any) -> None:
        links[name] = link  # nothing more: h5py does not survive what is raised in here

    found = {}
    try:
        file.visititems_links(visit)
        for name, link in links.items():
            if isinstance(link, h5py.ExternalLink):
                found[name] = Array(
                    (0, 0), np.dtype("f4"), _nothing, "is a link to another file; copy it into this one"
                )
            elif isinstance(link, h5py.HardLink) and isinstance(item := file[name], h5py.Dataset):
                found[name] = _dataset(item)
    except (KeyError, RuntimeError, ValueError, TypeError, SystemError) as error:  # the last on names that are no UTF-8
        raise DataError(f"{shown(path)} is damaged: {' '.join(str(error).split())}") from error
    return found


def _dataset(dataset: Any) -> Array:
    import h5py

    shape: tuple[int, ...] = dataset.shape or ()
    dtype = dataset.dtype
    texts = h5py.check_string_dtype(dtype) is not None
    problem = None
    if dataset.is_virtual or dataset.external:
        problem = "takes its numbers from other files; copy them into this one"
    elif dtype.hasobject and not texts:
        problem = f"holds {dtype}; save plain numbers or texts"
    elif math.prod(shape) * dtype.itemsize > MAX_PACKING * (dataset.id.get_storage_size() + 1024):
        problem = f"claims {shape} of {dtype} but next to nothing is stored of it"

    def chunks(rows: int) -> Iterator[np.ndarray[Any, Any]]:
        view = dataset.asstr(errors="replace") if texts else dataset
        for first in range(0, shape[0], rows):
            yield np.asarray(view[first : first + rows])

    return Array(shape, np.dtype("U1") if texts else dtype, chunks, problem)


def _nothing(rows: int) -> Iterator[np.ndarray[Any, Any]]:
    return iter(())
