"""Source of a folder, or a zip or tar file, of JSON lines, JSON, CSV or Parquet files: the shards of one collection."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

from hashret.documents import Document
from hashret.errors import DataError, MissingExtra
from hashret.readers import compressed
from hashret.readers.archives import MARK, container_kind, entries
from hashret.readers.base import USUAL, Fields, Source, log, portable, shown
from hashret.readers.delimited import Delimited
from hashret.readers.folder import SURVEYED, SURVEYED_ENTRIES, Found, walk
from hashret.readers.json_items import Json
from hashret.readers.parquet import Parquet
from hashret.readers.records import JsonLines, Records
from hashret.readers.rules import Rules
from hashret.readers.skip_report import SkipReport

FORMATS: dict[str, type[Records]] = {kind.name: kind for kind in (Parquet, Json, JsonLines, Delimited)}
KEPT = {".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".jsonlines", ".parquet", *compressed.SUFFIXES}  # in copies
TABLES = {".csv", ".tsv"}  # other files of a folder may look like a table, but are texts
MISSING = "__HIVE_DEFAULT_PARTITION__"


class Sharded(Source):
    """One document per record of all files, which have one format. Ids are those of the records.

    An entry of a zip or tar file is read from a temporary file. A folder named `key=value` gives its records the field
    `key`, as a text.
    """

    name: ClassVar[str] = "shards"
    summary: ClassVar[str] = "a folder, or a zip or tar file, of JSON lines, JSON, CSV or Parquet: all records"
    settings: ClassVar[frozenset[str]] = frozenset({"encoding", "has_header"})

    def __init__(self, path: Path, fields: Fields = USUAL) -> None:
        super().__init__(path, fields)
        Rules(path.name, path, fields)  # checks the fields
        self.left_out: Path | None = None
        self._told = False

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether most of the first files of a folder, or of the entries of a container, are of one of the formats."""
        if path.is_file():
            kind = container_kind(path)
            if kind is None or not kind.has_names:
                return False
        with closing(_files(path, SkipReport(), None, most=SURVEYED if path.is_dir() else SURVEYED_ENTRIES)) as files:
            found = [_format(file.path) for file in files]
        return sum(name is not None for name in found) > len(found) / 2

    def __iter__(self) -> Iterator[Document]:
        number = 0
        for _, shard in self.files():
            number += 1
            yield from shard
        if not self._told:
            self._told = True
            log.info("%s: read the records of %d files", shown(self.path), number)

    def files(self) -> Iterator[tuple[Found, Records]]:
        """Yield each file with its reader. Raises DataError if there is none, or if their formats differ."""
        skips, format = SkipReport(), ""
        for found in _files(self.path, skips, self.left_out, self._refuse):
            name = _format(found.path)
            if name is None or not found.bytes:
                reason = "no records" if found.bytes else "empty"
                self._refuse(found.path, reason)
                skips.skip(found.path, reason, named=True)
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


def _files(
    path: Path,
    skips: SkipReport,
    left_out: Path | None,
    refuse: Callable[[Path, str], None] = lambda path, reason: None,
    most: int | None = None,
) -> Generator[Found]:
    """Yield the files of a folder, or the entries of a container, each in a file that is there until the next one."""
    if path.is_dir():
        yield from islice(walk(path, skips, left_out, refuse), most)
        return
    with tempfile.TemporaryDirectory(prefix="hashret-") as folder:
        for number, entry in enumerate(islice(entries(path), most)):
            id = f"{portable(path.name)}{MARK}{entry.name}"
            if entry.reason:
                refuse(path / entry.name, entry.reason)
                skips.fail(id, entry.reason)
                continue
            suffixes = [suffix.lower() for suffix in Path(entry.name).suffixes[-2:]]
            copy = Path(folder) / "".join([str(number), *(suffix for suffix in suffixes if suffix in KEPT)])
            copy.write_bytes(entry.raw)
            yield Found(str(copy), id, len(entry.raw), 0)
            copy.unlink()


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
