"""Write a segment as an HDF5 file that other programs can read, and record the offset of each array in it.

    codes                           uint8 [n, bytes]
    ids, contents, thumbnails, metadata      groups: bytes uint8 [total], offsets int64 [n + 1]
    labels                          group: names (bytes and offsets), rows int32 [total], offsets int64 [n + 1]
    lookup                          group: hashes uint64 [n], ascending, rows int64 [n]
    vectors                         group: uint8 [n, bytes], int8 or float32 [n, dim], and norms float32 [n]
    originals                       group: int8 or float32 [n, dim]
    sketches                        uint8 [n, 16]
    columns                         group: index uint8 (JSON) and data uint8, see hashret/columns.py
    words, titles                   groups of postings, see hashret/postings.py

All arrays are contiguous, so `segment.py` can read them by offset, without HDF5. The exceptions are contents and
metadata, which are compressed in chunks. `pieces` int64 [pieces, 2] holds the offset and length of each chunk.

Contents are written late in the file. Only postings follow, which can be rebuilt from contents, so a truncated file
loses few documents. Strings are stored as bytes and offsets because HDF5's variable-length strings are slow and fail
with compression.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from hashret import columns
from hashret.codes import Codes
from hashret.errors import DataError
from hashret.store.derived import ORIGINALS, SKETCHES, VECTORS, Derived
from hashret.store.manifest import Place
from hashret.store.segment import DTYPES, PIECE, Record, hash_id, label_names

Arrays = Mapping[str, Place]


def image(codes: Codes, records: Sequence[Record], derived: Derived) -> tuple[bytes, Arrays]:
    """Return the file of n documents with codes uint8 [n, bytes], and the offsets and sizes of its arrays.

    The file is built in memory, because libhdf5 crashes when the disk is full, while Python's own writes raise OSError.
    """
    with h5py.File(
        "segment", "w", driver="core", backing_store=False, alignment_threshold=256, alignment_interval=64
    ) as file:
        packed = {
            "metadata": [_json(record) for record in records],
            "contents": [_utf8(record.content) for record in records],
        }
        for name, values in _arrays(codes, records).items():
            file[name] = values
        for name, strings in packed.items():
            file[f"{name}/offsets"] = _offsets([len(value) for value in strings])
            file[f"{name}/pieces"] = np.ones((-(-sum(map(len, strings)) // PIECE), 2), np.int64)  # filled below
        arrays = derived.arrays()
        for name in sorted(arrays.keys() & {*VECTORS, "vectors/norms", *ORIGINALS, SKETCHES}):
            file[name] = arrays.pop(name)
        for name, values in _strings("thumbnails", [record.thumbnail for record in records]).items():
            file[name] = values
        for name, strings in packed.items():
            _pack(file, name, b"".join(strings))
        for name, values in arrays.items():
            file[name] = values
        file.flush()
        return file.id.get_file_image(), dict(_contiguous(file))


def _arrays(codes: Codes, records: Sequence[Record]) -> dict[str, npt.NDArray[Any]]:
    names = label_names(records)
    numbers = {name: number for number, name in enumerate(names)}
    hashes = np.array([hash_id(record.id) for record in records], np.uint64)
    order = np.argsort(hashes, kind="stable")
    return {
        "codes": codes,
        **_strings("ids", [_utf8(record.id) for record in records]),
        **_strings("labels/names", [_utf8(name) for name in names]),
        **_columns(records),
        "labels/rows": np.array([numbers[label] for record in records for label in record.labels], np.int32),
        "labels/offsets": _offsets([len(record.labels) for record in records]),
        "lookup/hashes": hashes[order],
        "lookup/rows": order.astype(np.int64),
    }


def _columns(records: Sequence[Record]) -> dict[str, npt.NDArray[Any]]:
    """Return the columns of the metadata; the index lists [field, kind, start, stop], without stop if not stored."""
    index: list[list[Any]] = []
    data, start = [np.zeros(0, np.uint8)], 0
    for (field, kind), column in columns.stored([record.metadata for record in records]).items():
        index.append([field, kind])
        if column is not None:
            data.append(column.data())
            index[-1] += [start, start := start + len(data[-1])]
    listed = np.frombuffer(json.dumps(index).encode(), np.uint8)
    return {"columns/index": listed, "columns/data": np.concatenate(data)}


def _strings(name: str, values: Sequence[bytes]) -> dict[str, npt.NDArray[Any]]:
    data = np.frombuffer(b"".join(values), np.uint8)
    return {f"{name}/bytes": data, f"{name}/offsets": _offsets([len(value) for value in values])}


def _offsets(lengths: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def _pack(file: h5py.File, name: str, data: bytes) -> None:
    """Write bytes as compressed HDF5 chunks, and store the offset and length of each chunk."""
    starts = range(0, len(data), PIECE)
    how = {"chunks": (PIECE,), "maxshape": (None,), "compression": "gzip", "compression_opts": 1}
    array = file.create_dataset(f"{name}/bytes", (len(data),), np.uint8, **(how if data else {}))
    for start in starts:
        piece = data[start : start + PIECE].ljust(PIECE, b"\0")
        array.id.write_direct_chunk((start,), zlib.compress(piece, 1))
    file.flush()
    found: list[tuple[int, int, int]] = []
    if data:
        array.id.chunk_iter(lambda place: found.append((place.chunk_offset[0], place.byte_offset, place.size)))
        file[f"{name}/pieces"][:] = np.array([own[1:] for own in sorted(found)], np.int64)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _json(record: Record) -> bytes:
    if not record.metadata:
        return b""
    try:
        return _utf8(json.dumps(dict(record.metadata), ensure_ascii=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"metadata of {record.id!r} cannot be written as JSON ({error})") from error


def places(image: bytes) -> tuple[dict[str, Place], bytes]:
    """Return the offsets of a segment's arrays as HDF5 reports them. Raises ValueError if an array is not contiguous.

    Runs in a worker process because libhdf5 never returns for some damaged files. Workers must return bytes as the
    second value, here empty.
    """
    with h5py.File(io.BytesIO(image), "r") as file:
        return dict(_contiguous(file)), b""


def _contiguous(file: h5py.File) -> Iterator[tuple[str, Place]]:
    for name in DTYPES:
        array = _find(file, name)
        if array is not None and array.chunks is None:
            offset = array.id.get_offset() if array.size else 0
            if offset is None:
                raise ValueError(f"{name} is not contiguous")
            yield name, (offset, array.size)


def _find(file: h5py.File, name: str) -> h5py.Dataset | None:
    """Return the array with this name, or None. Raises ValueError if it is not a plain array of this file."""
    place: Any = file
    for part in name.split("/"):
        link = place.get(part, getlink=True) if isinstance(place, h5py.Group) else None
        if link is None:
            return None
        place = place[part] if isinstance(link, h5py.HardLink) else None
    if not isinstance(place, h5py.Dataset) or place.is_virtual or place.external or place.dtype != DTYPES[name]:
        raise ValueError(f"{name} is not a {np.dtype(DTYPES[name])} array in this file")
    return place
