"""Where the files of documents are, for those of an index and those of a source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashret.documents import Document
from hashret.images import load, thumbnail
from hashret.readers.base import Source
from hashret.store import Store


@dataclass(frozen=True, slots=True)
class Place:
    """A document and where its file should be."""

    id: str
    metadata: Mapping[str, Any]
    content: str | bytes  # the text, or the thumbnail of an image
    paths: list[Path]  # the file is the first of these that exists


def stored_places(store: Store, about: Mapping[str, Any], ids: Iterable[str]) -> dict[str, Place]:
    """Return the places of documents of an index, by id. `about` is its description."""
    roots = [
        (Path(own), prefix)
        for own, prefix in zip(about.get("sources") or (), about.get("prefixes") or (), strict=False)
    ]
    found = {}
    for id in ids:
        row = store.find(id)
        if row is not None:
            record = store.record(row)
            found[id] = Place(id, record.metadata, record.thumbnail or record.content, _paths(roots, id))
    return found


def read_places(source: Source, ids: Iterable[str]) -> dict[str, Place]:
    """Return the places of documents of a source, by id."""
    parts = getattr(source, "parts", None) or [(source, "")]
    roots = [(part.path.resolve(), prefix) for part, prefix in parts]
    wanted, found = set(ids), {}
    for document in source if wanted else ():
        if document.id in wanted:
            found[document.id] = Place(document.id, document.metadata, _content(document), _paths(roots, document.id))
    return found


def _content(document: Document) -> str | bytes:
    if document.kind == "image":
        content: Any = document.content
        return thumbnail(load(content, document.id))
    return document.content if isinstance(document.content, str) else ""


def _paths(roots: list[tuple[Path, str]], id: str) -> list[Path]:
    """Return the paths that an id may stand for: under a folder, or a file that was read by itself."""
    inside = [(root, id[len(prefix) :]) for root, prefix in roots if id.startswith(prefix)]
    return [root / rest if root.is_dir() else root for root, rest in inside if root.is_dir() or root.name == rest]
