"""Columns: the metadata of documents by field and kind of value, in the memory layout of Apache Arrow.

A field may hold values of several kinds, such as numbers in some documents and texts in others. Each kind has a column
of its own, in which documents with another kind of value are missing. So no value is converted.

    bool     a bitmap
    int      int64; integers that do not fit are `float`
    float    float64; NaN is missing
    text     offsets int64 [n + 1], then UTF-8
    texts    a list of texts: offsets int64 [n + 1] of lists, offsets int64 [items + 1] of texts, then UTF-8
    json     objects and other lists, as JSON like `text`; never stored

Each column begins with a bitmap of the documents that have a value. All buffers are padded to 8 bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Key = tuple[str, str]  # field, kind

KINDS = ("bool", "int", "float", "text", "texts", "json")
RARE = 0.01  # a field that fewer documents have is read from the metadata instead
LONG = 256  # bytes; and so are texts that are longer on average


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one kind that a field of n documents has."""

    kind: str
    rows: int
    buffers: tuple[Bytes, ...]  # the bitmap of documents with a value, then the buffers of the kind

    def data(self) -> Bytes:
        """Return all buffers, one after the other, each padded to 8 bytes."""
        return np.concatenate([_padded(buffer) for buffer in self.buffers])


def kind_of(value: object) -> str | None:
    """Return the kind of a value, or None if it is missing, as null and an empty list are."""
    if value is None or value == []:
        return None
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -(1 << 63) <= value < 1 << 63 else "float"
    if isinstance(value, float):
        return None if value != value else "float"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "texts"
    return "json"


def kinds_of(metadata: Iterable[Mapping[str, Any]]) -> dict[Key, int]:
    """Return how many documents have a value of each field and kind, sorted."""
    found: dict[Key, int] = {}
    for own in metadata:
        for field, value in own.items():
            if (kind := kind_of(value)) is not None:
                found[field, kind] = found.get((field, kind), 0) + 1
    return dict(sorted(found.items()))


def column(key: Key, metadata: Sequence[Mapping[str, Any]]) -> Column:
    """Return the column of a field and kind."""
    field, kind = key
    values = [own.get(field) for own in metadata]
    there = np.array([kind_of(value) == kind for value in values], bool)
    kept: list[Any] = [value if here else None for value, here in zip(values, there.tolist(), strict=True)]
    return Column(kind, len(kept), (_bitmap(there), *_buffers(kind, kept)))


def empty(kind: str, rows: int) -> Column:
    """Return a column without values."""
    return Column(kind, rows, (np.zeros(-(-rows // 8), np.uint8), *_nothing(kind, rows)))


def texts_of(values: Sequence[Sequence[str]]) -> Column:
    """Return a column of lists of texts; an empty list is no value."""
    return column(("", "texts"), [{"": list(own)} for own in values])


def stored(metadata: Sequence[Mapping[str, Any]]) -> dict[Key, Column | None]:
    """Return the columns to store for documents. None: the field is rare or long, and read from the metadata."""
    found: dict[Key, Column | None] = {}
    for key, count in kinds_of(metadata).items():
        kept = key[1] != "json" and count >= RARE * len(metadata)
        made = column(key, metadata) if kept else None
        long = made is not None and key[1] in ("text", "texts") and len(made.buffers[-1]) > LONG * count
        found[key] = None if long else made
    return found


def restored(kind: str, rows: int, data: Bytes) -> Column:
    """Return a column from what `Column.data` returned. Raises ValueError if it is damaged."""
    sizes, rest = [-(-rows // 8)], data
    buffers = [_cut(data, sizes[0])]
    rest = data[len(_padded(buffers[0])) :]
    if kind in ("text", "texts"):
        count = rows
        for _ in range(1 if kind == "text" else 2):
            buffers.append(_cut(rest, 8 * (count + 1)))
            offsets = buffers[-1].view(np.int64)
            if offsets[0] or (np.diff(offsets) < 0).any():
                raise ValueError("a column has offsets that do not ascend")
            rest, count = rest[8 * (count + 1) :], int(offsets[-1])
        buffers.append(_cut(rest, count))
    else:
        buffers.append(_cut(rest, -(-rows // 8) if kind == "bool" else 8 * rows))
    return Column(kind, rows, tuple(buffers))


def _buffers(kind: str, values: list[Any]) -> list[Bytes]:
    if kind == "bool":
        return [_bitmap(np.array([value is True for value in values], bool))]
    if kind in ("int", "float"):
        dtype = np.int64 if kind == "int" else np.float64
        return [_bytes(np.array([0 if value is None else value for value in values], dtype))]
    if kind == "json":
        values = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
    if kind in ("text", "json"):
        return _strings(["" if value is None else value for value in values])
    lists = [value or [] for value in values]
    offsets = np.concatenate([[0], np.cumsum([len(own) for own in lists])]).astype(np.int64)
    return [_bytes(offsets), *_strings([item for own in lists for item in own])]


def _nothing(kind: str, rows: int) -> list[Bytes]:
    if kind == "bool":
        return [np.zeros(-(-rows // 8), np.uint8)]
    if kind in ("int", "float"):
        return [np.zeros(8 * rows, np.uint8)]
    ends = [np.zeros(8, np.uint8)] if kind == "texts" else []
    return [np.zeros(8 * (rows + 1), np.uint8), *ends, np.zeros(0, np.uint8)]


def _strings(values: Sequence[str]) -> list[Bytes]:
    encoded = [_utf8(value) for value in values]
    offsets = np.concatenate([[0], np.cumsum([len(value) for value in encoded], dtype=np.int64)]).astype(np.int64)
    return [_bytes(offsets), np.frombuffer(b"".join(encoded), np.uint8)]


def _utf8(text: str) -> bytes:
    """Encode a text; half of a surrogate pair, which UTF-8 does not allow, becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def _bitmap(there: npt.NDArray[np.bool_]) -> Bytes:
    return np.packbits(there, bitorder="little")


def _bytes(values: npt.NDArray[Any]) -> Bytes:
    return np.frombuffer(values.tobytes(), np.uint8)


def _padded(buffer: Bytes) -> Bytes:
    return np.concatenate([buffer, np.zeros(-len(buffer) % 8, np.uint8)])


def _cut(data: Bytes, size: int) -> Bytes:
    if len(data) < size:
        raise ValueError(f"a column has {len(data)} bytes where {size} are needed")
    return data[:size]
