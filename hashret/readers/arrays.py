"""Source of vectors and images in NumPy and HDF5 files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hashret.documents import Document
from hashret.errors import DataError, UsageError
from hashret.readers.base import USUAL, Fields, Source, no_fields, portable, shown
from hashret.readers.containers import HDF5_MARK, Array, arrays_in
from hashret.readers.decode import raw_head
from hashret.readers.magic import zip_names
from hashret.readers.rules import label_text

MAX_NAME = 2**16  # bytes of one id or label
CHUNK_BYTES, CHUNK_ROWS = 8 * 2**20, 4096  # limits of one read
MAX_ROW = 32 * 2**20  # bytes of one vector or image; a larger one is a mistake or an attack


class Arrays(Source):
    """One document per row of x: a vector if x is 2-D, an image if x is 3-D or 4-D uint8."""

    name: ClassVar[str] = "arrays"
    summary: ClassVar[str] = ".npy, .npz or HDF5: x (or X, or the only array of 2 or more dimensions), y and ids"

    def __init__(self, path: Path, fields: Fields = USUAL) -> None:
        super().__init__(path, fields)
        if fields.label == "folder" or len(fields.text) > 1:
            raise UsageError(f"{shown(path.name)} holds arrays: label, id and text must each be the name of one array")
        if raw_head(path).startswith(b"\x93NUMPY"):
            no_fields(fields, f"a .npy file ({shown(path.name)}), which holds a single unnamed array,")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the file starts with the signature of NumPy or HDF5, or is a zip archive of .npy files."""
        if not path.is_file():
            return False
        start = raw_head(path)
        return start.startswith((b"\x93NUMPY", HDF5_MARK)) or any(
            name.endswith(".npy") for name in zip_names(path, start)
        )

    def __iter__(self) -> Iterator[Document]:
        with arrays_in(self.path) as container:
            chosen = self._chosen(container.arrays)
            there = [array for array in chosen if array]
            block = max(1, min(CHUNK_ROWS, CHUNK_BYTES // max(1, *(array.row_bytes for array in there))))
            number = 0
            for found in container.rows([array.name for array in there], block):
                parts = iter(found)
                contents, labels, names = (next(parts) if array else None for array in chosen)
                assert contents is not None
                yield from documents_of(self.path, contents, labels, names, number)
                number += len(contents)

    @property
    def kind(self) -> str:
        """The kind of the documents: "vector" if x is 2-D, otherwise "image"."""
        with arrays_in(self.path) as container:
            return "vector" if len(self._chosen(container.arrays)[0].shape) == 2 else "image"

    def count(self) -> int:
        """Return the number of rows of x."""
        with arrays_in(self.path) as container:
            return self._chosen(container.arrays)[0].shape[0]

    def _chosen(self, arrays: Mapping[str, Array]) -> tuple[Array, Array | None, Array | None]:
        """Return the arrays x, y and ids, checked; y and ids may be None."""
        named = self.fields.text[0] if self.fields.text else next((name for name in ("x", "X") if name in arrays), None)
        if named is None:
            wide = [name for name, array in arrays.items() if len(array.shape) > 1]
            if len(wide) != 1:
                raise DataError(
                    f"{shown(self.path)} has no array x or X and {len(wide) or 'none'} of 2 or more dimensions; "
                    f"it has {_listed(arrays)}; choose one with text"
                    if arrays and "" not in arrays
                    else f"{shown(self.path)} has no array of 2 or more dimensions"
                )
            named = wide[0]
        x = self._content(named, self._named(arrays, named))
        y = self._column(arrays, self.fields.label, "y", x)
        return x, y, self._column(arrays, self.fields.id, "ids", x)

    def _content(self, name: str, x: Array) -> Array:
        where = (
            f"{shown(self.path)}, array {name!r} {x.shape} of {x.dtype}"
            if name
            else f"{shown(self.path)} {x.shape} of {x.dtype}"
        )
        if len(x.shape) == 2:
            if x.dtype.kind not in "biuf":
                raise DataError(f"{where}: vectors must be numbers")
        elif len(x.shape) not in (3, 4) or x.dtype != np.uint8 or (len(x.shape) == 4 and x.shape[3] != 3):
            raise DataError(
                f"{where}: must be [n, dim] of numbers, or [n, height, width] or [n, height, width, 3] of uint8"
            )
        if not x.row_bytes or x.row_bytes > MAX_ROW:
            raise DataError(f"{where}: a row of {x.row_bytes} bytes; allowed: 1 to {MAX_ROW}")
        return x

    def _column(self, arrays: Mapping[str, Array], named: str | None, usual: str, x: Array) -> Array | None:
        if named is None and usual not in arrays:
            return None
        name = named or usual
        column = self._named(arrays, name)
        if len(column.shape) != 1 or column.dtype.kind not in "biufUS":
            raise DataError(
                f"{shown(self.path)}: {name!r} must be one number or text per row, got {column.shape} of {column.dtype}"
            )
        if column.shape[0] != x.shape[0]:
            raise DataError(f"{shown(self.path)}: {name!r} has {column.shape[0]} rows, but x has {x.shape[0]}")
        if column.row_bytes > MAX_NAME:
            raise DataError(
                f"{shown(self.path)}: {name!r} has texts of {column.row_bytes} bytes; allowed: at most {MAX_NAME}"
            )
        return column

    def _named(self, arrays: Mapping[str, Array], name: str) -> Array:
        if name not in arrays:
            raise DataError(f"{shown(self.path)}: no array {name!r}; it has {_listed(arrays)}")
        array = arrays[name]
        if array.problem:
            raise DataError(f"{shown(self.path)}" + (f", array {name!r}, " if name else " ") + array.problem)
        return array


def documents_of(
    path: Path, contents: np.ndarray[Any, Any], labels: Any, names: Any, before: int
) -> Iterator[Document]:
    """Yield the rows of an array as documents. Without `names`, the ids are numbers after `before`.

    Raises DataError for a vector that is not finite in float32.
    """
    numbers = range(before + 1, before + len(contents) + 1)
    ids = [f"{portable(path.name)}:{n}" for n in numbers] if names is None else [_text(v) for v in names.tolist()]
    tags = [()] * len(contents) if labels is None else [_labels(v) for v in labels.tolist()]
    if contents.ndim == 2:
        with np.errstate(over="ignore"):
            contents = contents.astype(np.float32)
        good = np.isfinite(contents).all(axis=1)
    else:
        good = np.ones(len(contents), bool)
    for id, content, label, number, fine in zip(ids, contents, tags, numbers, good.tolist(), strict=True):
        if not fine:
            raise DataError(
                f"{shown(path)}, row {number} (id {id!r}) holds a NaN, an infinity or a number too large for "
                "float32; remove the row"
            )
        if not id:
            raise DataError(f"{shown(path)}, row {number}: the id is empty")
        yield Document(id, content.copy(), label)  # a view would keep the entire chunk in memory


def _listed(arrays: Mapping[str, Array]) -> str:
    return ", ".join(f"{shown(name)} {array.shape}" for name, array in arrays.items()) or "none"


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else portable(label_text(value))


def _labels(value: Any) -> tuple[str, ...]:
    """Return one label, or none if the value is empty or NaN (an empty cell of a table)."""
    text = _text(value) if value == value else ""
    return (text,) if text else ()
