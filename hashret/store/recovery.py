"""RecoveryFile: what must survive the loss of a segment, as a JSON file in another folder.

The ids of its documents, so that lost documents can be named; the names of its labels; the small arrays that say where
each document lies, so that a bad sector in one of them does not cost hundreds; and a checksum of each block of its
file, so that damage costs only the documents that it touched. Read only by `verify` and `repair`.
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
"""The arrays that are copied."""


@dataclass(frozen=True)
class RecoveryFile:
    """What is known of a segment from its recovery file."""

    ids: list[str]
    names: list[str]  # of labels
    blocks: list[int]  # CRC-32 of each `files.BLOCK` bytes of the file
    arrays: dict[str, str]  # `KEPT`, offsets as their differences, compressed, as base64

    def image(self) -> bytes:
        """The file."""
        return json.dumps(asdict(self), ensure_ascii=False).encode("utf-8", "surrogatepass")

    def array(self, name: str, items: int) -> npt.NDArray[np.generic]:
        """One of the arrays, of so many items; ValueError where it has another number."""
        size = items * np.dtype(DTYPES[name]).itemsize
        data = zlib.decompressobj().decompress(base64.b64decode(self.arrays[name]), size + 1)
        if len(data) != size:
            raise ValueError(f"the copy of {name} has another length")
        values = np.frombuffer(data, DTYPES[name])
        return np.cumsum(values, dtype=values.dtype) if name in OFFSETS else values


def of(records: Sequence[Record], image: bytes, places: Mapping[str, Place]) -> RecoveryFile:
    """The recovery file of a segment with these records, whose file is `image`, its arrays at these places."""
    ids, names, blocks = [record.id for record in records], label_names(records), files.block_checksums(image)
    arrays = {}
    for name in KEPT:
        offset, items = places[name]
        values = np.frombuffer(image, DTYPES[name], items, offset) if items else np.zeros(0, DTYPES[name])
        values = np.diff(values, prepend=values.dtype.type(0)) if name in OFFSETS else values
        arrays[name] = base64.b64encode(zlib.compress(values.tobytes(), 1)).decode()
    return RecoveryFile(ids, names, blocks, arrays)


def read(root: Root, name: str, rows: int) -> RecoveryFile:
    """What was written; ValueError where it does not belong to a segment of so many rows."""
    body = json.loads(root.read(name).decode("utf-8", "surrogatepass"))
    ids, names, blocks, arrays = body["ids"], body["names"], body["blocks"], body["arrays"]
    if len(ids) != rows or {type(name) for name in (*ids, *names)} - {str} or {type(n) for n in blocks} - {int}:
        raise ValueError(f"{name} belongs to another segment")
    if set(arrays) != set(KEPT) or {type(own) for own in arrays.values()} - {str}:
        raise ValueError(f"{name} lacks an array")
    return RecoveryFile(ids, names, blocks, arrays)
