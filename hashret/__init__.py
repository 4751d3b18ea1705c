"""hashret learns short binary codes for documents and finds the nearest ones by Hamming distance.

    import hashret

    source = hashret.read("letters/")                       # files -> documents
    index = hashret.Index.create("indexes/letters", source, bits=64)
    hits = index.search(["the harvest of that year"], k=10)  # a list of hits a query

The names below are loaded when they are first used, so that importing hashret loads no training library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hashret.documents import Document
    from hashret.errors import HashretError
    from hashret.evaluation.evaluate import evaluate
    from hashret.hasher import Hasher
    from hashret.hits import Hit
    from hashret.index import Index
    from hashret.search import Neighbors, searcher
    from hashret.sources import read

__version__ = "0.1.0"

_HOME = {
    "Document": "hashret.documents",
    "HashretError": "hashret.errors",
    "Hasher": "hashret.hasher",
    "Hit": "hashret.hits",
    "Index": "hashret.index",
    "Neighbors": "hashret.search",
    "evaluate": "hashret.evaluation.evaluate",
    "read": "hashret.sources",
    "searcher": "hashret.search",
}

__all__ = ["Document", "HashretError", "Hasher", "Hit", "Index", "Neighbors", "evaluate", "read", "searcher"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hashret' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
