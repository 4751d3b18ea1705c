"""Source of a folder of JSON lines, JSON, CSV or Parquet files: the shards of one collection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

from hashret.documents import Document
from hashret.errors import DataError, MissingExtra
from hashret.readers.base import USUAL, Fields, Source, log, shown
from hashret.readers.delimited import Delimited
from hashret.readers.folder import SURVEYED, Found, walk
from hashret.readers.json_items import Json
from hashret.readers.parquet import Parquet
from hashret.readers.records import JsonLines, Records
from hashret.readers.rules import Rules
from hashret.readers.skip_report import SkipReport

FORMATS: dict[str, type[Records]] = {kind.name: kind for kind in (Parquet, Json, JsonLines, Delimited)}
TABLES = {".csv", ".tsv"}  # other files of a folder may look like a table, but are texts
MISSING = "__HIVE_DEFAULT_PARTITION__"


class Sharded(Source):
    """One document per record of all files, which have one format. Ids are those of the records.

    A folder named `key=value` gives its records the field `key`, as a text.
    """

    name: ClassVar[str] = "shards"
    summary: ClassVar[str] = "a folder of JSON lines, JSON, CSV or Parquet files: the records of all files"
    settings: ClassVar[frozenset[str]] = frozenset({"encoding", "has_header"})

    def __init__(self, path: Path, fields: Fields = USUAL) -> None:
        super().__init__(path, fields)
        Rules(path.name, path, fields)  # checks the fields
        self.left_out: Path | None = None
        self._told = False

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether most of the first files of a folder are of one of the formats."""
        if not path.is_dir():
            return False
        found = [_format(file.path) for file in islice(walk(path, SkipReport()), SURVEYED)]
        return sum(name is not None for name in found) > len(found) / 2

    def __iter__(self) -> Iterator[Document]:
        files = list(self.files())
        if not self._told:
            self._told = True
            log.info("%s: reading the records of %d files", shown(self.path), len(files))
        for _, shard in files:
            yield from shard

    def files(self) -> Iterator[tuple[Found, Records]]:
        """Yield each file with its reader. Raises DataError if there is none, or if their formats differ."""
        skips, format = SkipReport(), ""
        for found in walk(self.path, skips, self.left_out):
            name = _format(found.path)
            if name is None or not found.bytes:
                skips.skip(found.path, "no records" if found.bytes else "empty", named=True)
                continue
            if format and name != format:
                raise DataError(f"{shown(self.path)} holds files of {format} and {name}; read them one by one")
            format = name
            shard = FORMATS[name](found.path, self.fields)
            shard.strict, shard.rules.name = self.strict, found.id
            shard.extra = _partitions(found.id)
            yield found, shard
        if not format:
            raise DataError("; ".join([f"no records in {shown(self.path)}", *skips.lines()]))
        if not self._told:
            skips.tell(self.path)

    def without(self, folder: Path) -> Sharded:
        """Return these shards without the files in `folder`."""
        view = Sharded(self.path, self.fields)
        view.strict, view.left_out = self.strict, folder
        return view

    def count(self) -> int | None:
        """Return the number of documents if all files know it."""
        try:
            counts = [shard.count() for _, shard in self.files()]
        except (DataError, MissingExtra):
            return None
        return None if None in counts else sum(count or 0 for count in counts)

    def origins(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return the names of the files that hold each of the ids."""
        found: dict[str, list[str]] = {id: [] for id in ids}
        for file, shard in self.files():
            for document in shard:
                if document.id in found:
                    found[document.id].append(file.id)
        return found


def _format(path: Path) -> str | None:
    """Return the name of the format of a file of records, or None."""
    for name, kind in FORMATS.items():
        if kind is Delimited and not TABLES & {suffix.lower() for suffix in path.suffixes[-2:]}:
            continue
        if kind.recognises(path):
            # an object in one line is JSON lines, too
            return Json.name if kind is JsonLines and path.suffix.lower() == ".json" else name
    return None


def _partitions(id: str) -> dict[str, str | None]:
    """Return the fields that folders named `key=value` stand for."""
    pairs = (part.split("=", 1) for part in id.split("/")[:-1] if part.partition("=")[0] and "=" in part)
    return {unquote(key): None if value == MISSING else unquote(value) for key, value in pairs}
