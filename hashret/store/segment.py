"""Read a segment: an immutable file with one row per document. See `hdf5.py` for its arrays.

Arrays are read at the offsets in the manifest, without HDF5. Opening a segment reads nothing, and a query reads only
the bytes that it needs.
"""

from __future__ import annotations

import hashlib
import json
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hashret import columns, files, postings
from hashret.codes import Codes, check_codes, width
from hashret.errors import CorruptIndex, StoreError
from hashret.features import Vectors
from hashret.files import Reader
from hashret.store.derived import FIELDS, ORIGINALS, SKETCHES, VECTORS, Derived, Postings
from hashret.store.manifest import Place

PIECE = 1 << 13  # bytes per compressed chunk; reading one record decompresses one or two
KEPT = 256  # decompressed chunks in the cache, 2 MiB: metadata of a few thousand documents
DOCUMENT_BYTES = 64 << 20  # limit for the content, and for the metadata, of one document
UNPACKED = 4 * DOCUMENT_BYTES  # limit for all contents, and for all metadata, of a segment; hashret never writes more
STRINGS = ("ids", "contents", "thumbnails", "metadata", "labels/names")
PACKED = ("contents", "metadata")
SKETCH_BYTES = 16
DTYPES: dict[str, type[np.generic]] = {
    "codes": np.uint8,
    **{f"{name}/bytes": np.uint8 for name in STRINGS},
    **{f"{name}/offsets": np.int64 for name in (*STRINGS, "labels")},
    **{f"{name}/pieces": np.int64 for name in PACKED},
    "labels/rows": np.int32,
    "columns/index": np.uint8,
    "columns/data": np.uint8,
    "lookup/hashes": np.uint64,
    "lookup/rows": np.int64,
    **{name: np.dtype(name.rpartition("/")[2]).type for name in (*VECTORS, *ORIGINALS)},
    "vectors/norms": np.float32,
    SKETCHES: np.uint8,
    **{f"{field}/{name}": dtype for field in FIELDS for name, dtype in postings.DTYPES.items()},
}


OPTIONAL = frozenset(name for name in DTYPES if name.split("/")[0] in ("vectors", "originals", SKETCHES, *FIELDS))


def _of_field(name: str) -> set[str]:
    return {f"{name}/{array}" for array in postings.DTYPES}


@dataclass(frozen=True, slots=True)
class Record:
    """A stored document, without its code."""

    id: str
    content: str = ""  # a text, an image's path, or nothing
    labels: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    thumbnail: bytes = b""


