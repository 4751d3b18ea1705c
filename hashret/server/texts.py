"""Texts of clients as queries. The library takes a text as the path of an image; a text of a client is never a path."""

from __future__ import annotations

from hashret.errors import DataError
from hashret.index import Index


def takes_texts(index: Index) -> bool:
    """Whether an index can be searched by a text."""
    return "text" in index.hasher.vectorizer.query_types


def text_query(index: Index, text: str) -> str:
    """A text as a query. Raises DataError if the index cannot be searched by a text."""
    if not takes_texts(index):
        holds = index.hasher.document_type
        raise DataError(f"this index holds {holds}s and is not searched by texts; send one, or the id of a document")
    return text if index.hasher.document_type == "text" else f"{text.strip()}\n"  # no file has such a name
