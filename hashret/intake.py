"""Intake: documents on their way into an index, and back out of it: which are taken, and what is stored of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hashret.documents import Content, Document
from hashret.errors import DataError
from hashret.features import Rows
from hashret.hasher import Hasher
from hashret.pictures import load, thumbnail
from hashret.search.rerank import shrink
from hashret.sources.base import Source
from hashret.sources.memory import Memory
from hashret.store import Record, Transaction


def describe(source: Source, hasher: Hasher) -> dict[str, Any]:
    """What an index remembers of where its documents came from."""
    path = source.path.absolute()
    given = isinstance(source, Memory)
    return {
        "kind": hasher.reads,
        "root": "" if given else str(path if path.is_dir() else path.parent),
        "sources": [] if given else [str(part.path.absolute()) for part in getattr(source, "sources", [source])],
        "fields": source.fields.as_json(),
    }


def each_once(documents: Iterable[Document]) -> Iterator[Document]:
    """The documents; DataError after the last where an id occurs twice, so that nothing is learned in vain."""
    seen: set[str] = set()
    twice: list[str] = []
    for document in documents:
        twice += [document.id] if document.id in seen else []
        seen.add(document.id)
        yield document
    if twice:
        raise _repeated(twice)


def _repeated(ids: list[str]) -> DataError:
    return DataError(f"ids that occur twice in the source: {', '.join(map(repr, ids[:5]))}; each must be its own")


def select(change: Transaction, batch: list[Document], seen: set[str], policy: str) -> list[Document]:
    """The documents of a batch that are to be added, after what the policy says of ids that are there already."""
    fresh, twice, there = [], [], []
    rows = change.rows_of([document.id for document in batch])
    for document, row in zip(batch, rows, strict=True):
        if document.id in seen:
            twice += [document.id] if policy != "skip" else []
        elif row is not None and policy == "refuse":
            there.append(document.id)
        elif row is None or policy == "replace":
            change.delete([] if row is None else [row])
            fresh.append(document)
        seen.add(document.id)
    if twice:
        raise _repeated(twice)
    if there:
        named = ", ".join(map(repr, there[:5]))
        raise DataError(f"ids that are there already: {named}; --replace replaces them, --skip leaves them out")
    return fresh


def append(change: Transaction, hasher: Hasher, documents: list[Document], records: list[Record]) -> None:
    """Encode a batch of documents and append their records, with their vectors where the index keeps them."""
    features = hasher.vectorizer.transform(documents).input
    keeps = change.about.get("keeps_vectors")
    vectors = shrink(features) if keeps and not isinstance(features, Rows) else None
    change.add(hasher.program.encode(features), records, vectors)


def as_record(document: Document, root: str) -> Record:
    """What is stored of a document: its text, or its path below the source's root and a small copy."""
    content, small = "", b""
    if isinstance(document.content, str):
        content = document.content
    elif document.kind == "picture":
        small = thumbnail(load(document.content, document.id))
        if isinstance(path := document.content, Path):
            content = path.relative_to(root).as_posix() if root and path.is_relative_to(root) else path.as_posix()
    return Record(document.id, content, document.labels, document.metadata, small)


def expected(documents: Iterable[Document]) -> int | None:
    """How many there will be, where that is known without reading them."""
    return documents.count() if isinstance(documents, Source) else None


def as_document(record: Record, holds: str, root: str, small: bool = False) -> Document:
    """A stored record as the document it was, where the index `holds` its kind; `small`: a picture's small copy."""
    content: Content = record.content
    if holds == "picture":
        content = Path(root) / record.content
        if small or not record.content:
            content = np.asarray(load(record.thumbnail, record.id))
    elif holds == "vector":
        content = np.zeros(0, np.float32)  # vectors are not kept
    return Document(record.id, content, record.labels, record.metadata)