def hash_id(id: str) -> int:
    """Return the 64-bit hash of an id for the lookup table."""
    return int.from_bytes(hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def label_names(records: Sequence[Record]) -> list[str]:
    """Return the distinct labels, in the order in which a segment numbers them."""
    return sorted({label for record in records for label in record.labels})


class Segment:
    """A segment open for reading. It stays readable after its file is replaced or removed."""

    def __init__(self, file: Reader, path: Path, rows: int, bits: int, places: Mapping[str, Place]) -> None:
        self.path, self.rows, self.bits, self.places = path, rows, bits, places
        self._file: Reader | None = file
        self._arrays: dict[str, npt.NDArray[Any]] = {}  # cache of `array`
        self._loading = threading.Lock()
        self._piece = lru_cache(KEPT)(self._read_piece)
        with self._reading():
            self._check()

    def _check(self) -> None:
        """Raise ValueError if an array is missing, exceeds the file or has the wrong length."""
        rows = self.rows
        for name, (offset, items) in self.places.items():
            if name not in DTYPES or offset + items * np.dtype(DTYPES[name]).itemsize > self.file.size:
                raise ValueError(f"{name} exceeds the file")
        free = {*(f"{name}/bytes" for name in PACKED), *(f"{name}/pieces" for name in PACKED), *OPTIONAL}
        for name in DTYPES.keys() - self.places.keys() - free:
            raise ValueError(f"{name} is missing")
        for group in ({self.vector_array or VECTORS[0], "vectors/norms"}, *map(_of_field, FIELDS)):
            if (there := group & self.places.keys()) and there != group:
                raise ValueError(f"{min(group - there)} is missing, but {min(there)} is present")
        wanted = {f"{name}/offsets": rows + 1 for name in ("ids", "contents", "thumbnails", "metadata", "labels")}
        wanted |= {"codes": rows * width(self.bits), "lookup/hashes": rows, "lookup/rows": rows}
        each = ("vectors/norms", *(f"{field}/{name}" for field in FIELDS for name in ("lengths", "pairs")))
        wanted |= {name: rows for name in each if name in self.places}
        wanted |= {SKETCHES: rows * SKETCH_BYTES} if SKETCHES in self.places else {}
        for name, items in wanted.items():
            if self.places[name][1] != items:
                raise ValueError(f"{name} has {self.places[name][1]} items, not {items}")
        for array in filter(None, (self.vector_array, self.original_array)):
            if self.places[array][1] % max(1, rows):
                raise ValueError(f"rows of {array} have unequal lengths")

    @property
    def file(self) -> Reader:
        """The open file. Raises StoreError after `close`."""
        if self._file is None:
            raise StoreError(f"index {str(self.path.parent.parent)!r} is closed; open it again")
        return self._file

    def items(self, name: str, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Read items start to stop (exclusive) of an array from the file."""
        offset, count = self.places[name]
        stop = count if stop is None else stop
        dtype = np.dtype(DTYPES[name])
        if not 0 <= start <= stop <= count:
            raise ValueError(f"{name} has no items {start} to {stop}")
        data = self.file.read(offset + start * dtype.itemsize, (stop - start) * dtype.itemsize)
        return np.frombuffer(data, dtype)

    def array(self, name: str) -> npt.NDArray[Any]:
        """Return a complete array. It is read once and cached."""
        with self._loading:
            if name not in self._arrays:
                self._arrays[name] = self.items(name)
            return self._arrays[name]

    def codes(self) -> Codes:
        """Return all codes, uint8 [rows, bytes]."""
        with self._reading():
            codes = self.items("codes").reshape(self.rows, -1 if self.rows else width(self.bits))
            return check_codes(codes, self.bits)

    @property
    def vector_array(self) -> str | None:
        """The name of the array of vectors, or None if the segment has none."""
        return next((name for name in VECTORS if name in self.places), None)

    @property
    def original_array(self) -> str | None:
        """The name of the array of original features, or None if the segment has none."""
        return next((name for name in ORIGINALS if name in self.places), None)

    def vectors(self) -> Vectors | None:
        """Return all vectors, or None if the segment has none."""
        if (name := self.vector_array) is None:
            return None
        with self._reading():
            return Vectors(self.array(name).reshape(self.rows, -1), self.array("vectors/norms"))

    def originals(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Read the original features [len(rows), dim] of these rows. The segment must have some."""
        with self._reading():
            if (name := self.original_array) is None:
                raise ValueError("originals are missing")
            dim = self.places[name][1] // max(1, self.rows)
            found = [self.items(name, row * dim, (row + 1) * dim) for row in rows.tolist()]
            return np.stack(found) if found else np.zeros((0, dim), DTYPES[name])

    def sketches(self) -> Codes | None:
        """Return all sketches, uint8 [rows, 16], or None if the segment has none."""
        if SKETCHES not in self.places:
            return None
        with self._reading():
            return self.items(SKETCHES).reshape(self.rows, SKETCH_BYTES)

    def field(self, name: str) -> Postings | None:
        """Return the postings of "words" or "titles", or None if the segment has none."""
        if f"{name}/lengths" not in self.places:
            return None

        def read(array: str) -> npt.NDArray[Any]:
            with self._reading():
                return self.array(f"{name}/{array}")

        return Postings(self.rows, read)

    def derived(self) -> Derived:
        """Return vectors, words, titles, original features and sketches of all rows."""
        with self._reading():
            words, titles = (None if (own := self.field(name)) is None else own.occurrences() for name in FIELDS)
            originals = None
            if name := self.original_array:
                originals = self.items(name).reshape(self.rows, -1)
            return Derived(self.vectors(), words, titles, originals, self.sketches())

    def ids(self) -> list[str]:
        """Return all ids, in order of insertion."""
        with self._reading():
            return self._texts("ids", 0, self.rows)

    def find(self, hashes: npt.NDArray[np.uint64], ids: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Yield (position in `ids`, row) for each id that the segment contains. `hashes` are the hashes of the ids.

        If an id has several rows in a segment, all but the last are deleted.
        """
        with self._reading():
            known, rows = self.array("lookup/hashes"), self.array("lookup/rows")
            starts, stops = np.searchsorted(known, hashes, "left"), np.searchsorted(known, hashes, "right")
            for place in np.flatnonzero(starts < stops).tolist():
                for row in rows[starts[place] : stops[place]].tolist():
                    if self._texts("ids", row, row + 1) == [ids[place]]:
                        yield place, row

    def record(self, row: int) -> Record:
        """Return the record of a row."""
        return self.between(row, row + 1)[0]

    def records(self) -> Iterator[Record]:
        """Iterate over all records in row order. Reads 1000 at a time."""
        for start in range(0, self.rows, 1000):
            yield from self.between(start, min(start + 1000, self.rows))

    def some(self, rows: npt.NDArray[np.int64]) -> list[Record]:
        """Return the records of these rows, in ascending order. Reads all rows from the first to the last."""
        first = int(rows[0])
        all_ = self.between(first, int(rows[-1]) + 1)
        return [all_[row - first] for row in rows.tolist()]

    @cached_property
    def _columns(self) -> dict[columns.Key, tuple[int, ...]]:
        """Start and stop of each column by field and kind; () for those that are not stored."""
        listed = json.loads(self.items("columns/index").tobytes())
        return {(str(field), str(kind)): tuple(map(int, place)) for field, kind, *place in listed}

    def kinds(self) -> list[columns.Key]:
        """Return the fields of the metadata and the kinds of their values."""
        with self._reading():
            return list(self._columns)

    def column(self, field: str, kind: str) -> columns.Column:
        """Return the values of a kind that a field of the metadata has."""
        with self._reading():
            place = self._columns.get((field, kind))
            if place is None:
                return columns.empty(kind, self.rows)
            if place:
                return columns.restored(kind, self.rows, self.items("columns/data", *place))
            metadata = [json.loads(text) if text else {} for text in self._texts("metadata", 0, self.rows)]
            return columns.column((field, kind), metadata)

    def labels(self) -> list[tuple[str, ...]]:
        """Return the labels of all rows."""
        with self._reading():
            return self._labels(0, self.rows)

    @cached_property
    def _names(self) -> list[str]:
        return self._texts("labels/names", 0, self.places["labels/names/offsets"][1] - 1)

    def _labels(self, start: int, stop: int, names: Sequence[str] | None = None) -> list[tuple[str, ...]]:
        names = self._names if names is None else names
        edges = self._edges("labels", start, stop, self.places["labels/rows"][1])
        here = self.items("labels/rows", edges[0], edges[-1])
        if len(here) and not 0 <= here.min() <= here.max() < len(names):
            raise ValueError("a label has no name")
        of = [names[number] for number in here.tolist()]
        return [tuple(of[a - edges[0] : b - edges[0]]) for a, b in pairwise(edges)]

    def between(
        self, start: int, stop: int, ids: Sequence[str] | None = None, names: Sequence[str] | None = None
    ) -> list[Record]:
        """Return the records of rows start to stop (exclusive).

        `ids` and `names` (of labels) replace those in the file, for damaged segments.
        """
        with self._reading():
            ids = self._texts("ids", start, stop) if ids is None else ids
            contents = self._texts("contents", start, stop)
            metadata = [json.loads(text) if text else {} for text in self._texts("metadata", start, stop)]
            if not all(isinstance(own, dict) for own in metadata):
                raise ValueError("metadata is not a JSON object")
            labels, thumbnails = self._labels(start, stop, names), self._bytes("thumbnails", start, stop)
            return [Record(*row) for row in zip(ids, contents, labels, metadata, thumbnails, strict=True)]

    def _texts(self, name: str, start: int, stop: int) -> list[str]:
        return [text.decode("utf-8", "surrogatepass") for text in self._bytes(name, start, stop)]

    def _bytes(self, name: str, start: int, stop: int) -> list[bytes]:
        """Return the byte strings of rows start to stop (exclusive)."""
        packed = name in PACKED and f"{name}/pieces" in self.places
        edges = self._edges(name, start, stop, UNPACKED if packed else self.places[f"{name}/bytes"][1])
        if packed:
            data = self._unpack(name, edges[0], edges[-1])
        else:
            data = self.items(f"{name}/bytes", edges[0], edges[-1]).tobytes()
        return [data[a - edges[0] : b - edges[0]] for a, b in pairwise(edges)]

    def _edges(self, name: str, start: int, stop: int, most: int) -> list[int]:
        """Return the offsets of rows start to stop. Raises ValueError if they do not ascend or exceed `most`."""
        if not 0 <= start <= stop <= self.rows and name != "labels/names":
            raise ValueError(f"{name} has no row {start}")
        edges: list[int] = self.items(f"{name}/offsets", start, stop + 1).tolist()
        if edges[0] < 0 or edges[-1] > most or any(a > b for a, b in pairwise(edges)):
            raise ValueError(f"{name} has offsets that do not ascend")
        return edges

    def _unpack(self, name: str, start: int, stop: int) -> bytes:
        """Return bytes start to stop of compressed strings."""
        if start == stop:
            return b""
        first, last = start // PIECE, -(-stop // PIECE)
        table = self.items(f"{name}/pieces", 2 * first, 2 * last).reshape(-1, 2).tolist()
        data = b"".join(self._piece(offset, length) for offset, length in table)
        return data[start - first * PIECE : stop - first * PIECE]

    def _read_piece(self, offset: int, length: int) -> bytes:
        if not 0 <= length <= 2 * PIECE or offset < 0:
            raise ValueError(f"a compressed chunk of {length} bytes cannot contain {PIECE}")
        return _inflated(self.file.read(offset, length), PIECE)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Convert OSError to StoreError, and other errors while reading to CorruptIndex."""
        try:
            yield
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {files.reason(error)}") from error
        except (EOFError, KeyError, ValueError, TypeError, IndexError, RuntimeError, zlib.error) as error:
            what = f"{error}"[:120]
            raise CorruptIndex(f"{self.path} is damaged ({what})", path=str(self.path.parent.parent)) from error

    def close(self) -> None:
        """Release the file. It is closed when no other thread reads it any more."""
        self._arrays = {}
        self._piece.cache_clear()
        self._file = None


def _inflated(packed: bytes, size: int) -> bytes:
    """Decompress a chunk. Raises ValueError if the result is not `size` bytes, and never decompresses much more."""
    unpacker = zlib.decompressobj()
    piece = unpacker.decompress(packed, size + 1)
    if len(piece) != size or not unpacker.eof:
        raise ValueError("a compressed chunk has the wrong length")
    return piece
