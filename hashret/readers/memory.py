"""Source of documents given from Python."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from hashret.documents import Content, Document, Documents, Records, as_documents, is_one
from hashret.errors import DataError, UsageError
from hashret.readers.arrow import named_classes
from hashret.readers.base import USUAL, Fields, Source
from hashret.readers.rules import Rules
from hashret.readers.spool import Spool


class Memory(Source):
    """Documents, bare contents, or mappings with the fields of JSON lines (id, text, labels, ...).

    An iterator, which can be consumed only once, is stored in a temporary file. Raises UsageError if `items` is not
    iterable.
    """

    name: ClassVar[str] = "memory"
    summary: ClassVar[str] = "documents given from Python"

    def __init__(self, items: Documents | Records, fields: Fields = USUAL) -> None:
        super().__init__(Path("memory"), fields)
        rows = _rows_of(items)
        self._items = cast("Iterable[Any]", [items] if rows is items and is_one(items) else rows)
        self._spool: Spool | None = None
        try:
            once = iter(self._items) is self._items
        except TypeError:
            raise UsageError(f"documents must be a collection of texts or documents, got {items!r:.60}") from None
        if once:
            self._spool = Spool()
            self._spool.write(map(pack, as_documents(_records(self._items, fields))))
            self._items = ()

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Always False: the documents have no path."""
        return False

    def __iter__(self) -> Iterator[Document]:
        if self._spool is None:
            yield from as_documents(_records(self._items, self.fields))
            return
        with self._spool.open() as stream:
            for line in stream:
                yield unpack(line)

    def count(self) -> int | None:
        """Return the length of a list, a tuple or a table, otherwise None."""
        if self._spool is None and isinstance(self._items, list | tuple | _Rows):
            with suppress(TypeError):  # a dataset that is streamed has no length
                return len(self._items)
        return None


class _Rows:
    """The rows of a data frame, a table or a dataset as mappings, made one by one in each iteration."""

    def __init__(self, table: Any, rows: Callable[[], Iterable[Mapping[str, Any]]]) -> None:
        self.table, self.rows = table, rows

    def __len__(self) -> int:
        return len(self.table)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.rows())


def _rows_of(items: Any) -> Any:
    """Return the rows of a data frame of pandas or polars, an Arrow table, or a dataset of Hugging Face, as mappings.

    Returns anything else unchanged. None of these packages is imported.
    """
    if isinstance(items, dict) and items and all(hasattr(split, "features") for split in items.values()):
        raise UsageError(f"a DatasetDict holds several datasets; give one of them: {', '.join(map(repr, items))}")
    if hasattr(items, "features") and hasattr(items, "column_names"):  # a Dataset
        classes = {field: own.names for field, own in (items.features or {}).items() if hasattr(own, "int2str")}
        return _Rows(items, lambda: (named_classes(row, classes) for row in items))
    if hasattr(items, "iter_rows"):  # polars
        return _Rows(items, lambda: items.iter_rows(named=True))
    if hasattr(items, "to_batches"):  # pyarrow
        return _Rows(items, lambda: (row for batch in items.to_batches() for row in batch.to_pylist()))
    if hasattr(items, "columns") and hasattr(items, "itertuples"):  # pandas
        names = [str(name) for name in items.columns]
        return _Rows(
            items, lambda: (dict(zip(names, row, strict=True)) for row in items.itertuples(index=False, name=None))
        )
    return items


def _records(items: Iterable[Any], fields: Fields) -> Iterator[Document | Content]:
    """Yield the items, with mappings converted to documents like records of JSON lines."""
    rules = Rules("documents", Path.cwd(), fields, "document")
    for number, item in enumerate(items):
        if isinstance(item, Mapping):
            yield rules.document(item if fields.id or "id" in item else {"id": str(number), **item}, number)
        elif fields != USUAL:
            raise UsageError(f"id, text and label name fields of records, but document {number} is not a mapping")
        else:
            yield item


def pack(document: Document) -> str:
    """Return a document as one line of JSON, with arrays as base64."""
    content: Any
    if isinstance(document.content, np.ndarray):
        array = np.ascontiguousarray(document.content)
        if array.dtype.kind not in "iufb":
            raise DataError(f"the content of {document.id!r} must be an array of numbers, got {array.dtype}")
        content = {"array": base64.b64encode(array.tobytes()).decode(), "dtype": array.dtype.str, "shape": array.shape}
    elif isinstance(document.content, Path):
        content = {"path": str(document.content)}
    else:
        content = document.content
    try:
        return json.dumps([document.id, content, document.labels, dict(document.metadata)])
    except (TypeError, ValueError) as error:
        raise DataError(f"the document {document.id!r} cannot be written as JSON: {error}") from error


def unpack(line: bytes) -> Document:
    """Return the document of a line that `pack` returned."""
    id, content, labels, metadata = json.loads(line)
    if isinstance(content, dict):
        content = Path(content["path"]) if "path" in content else _array(content)
    return Document(id, content, tuple(labels), metadata)


def _array(packed: dict[str, Any]) -> np.ndarray[Any, np.dtype[Any]]:
    raw = bytearray(base64.b64decode(packed["array"]))  # a bytearray, so that the array can be written to
    return np.frombuffer(raw, dtype=packed["dtype"]).reshape(packed["shape"])
