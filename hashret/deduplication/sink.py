"""Writes documents to a file of JSON lines or Parquet, which hashret reads again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from hashret.documents import Document
from hashret.errors import UsageError, need

BATCH = 1000


def write_documents(documents: Iterable[Document], path: Path) -> int:
    """Write documents to a .jsonl or .parquet file, which replaces a former one once it is complete.

    Images are written as their paths. Returns the number of documents. Raises UsageError for another ending, and
    MissingExtra for Parquet without the extra `parquet`.
    """
    writers = {".jsonl": _jsonl, ".parquet": _parquet}
    if path.suffix not in writers:
        raise UsageError(f"the file must end in .jsonl or .parquet, got {str(path)!r}")
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        count = writers[path.suffix](documents, part)
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{str(path)!r} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    return count


def row_of(document: Document) -> dict[str, Any]:
    """Return a document as a record: id, its content under the name of its type, labels and the metadata."""
    content: Any = document.content
    if isinstance(content, np.ndarray):
        content = content.tolist()
    elif document.kind == "image":
        content = str(content)
    metadata = {key: value for key, value in document.metadata.items() if key not in ("id", "labels", document.kind)}
    return {"id": document.id, document.kind: content, "labels": list(document.labels), **metadata}


def _jsonl(documents: Iterable[Document], path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8", errors="surrogatepass", newline="\n") as file:
        for document in documents:
            file.write(json.dumps(row_of(document), ensure_ascii=False) + "\n")
            count += 1
    return count


def _parquet(documents: Iterable[Document], path: Path) -> int:
    """Fields of the metadata become columns of text, because their types may differ from document to document."""
    need("pyarrow", "parquet", "writing Parquet")
    import pyarrow
    from pyarrow import parquet

    rows = [row_of(document) for document in documents]
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns: dict[str, Any] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns[name] = pyarrow.array(values)
        except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError):
            columns[name] = pyarrow.array([None if value is None else json.dumps(value) for value in values])
    parquet.write_table(pyarrow.table(columns), path)
    return len(rows)
