"""Source of documents given from Python."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from hashret.documents import Content, Document, Documents, Records, as_documents, is_one
from hashret.errors import DataError, UsageError
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
        self._items = cast("Iterable[Any]", [items] if is_one(items) else _rows_of(items))
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
        """Return the length of a list or tuple, otherwise None."""
        return len(self._items) if isinstance(self._items, list | tuple) and self._spool is None else None


def _rows_of(items: Any) -> Any:
    """Return the rows of a pandas or polars data frame or an Arrow table as mappings; anything else unchanged."""
    if hasattr(items, "iter_rows"):  # polars
        return list(items.iter_rows(named=True))
    if hasattr(items, "to_pylist"):  # pyarrow
        return items.to_pylist()
    if hasattr(items, "columns") and hasattr(items, "to_dict"):  # pandas
        return items.to_dict("records")
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
