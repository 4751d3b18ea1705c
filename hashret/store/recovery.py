"""Recovery files: JSON files in a separate folder that help to repair a damaged segment.

A recovery file holds the ids of the documents, to name those that are lost; the names of the labels; copies of the
small arrays of offsets, where one bad sector would lose hundreds of documents; and a checksum of each block of the
segment, to find which documents are damaged. Only `verify` and `repair` read it.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from hashret import files
from hashret.files import Root
from hashret.store.manifest import Place
from hashret.store.segment import DTYPES, Record, label_names

OFFSETS = ("contents/offsets", "metadata/offsets", "thumbnails/offsets", "labels/offsets")
KEPT = (*OFFSETS, "contents/pieces", "metadata/pieces", "labels/rows")
"""Arrays of a segment that its recovery file copies."""


@dataclass(frozen=True)
class RecoveryFile:
    """The content of a segment's recovery file."""

    ids: list[str]
    names: list[str]  # of labels
    blocks: list[int]  # CRC-32 of each block of `files.BLOCK` bytes of the segment
    arrays: dict[str, str]  # the `KEPT` arrays, offsets as differences, zlib-compressed, base64

    def image(self) -> bytes:
        """Return the bytes of the file."""
        return json.dumps(asdict(self), ensure_ascii=False).encode("utf-8", "surrogatepass")

    def array(self, name: str, items: int) -> npt.NDArray[np.generic]:
        """Decode an array. Raises ValueError if its length is not `items`."""
        size = items * np.dtype(DTYPES[name]).itemsize
        data = zlib.decompressobj().decompress(base64.b64decode(self.arrays[name]), size + 1)
        if len(data) != size:
            raise ValueError(f"the copy of {name} has the wrong length")
        values = np.frombuffer(data, DTYPES[name])
        return np.cumsum(values, dtype=values.dtype) if name in OFFSETS else values


def of(records: Sequence[Record], image: bytes, places: Mapping[str, Place]) -> RecoveryFile:
    """Create the recovery file of a segment from its records, its bytes and the offsets of its arrays."""
    ids, names, blocks = [record.id for record in records], label_names(records), files.block_checksums(image)
    arrays = {}
    for name in KEPT:
        offset, items = places[name]
        values = np.frombuffer(image, DTYPES[name], items, offset) if items else np.zeros(0, DTYPES[name])
        values = np.diff(values, prepend=values.dtype.type(0)) if name in OFFSETS else values
        arrays[name] = base64.b64encode(zlib.compress(values.tobytes(), 1)).decode()
    return RecoveryFile(ids, names, blocks, arrays)


def read(root: Root, name: str, rows: int) -> RecoveryFile:
    """Read a recovery file. Raises ValueError if it does not fit a segment with this number of rows."""
    body = json.loads(root.read(name).decode("utf-8", "surrogatepass"))
    ids, names, blocks, arrays = body["ids"], body["names"], body["blocks"], body["arrays"]
    if len(ids) != rows or {type(name) for name in (*ids, *names)} - {str} or {type(n) for n in blocks} - {int}:
        raise ValueError(f"{name} belongs to another segment")
    if set(arrays) != set(KEPT) or {type(own) for own in arrays.values()} - {str}:
        raise ValueError(f"{name} lacks an array")
    return RecoveryFile(ids, names, blocks, arrays)
