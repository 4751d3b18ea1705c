"""Read the entries of containers: zip, tar, mbox, feeds and BibTeX, also inside each other, and compressed files.

An entry is read into memory, one at a time, in the order of the container. Nothing is unpacked to disk. What comes out
of a container is limited in number, depth and bytes, whatever the container says about itself.
"""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from hashret import worker
from hashret.errors import DataError
from hashret.readers import compressed, encodings
from hashret.readers.base import portable
from hashret.readers.magic import kind_of, open_zip

MARK = "!/"  # between a container and the path inside it
LOOK = 512  # bytes that decide what a container is
MAX_DEPTH = 5  # containers inside of containers
MAX_ENTRIES = 1_000_000  # of a file, at all depths
MAX_ENTRY = 256 << 20  # bytes
MAX_TOTAL, MAX_RATIO = 1 << 30, 100  # unpacked bytes of a file: MAX_TOTAL, and MAX_RATIO for each of its bytes
MAX_DIRECTORY = 32 << 20  # bytes of the directory of a zip file
STEP, READ = 1 << 20, 1 << 16
COMPRESSIONS = tuple(compressed.MAGICS.values())

_FIRST = {*(bytes([own]) for own in b"PF<@%\xef\n "), *(magic[:1] for magic in compressed.MAGICS)}  # but of tar
_FROM = re.compile(rb"From \S+ .{0,80}\d\d:\d\d.{0,40}\d{4}")  # the line before a message in an mbox
_FEED = re.compile(
    rb"(?:\xef\xbb\xbf)?\s{0,8}(?:<\?xml[^>]{0,200}>\s{0,8})?(?:<(?:!--[^>]{0,200}|\?xml-stylesheet[^>]{0,200})>\s{0,8}){0,3}"
    rb"<(?:rss\b|feed\b[^>]{0,400}http://www\.w3\.org/2005/Atom|rdf:RDF\b[^>]{0,400}http://purl\.org/rss/)"
)
_BIBTEX = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s|%[^\n]{0,200}\n){0,20}@(?:comment|string|preamble|article|book|booklet|conference|inbook|"
    rb"incollection|inproceedings|manual|mastersthesis|misc|online|phdthesis|proceedings|techreport|unpublished)\s{0,4}[{(]",
    re.IGNORECASE,
)
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)
_ID = re.compile(rb"^message-id:\s*<?([^<>\s]{1,200})>?\s*$", re.IGNORECASE | re.MULTILINE)


class Entry(NamedTuple):
    """An entry of a container: its bytes, or the reason why it cannot be read."""

    name: str  # path inside, printable and unique in the container; "" for a compressed file
    raw: bytes = b""
    reason: str = ""
    suffix: str = ""  # of what it is, if its name does not have it
    metadata: Mapping[str, Any] = {}


class Exhausted(DataError):
    """More comes out of a container than the limits allow."""


class _Budget:
    """What may still come out of a file, at all depths."""

    def __init__(self, size: int) -> None:
        self.bytes, self.entries = MAX_TOTAL + MAX_RATIO * size, MAX_ENTRIES

    def spend(self, size: int) -> None:
        self.bytes -= size
        if self.bytes < 0:
            raise Exhausted("more bytes come out of it than are allowed; unpack it yourself")

    def count(self) -> None:
        self.entries -= 1
        if self.entries < 0:
            raise Exhausted(f"it has more than {MAX_ENTRIES:,} entries; unpack it yourself")


class Kind(NamedTuple):
    """What a container is: whether it has entries with names, or is one compressed file."""

    has_names: bool


def container_kind(path: Path | str, start: bytes | None = None) -> Kind | None:
    """Return what a container is, or None for any other file, such as a document in a zip file.

    `start`: the first bytes of the file, at least LOOK; by default they are read.
    """
    try:
        kind = _format(_start(Path(path), LOOK) if start is None else start)
        if kind is None:
            return None
        path = Path(path)
        if kind in COMPRESSIONS:
            return Kind(_format(compressed.unpacked_start(_start(path, READ), LOOK)) in READERS)
        return None if kind == "zip" and kind_of(path, _start(path, LOOK), path.name) is not None else Kind(True)
    except OSError:
        return None


def _start(path: Path, size: int) -> bytes:
    with path.open("rb") as stream:
        return stream.read(size)


