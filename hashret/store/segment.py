"""Segment: an immutable HDF5 file, a row a document, in order of insertion.

    codes                           uint8 [n, bytes], contiguous and uncompressed
    ids, contents, thumbnails, metadata      each a group: bytes uint8 [total], offsets int64 [n + 1]
    labels                          a group: names (bytes and offsets), rows int32 [total], offsets int64 [n + 1]
    lookup                          a group: hashes uint64 [n], ascending, rows int64 [n]
    vectors, scales                 int8 [n, dim], contiguous, and float32 [n]; only where an index keeps vectors

Strings are bytes and offsets because HDF5's own variable-length strings are slow and break under compression.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hashret.codes import Codes, check_codes, width
from hashret.errors import DataError, StoreError
from hashret.features import Vectors

CHUNK = 1 << 16  # bytes compressed together: about what one look-up has to unpack


@dataclass(frozen=True, slots=True)
class Record:
    """What is stored of a document beside its code."""

    id: str
    content: str = ""  # a text, a picture's path, or nothing
    labels: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    thumbnail: bytes = b""


def hash_id(id: str) -> int:
    """64 bits that stand for an id when it is looked up."""
    return int.from_bytes(hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def write(path: Path, codes: Codes, records: Sequence[Record], vectors: Vectors | None = None) -> None:
    """Write a segment of codes [n, bytes], their n records and, where they are kept, n vectors.

    HDF5 makes it in memory: on a full disk the library would crash, plain Python raises OSError.
    """
    names = sorted({label for record in records for label in record.labels})
    numbers = {name: number for number, name in enumerate(names)}
    hashes = np.array([hash_id(record.id) for record in records], np.uint64)
    order = np.argsort(hashes, kind="stable")
    with h5py.File("segment", "w", driver="core", backing_store=False) as file:
        file.create_dataset("codes", data=codes)
        _strings(file, "ids", [_utf8(record.id) for record in records])
        _strings(file, "contents", [_utf8(record.content) for record in records])
        _strings(file, "thumbnails", [record.thumbnail for record in records], packed=False)
        _strings(file, "metadata", [_json(record) for record in records])
        _strings(file, "labels/names", [_utf8(name) for name in names])
        file["labels/rows"] = np.array([numbers[label] for record in records for label in record.labels], np.int32)
        file["labels/offsets"] = _offsets([len(record.labels) for record in records])
        file["lookup/hashes"] = hashes[order]
        file["lookup/rows"] = order.astype(np.int64)
        if vectors is not None:
            file.create_dataset("vectors", data=vectors.values)
            file.create_dataset("scales", data=vectors.scales)
        file.flush()
        path.write_bytes(file.id.get_file_image())


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _json(record: Record) -> bytes:
    if not record.metadata:
        return b""
    try:
        return json.dumps(dict(record.metadata), ensure_ascii=False).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"metadata of {record.id!r} cannot be written as JSON ({error})") from error


def _offsets(lengths: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def _strings(file: h5py.File, name: str, values: Sequence[bytes], packed: bool = True) -> None:
    """Byte strings as one array and offsets; compressed unless they are compressed already."""
    data = np.frombuffer(b"".join(values), np.uint8)
    how = {"chunks": (min(CHUNK, len(data)),), "compression": "gzip", "compression_opts": 1} if packed else {}
    file.create_dataset(f"{name}/bytes", data=data, **(how if len(data) else {}))
    file[f"{name}/offsets"] = _offsets([len(value) for value in values])


class Segment:
    """A segment opened for reading; its file stays open, so that it can be read even after it was replaced."""

    def __init__(self, path: Path, rows: int, bits: int) -> None:
        self.path, self.rows, self.bits = path, rows, bits
        path.stat()  # FileNotFoundError is for the caller
        with self._reading():
            self.file = h5py.File(path, "r")
            self._check_shapes()
            kept = "vectors" in self.file
            self._vectors = Vectors(self._mapped("vectors"), self.file["scales"][:]) if kept else None

    def _check_shapes(self) -> None:
        """Refuse datasets that are not as `write` makes them, before anything is read from them."""
        strings = ("ids", "contents", "thumbnails", "metadata")
        wanted: dict[str, tuple[type[np.generic], int | None]] = {  # number of rows; None: any
            **{f"{name}/offsets": (np.int64, self.rows + 1) for name in (*strings, "labels")},
            **{f"{name}/bytes": (np.uint8, None) for name in (*strings, "labels/names")},
            "labels/names/offsets": (np.int64, None),
            "labels/rows": (np.int32, None),
            "lookup/hashes": (np.uint64, self.rows),
            "lookup/rows": (np.int64, self.rows),
        }
        self._check("codes", np.uint8, (self.rows, width(self.bits)))
        for name, (dtype, rows) in wanted.items():
            self._check(name, dtype, (rows,))
        if "vectors" in self.file or "scales" in self.file:
            self._check("vectors", np.int8, (self.rows, None))
            self._check("scales", np.float32, (self.rows,))

    def _check(self, name: str, dtype: type[np.generic], shape: tuple[int | None, ...]) -> None:
        """ValueError where the name leads out of the file, or to anything but such an array."""
        place: Any = self.file
        for part in name.split("/"):
            link = place.get(part, getlink=True) if isinstance(place, h5py.Group) else None
            place = place[part] if isinstance(link, h5py.HardLink) else None
        if isinstance(place, h5py.Dataset) and not place.is_virtual and not place.external:
            fits = all(want in (None, have) for want, have in zip(shape, place.shape, strict=False))
            if fits and len(place.shape) == len(shape) and place.dtype == dtype:
                return
        raise ValueError(f"{name} is not an array {np.dtype(dtype)} {list(shape)} in this file")

    def codes(self) -> Codes:
        """All codes, uint8 [rows, bytes]."""
        with self._reading():
            return check_codes(self.file["codes"][:], self.bits)

    @property
    def dim(self) -> int:
        """Length of the vectors kept; 0 where none are."""
        return 0 if self._vectors is None else self._vectors.values.shape[1]

    def vectors(self, rows: npt.NDArray[np.int64]) -> Vectors:
        """The vectors of these rows; StoreError where none are kept."""
        with self._reading():
            if self._vectors is None:
                raise ValueError("no vectors are kept in it")
            return self._vectors.take(rows)

    def _mapped(self, name: str) -> npt.NDArray[Any]:
        """An array as it lies in the file, of which only what is used is read."""
        array = self.file[name]
        whole = mmap.mmap(self.file.id.get_vfd_handle(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(whole, array.dtype, array.size, array.id.get_offset()).reshape(array.shape)

    def ids(self) -> list[str]:
        """All ids, in order of insertion."""
        with self._reading():
            return self._texts("ids", 0, self.rows)

    def find(self, id: str) -> list[int]:
        """Rows with this id; more than one only where all but the last are deleted."""
        with self._reading():
            hashes, wanted = self._hashes, np.uint64(hash_id(id))
            start, stop = np.searchsorted(hashes, wanted, "left"), np.searchsorted(hashes, wanted, "right")
            rows = self.file["lookup/rows"][start:stop].tolist() if start < stop else []
            return [row for row in rows if self._texts("ids", row, row + 1) == [id]]

    def record(self, row: int) -> Record:
        """All that is stored of one row."""
        return self._records(row, row + 1)[0]

    def records(self) -> Iterator[Record]:
        """All rows in order, reading a thousand at a time."""
        for start in range(0, self.rows, 1000):
            yield from self._records(start, min(start + 1000, self.rows))

    def labels(self, row: int) -> tuple[str, ...]:
        """The labels of one row."""
        with self._reading():
            offsets, rows, names = self._label_rows
            return tuple(names[number] for number in rows[offsets[row] : offsets[row + 1]])

    @cached_property
    def _hashes(self) -> npt.NDArray[np.uint64]:
        return np.asarray(self.file["lookup/hashes"][:])

    @cached_property
    def _label_rows(self) -> tuple[list[int], list[int], list[str]]:
        names = self._texts("labels/names", 0, len(self.file["labels/names/offsets"]) - 1)
        return self.file["labels/offsets"][:].tolist(), self.file["labels/rows"][:].tolist(), names

    def _records(self, start: int, stop: int) -> list[Record]:
        with self._reading():
            ids, contents = self._texts("ids", start, stop), self._texts("contents", start, stop)
            metadata = [json.loads(text) if text else {} for text in self._texts("metadata", start, stop)]
            labels = [self.labels(row) for row in range(start, stop)]
            thumbnails = self._bytes("thumbnails", start, stop)
            return [Record(*row) for row in zip(ids, contents, labels, metadata, thumbnails, strict=True)]

    def _texts(self, name: str, start: int, stop: int) -> list[str]:
        return [text.decode("utf-8", "surrogatepass") for text in self._bytes(name, start, stop)]

    def _bytes(self, name: str, start: int, stop: int) -> list[bytes]:
        """The byte strings of rows start to stop."""
        offsets = self.file[f"{name}/offsets"][start : stop + 1]
        data = self.file[f"{name}/bytes"][int(offsets[0]) : int(offsets[-1])].tobytes()
        edges = (offsets - offsets[0]).tolist()
        return [data[a:b] for a, b in pairwise(edges)]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Whatever goes wrong while reading is damage."""
        try:
            yield
        except (OSError, KeyError, ValueError, TypeError, IndexError, RuntimeError) as error:
            raise StoreError(f"{self.path} is damaged ({error}); hashret verify says more") from error

    def close(self) -> None:
        """Let go of the file."""
        self._vectors = None
        self.file.close()
