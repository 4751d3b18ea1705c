"""hashret learns short binary codes for documents and finds the nearest ones by Hamming distance.

    import hashret

    index = hashret.Index.create("indexes/letters", "letters/", bits=64)
    for hit in index.search("the harvest of that year", k=10):
        print(hit.distance, hit.id)

The names below are loaded when they are first used, so that importing hashret loads no training library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hashret.deduplication.documents import duplicates
    from hashret.deduplication.results import Duplicates
    from hashret.documents import Document
    from hashret.errors import (
        CorruptIndex,
        DataError,
        DuplicateIds,
        FormatTooNew,
        GateError,
        HashretError,
        IndexExists,
        IndexLocked,
        IndexNotFound,
        MissingExtra,
        StoreError,
        UnknownId,
        UsageError,
    )
    from hashret.evaluation.evaluate import evaluate
    from hashret.hasher import Hasher
    from hashret.index import Index, repair, verify
    from hashret.readers import read
    from hashret.results import Hit, Hits
    from hashret.search import Neighbors, searcher

__version__ = "0.1.0"

_ERRORS = (
    *("HashretError", "UsageError", "MissingExtra", "IndexNotFound", "IndexExists", "DataError", "UnknownId"),
    *("DuplicateIds", "StoreError", "IndexLocked", "CorruptIndex", "FormatTooNew", "GateError"),
)
_HOME = {
    "Document": "hashret.documents",
    "Duplicates": "hashret.deduplication.results",
    "duplicates": "hashret.deduplication.documents",
    "Hasher": "hashret.hasher",
    "Hit": "hashret.results",
    "Hits": "hashret.results",
    "Index": "hashret.index",
    "Neighbors": "hashret.search",
    "evaluate": "hashret.evaluation.evaluate",
    "read": "hashret.readers",
    "repair": "hashret.index",
    "searcher": "hashret.search",
    "verify": "hashret.index",
} | dict.fromkeys(_ERRORS, "hashret.errors")

__all__ = [
    "CorruptIndex",
    "DataError",
    "Document",
    "DuplicateIds",
    "Duplicates",
    "FormatTooNew",
    "GateError",
    "Hasher",
    "HashretError",
    "Hit",
    "Hits",
    "Index",
    "IndexExists",
    "IndexLocked",
    "IndexNotFound",
    "MissingExtra",
    "Neighbors",
    "StoreError",
    "UnknownId",
    "UsageError",
    "duplicates",
    "evaluate",
    "read",
    "repair",
    "searcher",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hashret' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