def container_ids(id: str) -> list[str]:
    """Return the ids of the files that an id may be an entry of."""
    return [id[: place.start()] for place in re.finditer(re.escape(MARK), id)] if MARK in id else []


def entries(path: Path) -> Iterator[Entry]:
    """Yield the entries of a container, also those of containers inside it, with their paths joined by `!/`.

    An entry that cannot be read has a reason. Raises Exhausted if more comes out than the limits allow.
    """
    with path.open("rb") as stream:
        budget = _Budget(path.stat().st_size)
        yield from _entries(stream, "", budget, 0)


def _format(start: bytes) -> str | None:
    if start[:1] not in _FIRST and start[257:262] != b"ustar":  # most files
        return None
    if (name := compressed.format_of(start)) is not None:
        return name
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if start[257:262] == b"ustar":
        return "tar"
    if _FROM.match(start):
        return "mbox"
    return "feed" if _FEED.match(start) else "bibtex" if _BIBTEX.match(start) else None


def _entries(stream: IO[bytes], prefix: str, budget: _Budget, depth: int) -> Iterator[Entry]:
    """Yield the entries of a container; one that cannot be read to its end ends with the reason."""
    try:
        if depth > MAX_DEPTH:
            raise DataError(f"it is nested deeper than {MAX_DEPTH} containers")
        kind = _format(stream.read(LOOK))
        stream.seek(0)
        if kind in COMPRESSIONS:
            inner = _Peeked(compressed.unpacked(stream, str(kind)))
            kind, stream = _format(inner.start), cast("IO[bytes]", inner)
            if kind not in READERS:
                yield Entry(prefix, _read(stream, budget))
                return
            if kind == "zip":  # its directory is at the end
                stream = io.BytesIO(_read(stream, budget))
        yield from _inside(READERS[str(kind)](stream, budget), prefix, budget, depth)
    except Exhausted:
        raise
    except Exception as error:  # noqa: BLE001  damage may make the libraries raise anything
        yield Entry(prefix, reason=_reason(error))


def _inside(found: Iterator[Entry], prefix: str, budget: _Budget, depth: int) -> Iterator[Entry]:
    """Give the entries unique names, and open those that are containers."""
    seen: set[str] = set()
    for entry in found:
        budget.count()
        base, number = portable(entry.name), 1
        name = base
        while name in seen:
            number += 1
            name = f"{base}#{number}"
        seen.add(name)
        name = f"{prefix}{MARK}{name}" if prefix else name
        start = entry.raw[:LOOK]
        kind = _format(start)
        if kind is None or entry.reason or (kind == "zip" and kind_of(entry.raw, start, base) is not None):
            yield entry._replace(name=name)
        else:
            yield from _entries(io.BytesIO(entry.raw), name, budget, depth + 1)


def _zip(stream: IO[bytes], budget: _Budget) -> Iterator[Entry]:
    with open_zip(stream, MAX_DIRECTORY) as archive:
        files = [info for info in archive.infolist() if not info.is_dir()]
        names = _zip_names(files)
        for info, name in zip(files, names, strict=True):
            if info.flag_bits & 1:
                yield Entry(name, reason="it is encrypted")
                continue
            try:
                with archive.open(info) as inner:
                    raw = _read(inner, budget)
            except Exhausted:
                raise
            except Exception as error:  # noqa: BLE001
                yield Entry(name, reason=_reason(error))
                continue
            yield Entry(name, raw)


def _zip_names(files: list[zipfile.ZipInfo]) -> list[str]:
    """Return the names of entries. Those that are not declared as UTF-8 have one encoding, which is guessed."""
    raw = [b"" if info.flag_bits & 0x800 else info.filename.encode("cp437", "replace") for info in files]
    found = encodings.encoding_of(b"\n".join(raw), complete=True).name
    return [
        info.filename if not own or own.isascii() else own.decode(found, "backslashreplace")
        for info, own in zip(files, raw, strict=True)
    ]


def _tar(stream: IO[bytes], budget: _Budget) -> Iterator[Entry]:
    with tarfile.open(fileobj=stream, mode="r|", bufsize=STEP) as archive:
        for member in archive:
            name = _decoded(member.name)
            if member.islnk() or member.issym():
                yield Entry(name, reason="it is a link")
            elif member.isreg():
                inner = archive.extractfile(member)
                assert inner is not None
                try:
                    raw = _read(inner, budget)
                except Exhausted:
                    raise
                except DataError as error:
                    yield Entry(name, reason=str(error))
                    continue
                yield Entry(name, raw)


