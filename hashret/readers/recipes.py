"""Recipes: descriptions of sources as JSON, from which another process opens them, and their pieces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hashret.documents import Document
from hashret.readers import SOURCES, opened_at
from hashret.readers.base import Fields, Source
from hashret.readers.folder import Folder
from hashret.readers.memory import Memory, pack, unpack
from hashret.readers.remote import Remote, RemoteFile
from hashret.readers.several import Several, join
from hashret.readers.stdin import Stdin

Recipe = dict[str, Any]


class Packed(Source):
    """Documents in a file that `write_packed` wrote."""

    name = "packed"
    summary = "documents given from Python, in a file"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Always False: only a recipe names such a file."""
        return False

    def __iter__(self) -> Iterator[Document]:
        with self.path.open("rb") as stream:
            yield from map(unpack, stream)


def has_recipe(source: Source) -> bool:
    """Whether another process can read the source: not documents given from Python, or standard input."""
    if isinstance(source, Several):
        return all(map(has_recipe, source.sources))
    return isinstance(source, Remote) or (source.name in SOURCES.names() and not isinstance(source, Memory | Stdin))


def write_packed(source: Source, path: Path) -> Source:
    """Write all documents to a file and return a source that reads it."""
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(f"{pack(document)}\n" for document in source)
    return Packed(path)


def recipe_of(source: Source) -> Recipe:
    """Return the recipe of a source that has one."""
    if isinstance(source, Several):
        return {"several": [recipe_of(part) for part in source.sources], "prefixes": source.prefixes}
    about = {"source": source.name, "fields": source.fields.as_json(), "strict": source.strict}
    if isinstance(source, Remote):
        return about | {
            "address": source.address,
            "format": source.format,
            "files": [list(own) for own in source.files],
        }
    about |= {"path": str(source.path.absolute())}
    if isinstance(source, Folder) and source.left_out is not None:
        about |= {"left_out": str(source.left_out)}
    return about


def source_of(recipe: Mapping[str, Any]) -> Source:
    """Return the source of a recipe."""
    if "several" in recipe:
        return join([source_of(part) for part in recipe["several"]], recipe["prefixes"])
    fields = Fields.from_json(recipe["fields"])
    source: Source
    if recipe["source"] == Remote.name:
        files = [RemoteFile(*own) for own in recipe["files"]]
        source = opened_at(recipe["address"], recipe["format"], fields, files)
    elif recipe["source"] == Packed.name:
        source = Packed(Path(recipe["path"]))
    else:
        source = SOURCES.get(recipe["source"])(Path(recipe["path"]), fields)
        if "left_out" in recipe:
            source = source.without(Path(recipe["left_out"]))
    source.strict = recipe["strict"]
    return source


def pieces_of(source: Source) -> list[Source]:
    """Return the files of a source, as far as they can be read one by one, in order."""
    if isinstance(source, Several):
        return [
            join([piece], [prefix]) if prefix else piece for part, prefix in source.parts for piece in pieces_of(part)
        ]
    if isinstance(source, Remote) and len(source.files) > 1:
        pieces = [opened_at(source.address, source.format, source.fields, [file]) for file in source.files]
        for piece in pieces:
            piece.strict = source.strict
        return list(pieces)
    return [source]


def paths_of(recipe: Mapping[str, Any]) -> list[str]:
    """Return the local paths that a recipe names."""
    parts = [path for part in recipe.get("several", ()) for path in paths_of(part)]
    return parts + ([recipe["path"]] if "path" in recipe else [])
