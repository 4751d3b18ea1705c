"""Sources read documents from files. `read` detects the format of a path; `SOURCES` is the registry of formats."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from hashret.documents import Documents, Records
from hashret.errors import DataError, UsageError
from hashret.readers.base import USUAL, Fields, Source, Stamped, shown
from hashret.readers.remote import Remote, RemoteFile, is_address
from hashret.registry import Registry

__all__ = ["SOURCES", "Fields", "Source", "Stamped", "as_source", "read"]

SOURCES: Registry[Source] = Registry(  # `read` tries them in this order
    "source",
    "hashret.sources",
    (
        "stdin = hashret.readers.stdin:Stdin",
        "beir = hashret.readers.beir:Beir",
        "idx = hashret.readers.idx:Idx",
        "arrays = hashret.readers.arrays:Arrays",
        "faiss = hashret.readers.faiss:Faiss",
        "parquet = hashret.readers.parquet:Parquet",
        "arrow = hashret.readers.arrow:Arrow",
        "shards = hashret.readers.sharded:Sharded",
        "images = hashret.readers.images:Images",
        "json = hashret.readers.json_items:Json",
        "jsonl = hashret.readers.records:JsonLines",
        "texts = hashret.readers.texts:Texts",
        "csv = hashret.readers.delimited:Delimited",
        "lines = hashret.readers.records:Lines",
    ),
)


def read(
    *paths: str | Path,
    source: str | None = None,
    fields: Fields = USUAL,
    id: str | None = None,
    text: str | Sequence[str] | None = None,
    label: str | None = None,
    encoding: str | None = None,
    has_header: bool | None = None,
    strict: bool = False,
) -> Source:
    """Read documents from files or folders. The format is detected from the content unless `source` names it.

    `id`, `text` ("title,body" or a sequence) and `label` are field names of records; they override `fields`.
    `encoding` is that of texts that are not UTF-8 and declare no encoding; by default it is guessed. With `has_header`
    False, the columns of a CSV file are named "1", "2" and so on. A file in a folder
    that cannot be read is skipped with a warning, or raises DataError if `strict` is set. The result can be iterated
    any number of times. A str such as "s3://bucket/*.jsonl.gz" is an address of fsspec (`hashret[remote]`).
    Raises UsageError if a path does not exist and DataError if its format is unknown.

    Example:
        >>> _ = Path("news.jsonl").write_text('{"id": "a", "body": "wheat was dear", "topic": "grain"}')
        >>> list(hashret.read("news.jsonl", text="body", label="topic"))
        [Document(id='a', content='wheat was dear', labels=('grain',), metadata={})]
    """
    if not paths:
        raise UsageError("nothing to read: give a file or a folder")
    fields = _fields(fields, id, text, label, encoding, has_header)
    # the two files of an IDX pair are one source
    opened = (
        opened_at(str(path), source, fields) if is_address(path) else _open(Path(path), source, fields)
        for path in paths
    )
    sources = {(one.name, one.path): one for one in opened}
    for one in sources.values():
        one.strict = strict
    if len(sources) == 1:
        return next(iter(sources.values()))
    from hashret.readers.several import join

    return join(list(sources.values()))


def as_source(
    documents: Source | Documents | Records,
    id: str | None = None,
    text: str | Sequence[str] | None = None,
    label: str | None = None,
) -> Source:
    """Return a source as it is; read a path; wrap documents given from Python so that they can be iterated again.

    A single string is a path; to index one text, pass a list. `id`, `text` and `label` are field names of records.
    Raises UsageError if they are given together with a source.
    """
    if isinstance(documents, Source):
        if (id, text, label) != (None, None, None):
            raise UsageError("a source already has its fields; pass id, text and label to hashret.read instead")
        return documents
    if isinstance(documents, str | Path):
        return read(documents, id=id, text=text, label=label)
    from hashret.readers.memory import Memory

    return Memory(documents, _fields(USUAL, id, text, label))


def _fields(
    fields: Fields,
    id: str | None,
    text: str | Sequence[str] | None,
    label: str | None,
    encoding: str | None = None,
    has_header: bool | None = None,
) -> Fields:
    """Return `fields` with the given names replaced; `text` may be several names separated by commas."""
    names = text.split(",") if isinstance(text, str) else text
    return Fields(
        fields.id if id is None else id,
        fields.text if names is None else tuple(name.strip() for name in names if name.strip()),
        fields.label if label is None else label,
        fields.encoding if encoding is None else encoding,
        fields.has_header if has_header is None else has_header,
    )


def opened_at(
    address: str, source: str | None = None, fields: Fields = USUAL, files: Sequence[RemoteFile] | None = None
) -> Source:
    """Return the files at an address as a source; `files` are those that were listed before."""
    return Remote(address, _open, source, fields, files)


def _open(path: Path, source: str | None, fields: Fields) -> Source:
    if str(path) == "-":
        if source not in (None, "stdin"):
            raise UsageError(f"standard input is read as JSON lines, not as {source!r}; give a file instead")
        return SOURCES.get("stdin")(path, fields)
    _check(path)
    kind = SOURCES.get(source or _recognised(path))
    given = {"encoding"} if fields.encoding is not None else set()
    given |= set() if fields.has_header else {"has_header"}
    for name in sorted(given - kind.settings):
        raise UsageError(f"{shown(path)} is read as {kind.name!r}, which does not use {name}; leave it out")
    return kind(path, fields)


def _recognised(path: Path) -> str:
    """Return the name of the source for a path. Raises DataError if there is none."""
    # "lines" accepts any text, so it is tried last, after the sources of other packages
    for name in sorted(SOURCES.names(), key="lines".__eq__):
        if SOURCES.get(name).recognises(path):
            return name
    raise DataError(f"{_looked_at(path)}; hashret reads {', '.join(SOURCES.names())}")


def _check(path: Path) -> None:
    """Raise UsageError or DataError if nothing can be read from the path."""
    try:
        there, folder, file = os.path.lexists(path), path.is_dir(), path.is_file()
    except (OSError, ValueError):  # the path is too long or contains a zero byte
        there = folder = file = False
    if not there or not (folder or file or path.exists()):
        raise UsageError(f"no such file or folder: {shown(path)}")
    if not folder and not file:
        raise UsageError(f"{shown(path)} is not a file or folder; to read a pipe, send JSON lines to the path -")
    if not os.access(path, os.R_OK):
        raise DataError(f"cannot read {shown(path)}: permission denied")
    if file and not path.stat().st_size:
        raise DataError(f"{shown(path)} is empty")
    if folder:
        from hashret.readers.folder import walk
        from hashret.readers.skip_report import SkipReport

        skips = SkipReport()
        if next(walk(path, skips), None) is None:
            raise DataError("; ".join([f"no files in {shown(path)}", *skips.lines()]))


def _looked_at(path: Path) -> str:
    if path.is_dir():
        return f"the files in {shown(path)} are neither texts nor images that hashret can read"
    from hashret.readers.decode import head

    return f"{shown(path)} has an unknown format: it begins with {head(path)[:16]!r}"
