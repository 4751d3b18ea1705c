"""Segment: an immutable file, a row a document, in order of insertion; `hdf5.py` says what lies in it.

Its arrays are mapped from where the manifest says that they lie: opening reads nothing, and a query reads the pages
that it needs. HDF5 itself is asked only for the places in a file of format 1, whose manifest does not tell them.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hashret.codes import Codes, check_codes, width
from hashret.errors import StoreError
from hashret.features import Vectors
from hashret.store.manifest import Place

PIECE = 1 << 13  # bytes compressed together: about what one look-up has to unpack
KEPT = 256  # pieces held unpacked, 2 MiB: the metadata of some thousands of documents
STRINGS = ("ids", "contents", "thumbnails", "metadata", "labels/names")
PACKED = {f"{name}/bytes" for name in STRINGS}  # contents and metadata; format 1 packed them all but thumbnails
DTYPES: dict[str, type[np.generic]] = {
    "codes": np.uint8,
    **{f"{name}/bytes": np.uint8 for name in STRINGS},
    **{f"{name}/offsets": np.int64 for name in (*STRINGS, "labels")},
    **{f"{name}/pieces": np.int64 for name in ("contents", "metadata")},
    "labels/rows": np.int32,
    "lookup/hashes": np.uint64,
    "lookup/rows": np.int64,
    "vectors": np.int8,
    "scales": np.float32,
}


@dataclass(frozen=True, slots=True)
class Record:
    """What is stored of a document beside its code."""

    id: str
    content: str = ""  # a text, a picture's path, or nothing
    labels: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    thumbnail: bytes = b""


@dataclass(frozen=True, slots=True)
class Packed:
    """Bytes compressed in pieces."""

    size: int  # of a piece, unpacked
    total: int  # of all, unpacked
    table: npt.NDArray[np.int64]  # [pieces, 2], where each begins in the file and how long it is there


def hash_id(id: str) -> int:
    """64 bits that stand for an id when it is looked up."""
    return int.from_bytes(hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def label_names(records: Sequence[Record]) -> list[str]:
    """The labels that occur, in the order in which a segment numbers them."""
    return sorted({label for record in records for label in record.labels})


class Segment:
    """A segment opened for reading; its file stays open, so that it can be read even after it was replaced."""

    def __init__(self, path: Path, rows: int, bits: int, places: Mapping[str, Place] = {}) -> None:
        self.path, self.rows, self.bits = path, rows, bits
        self._arrays: dict[str, npt.NDArray[Any]] = {}  # those mapped so far
        self._piece = lru_cache(KEPT)(self._read_piece)
        with path.open("rb") as file, self._reading():  # FileNotFoundError is for the caller
            self._file = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._pieces: Mapping[str, Packed] | None = None  # where HDF5 tells them, not a table in the file
            if not places:
                from hashret.store import hdf5

                places, self._pieces = hdf5.places(path), hdf5.pieces(path)
            self.places = places
            self._check()

    def _check(self) -> None:
        """ValueError unless all arrays are there, in the file, and of the number of rows."""
        rows = self.rows
        for name, (offset, items) in self.places.items():
            if name not in DTYPES or offset + items * np.dtype(DTYPES[name]).itemsize > len(self._file):
                raise ValueError(f"{name} does not lie in the file")
        packed = "bytes" if self._pieces is None else "pieces"
        free = {"vectors", "scales", f"contents/{packed}", f"metadata/{packed}"}
        for name in DTYPES.keys() - self.places.keys() - (self._pieces or {}).keys() - free:
            raise ValueError(f"{name} is not an array {np.dtype(DTYPES[name])} in this file")
        if len({"vectors", "scales"} & self.places.keys()) == 1:
            raise ValueError("of vectors and scales one is not an array in this file")
        wanted = {f"{name}/offsets": rows + 1 for name in ("ids", "contents", "thumbnails", "metadata", "labels")}
        wanted |= {"codes": rows * width(self.bits), "lookup/hashes": rows, "lookup/rows": rows}
        wanted |= {"scales": rows} if "scales" in self.places else {}
        for name, items in wanted.items():
            if self.places[name][1] != items:
                raise ValueError(f"{name} has {self.places[name][1]} numbers, not {items}")
        if self.dim * rows != self.places.get("vectors", (0, 0))[1]:
            raise ValueError("vectors are of unequal length")

    def array(self, name: str) -> npt.NDArray[Any]:
        """An array as it lies in the file, of which only what is used is read."""
        if name not in self._arrays:
            offset, items = self.places[name]
            mapped = np.frombuffer(self._file, DTYPES[name], items, offset) if items else np.zeros(0, DTYPES[name])
            self._arrays[name] = mapped
        return self._arrays[name]

    def codes(self) -> Codes:
        """All codes, uint8 [rows, bytes], mapped."""
        with self._reading():
            return check_codes(self.array("codes").reshape(self.rows, -1 if self.rows else width(self.bits)), self.bits)

    @property
    def dim(self) -> int:
        """Length of the vectors kept; 0 where none are."""
        return self.places["vectors"][1] // max(1, self.rows) if "vectors" in self.places else 0

    def vectors(self, rows: npt.NDArray[np.int64]) -> Vectors:
        """The vectors of these rows; StoreError where none are kept."""
        with self._reading():
            if "vectors" not in self.places:
                raise ValueError("no vectors are kept in it")
            return Vectors(self.array("vectors").reshape(self.rows, -1), self.array("scales")).take(rows)

    def ids(self) -> list[str]:
        """All ids, in order of insertion."""
        with self._reading():
            return self._texts("ids", 0, self.rows)

    def find(self, hashes: npt.NDArray[np.uint64], ids: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Of each id that is here, given with its hash: its place among the ids, and its row.

        An id is here more than once only where all its rows but the last are deleted.
        """
        with self._reading():
            known, rows = self.array("lookup/hashes"), self.array("lookup/rows")
            starts, stops = np.searchsorted(known, hashes, "left"), np.searchsorted(known, hashes, "right")
            for place in np.flatnonzero(starts < stops).tolist():
                for row in rows[starts[place] : stops[place]].tolist():
                    if self._texts("ids", row, row + 1) == [ids[place]]:
                        yield place, row

    def record(self, row: int) -> Record:
        """All that is stored of one row."""
        return self.between(row, row + 1)[0]

    def records(self) -> Iterator[Record]:
        """All rows in order, reading a thousand at a time."""
        for start in range(0, self.rows, 1000):
            yield from self.between(start, min(start + 1000, self.rows))

    def some(self, rows: npt.NDArray[np.int64]) -> list[Record]:
        """The records of these rows, which ascend and lie near each other."""
        first = int(rows[0])
        all_ = self.between(first, int(rows[-1]) + 1)
        return [all_[row - first] for row in rows.tolist()]

    def labels(self) -> list[tuple[str, ...]]:
        """The labels of all rows."""
        with self._reading():
            return self._labels(0, self.rows)

    @cached_property
    def _names(self) -> list[str]:
        return self._texts("labels/names", 0, self.places["labels/names/offsets"][1] - 1)

    def _labels(self, start: int, stop: int, names: Sequence[str] | None = None) -> list[tuple[str, ...]]:
        numbers, names = self.array("labels/rows"), self._names if names is None else names
        edges = self._edges("labels", start, stop, len(numbers))
        here = numbers[edges[0] : edges[-1]]
        if len(here) and not 0 <= here.min() <= here.max() < len(names):
            raise ValueError("a label has no name")
        of = [names[number] for number in here.tolist()]
        return [tuple(of[a - edges[0] : b - edges[0]]) for a, b in pairwise(edges)]

    def between(
        self, start: int, stop: int, ids: Sequence[str] | None = None, names: Sequence[str] | None = None
    ) -> list[Record]:
        """All that is stored of rows start to stop; ids and labels' names are those given, if they are known better."""
        with self._reading():
            ids = self._texts("ids", start, stop) if ids is None else ids
            contents = self._texts("contents", start, stop)
            metadata = [json.loads(text) if text else {} for text in self._texts("metadata", start, stop)]
            if not all(isinstance(own, dict) for own in metadata):
                raise ValueError("metadata are not named")
            labels, thumbnails = self._labels(start, stop, names), self._bytes("thumbnails", start, stop)
            return [Record(*row) for row in zip(ids, contents, labels, metadata, thumbnails, strict=True)]

    def _texts(self, name: str, start: int, stop: int) -> list[str]:
        return [text.decode("utf-8", "surrogatepass") for text in self._bytes(name, start, stop)]

    def _bytes(self, name: str, start: int, stop: int) -> list[bytes]:
        """The byte strings of rows start to stop."""
        total, read = self._reader(name)
        edges = self._edges(name, start, stop, total)
        data = read(edges[0], edges[-1])
        return [data[a - edges[0] : b - edges[0]] for a, b in pairwise(edges)]

    def _edges(self, name: str, start: int, stop: int, most: int) -> list[int]:
        """Where the strings of rows start to stop begin, and the last ends; ValueError where that cannot be."""
        if not 0 <= start <= stop < self.places[f"{name}/offsets"][1]:
            raise ValueError(f"{name} has no row {start}")
        edges: list[int] = self.array(f"{name}/offsets")[start : stop + 1].tolist()
        if edges[0] < 0 or edges[-1] > most or any(a > b for a, b in pairwise(edges)):
            raise ValueError(f"{name} has offsets that do not ascend")
        return edges

    def _reader(self, name: str) -> tuple[int, Callable[[int, int], bytes]]:
        """How many bytes the strings of a name have, and what reads some of them."""
        packed = (self._pieces or {}).get(f"{name}/bytes")
        if packed is None and self._pieces is None and f"{name}/pieces" in self.places:
            table = self.array(f"{name}/pieces").reshape(-1, 2)
            packed = Packed(PIECE, int(self.array(f"{name}/offsets")[-1]), table)
        if packed is None:
            offset, size = self.places[f"{name}/bytes"]
            return size, lambda start, stop: self._file[offset + start : offset + stop]
        if -(-packed.total // packed.size) != len(packed.table):
            raise ValueError(f"{name} has {len(packed.table)} pieces for {packed.total} bytes")
        return packed.total, lambda start, stop: self._unpack(packed, start, stop)

    def _unpack(self, packed: Packed, start: int, stop: int) -> bytes:
        first, last = start // packed.size, -(-stop // packed.size)
        return b"".join(
            self._piece(offset, length, packed.size)
            for offset, length in packed.table[first : max(first, last)].tolist()
        )[start - first * packed.size : stop - first * packed.size]

    def _read_piece(self, offset: int, length: int, size: int) -> bytes:
        return _inflated(self._file[offset : offset + length], size)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Whatever goes wrong while reading is damage."""
        try:
            yield
        except (OSError, KeyError, ValueError, TypeError, IndexError, RuntimeError, zlib.error) as error:
            what = f"{error}"[:120]
            raise StoreError(f"{self.path} is damaged ({what}); hashret verify says more") from error

    def close(self) -> None:
        """Let go of the file, as soon as no array of it is used any more."""
        self.places, self._arrays = {}, {}
        self._piece.cache_clear()
        del self._file


def _inflated(packed: bytes, size: int) -> bytes:
    """One piece unpacked; ValueError where that gives more or less than it should, before more than that is made."""
    unpacker = zlib.decompressobj()
    piece = unpacker.decompress(packed, size + 1)
    if len(piece) != size or not unpacker.eof:
        raise ValueError("a compressed piece does not give what it should")
    return piece