def _decoded(name: str) -> str:
    """Return the name of an entry; bytes that are not UTF-8 are in a guessed encoding."""
    if name.isascii() or portable(name) == name:
        return name
    raw = name.encode("utf-8", "surrogateescape")
    return raw.decode(encodings.encoding_of(raw, complete=True).name, "backslashreplace")


def _mbox(stream: IO[bytes], budget: _Budget) -> Iterator[Entry]:
    """Yield the messages of an mbox. A line that begins with `From ` separates two after an empty line only."""
    kept: list[bytes] = []
    size, number, blank, long = 0, 0, True, False
    while line := stream.readline(STEP):
        if blank and not long and _FROM.match(line):
            if number:
                yield _message(b"".join(kept), number)
            kept, size, number = [], 0, number + 1
        else:
            budget.spend(len(line))
            size += len(line)
            if size > MAX_ENTRY:
                raise DataError(f"message {number} is longer than {MAX_ENTRY:,} bytes")
            kept.append(line)
        blank, long = not line.strip(b"\r\n"), not line.endswith(b"\n")
    if number:
        yield _message(b"".join(kept), number)


def _message(raw: bytes, number: int) -> Entry:
    """Return a message, whose name is its Message-ID, or its number."""
    head = re.split(rb"\r?\n\r?\n", raw, maxsplit=1)[0]
    found = _ID.search(head)
    name = found[1].decode("ascii", "backslashreplace") if found else str(number)
    return Entry(name, _QUOTED.sub(rb"\1", raw), suffix=".eml")


def _feed(stream: IO[bytes], budget: _Budget) -> Iterator[Entry]:
    """Yield the items of a feed as pages."""
    worker.require("feedparser", "documents", "reading feeds")
    raw = _read(stream, budget)
    for number, item in enumerate(worker.call("hashret.worker.feed:items", len(raw), raw)[0], 1):
        yield Entry(item["name"] or str(number), item["page"].encode("utf-8", "replace"), "", ".html", item["metadata"])


def _bibtex(stream: IO[bytes], budget: _Budget) -> Iterator[Entry]:
    """Yield the entries of a BibTeX file."""
    worker.require("bibtexparser", "documents", "reading BibTeX")
    raw = _read(stream, budget)
    text = raw.decode(encodings.encoding_of(raw, complete=True).name, "replace").encode("utf-8", "replace")
    found = worker.call("hashret.worker.bibtex:entries", len(text), text)[0]
    for entry in found["entries"]:
        yield Entry(entry["name"], entry["text"].encode("utf-8", "replace"), metadata=entry["metadata"])
    if found["failed"]:
        raise DataError(f"{found['failed']} entries cannot be read")


def _read(stream: IO[bytes], budget: _Budget) -> bytes:
    """Return the bytes of an entry. Raises DataError if they are too many."""
    parts, size = list[bytes](), 0
    while part := stream.read(STEP):
        budget.spend(len(part))
        size += len(part)
        if size > MAX_ENTRY:
            raise DataError(f"it is longer than {MAX_ENTRY:,} bytes")
        parts.append(part)
    return b"".join(parts)


class _Peeked(io.BufferedIOBase):
    """A stream whose start is known and is read again."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.start = stream, stream.read(LOOK)
        self.rest = io.BytesIO(self.start)

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        size = -1 if size is None else size
        found = self.rest.read(size)
        return found + self.stream.read(size - len(found) if size >= 0 else -1) if len(found) != size else found

    def readline(self, size: int | None = -1) -> bytes:
        size = -1 if size is None else size
        found = self.rest.readline(size)
        if found.endswith(b"\n") or len(found) == size:
            return found
        return found + self.stream.readline(size - len(found) if size >= 0 else -1)


def _reason(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "it is cut short"
    return " ".join(str(error).split())[:200] or type(error).__name__


READERS: dict[str, Callable[[IO[bytes], _Budget], Iterator[Entry]]] = {
    "zip": _zip,
    "tar": _tar,
    "mbox": _mbox,
    "feed": _feed,
    "bibtex": _bibtex,
}
