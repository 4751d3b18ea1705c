"""`Remote`: files at addresses such as s3://bucket/news/*.jsonl.gz, read through fsspec."""

from __future__ import annotations

import re
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from glob import has_magic
from pathlib import Path
from typing import IO, Any, ClassVar, NamedTuple, cast

from hashret.documents import Document
from hashret.errors import DataError, HashretError, MissingExtra, UsageError, need
from hashret.readers.base import USUAL, Fields, Source, portable, shown

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
PIECE = 1 << 20  # bytes copied at once
VERSIONS = ("ETag", "etag", "generation", "md5Hash", "mtime", "LastModified", "last_modified", "created")
"""Facts of a file that change with its content, best first. A file system has some of them."""


def is_address(path: str | Path) -> bool:
    """Whether a path is the address of a file system: a protocol and ://."""
    return isinstance(path, str) and ADDRESS.match(path) is not None


class RemoteFile(NamedTuple):
    """A file at an address, as it was listed."""

    address: str
    bytes: int | None  # None if the server does not say
    version: str  # differs if the content does, as far as the file system shows it


class Remote(Source):
    """The files that an address names, one after another; each is copied to a temporary file while it is read.

    A file must be the one that was listed: its size and version are compared before and after it is copied. Raises
    UsageError if there is no such file.
    """

    name: ClassVar[str] = "remote"
    summary: ClassVar[str] = "files at an address, such as s3://bucket/*.jsonl.gz"

    def __init__(
        self,
        address: str,
        open_file: Callable[[Path, str | None, Fields], Source],
        format: str | None = None,
        fields: Fields = USUAL,
        files: Sequence[RemoteFile] | None = None,
    ) -> None:
        super().__init__(Path(address), fields)
        self.open_file = open_file  # opens a local copy
        self.format = format  # name of the source that reads a copy; None: detect it
        self._address = address
        self.files = list(_listed(address) if files is None else files)
        self._copies = Path(tempfile.mkdtemp(prefix="hashret-"))
        weakref.finalize(self, shutil.rmtree, self._copies, ignore_errors=True)
        self._sources: dict[RemoteFile, Source] = {}
        self._readers: dict[RemoteFile, int] = {}  # iterations that read a copy
        self._last: RemoteFile | None = None  # its copy is kept for the next iteration

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Always False: an address is no path."""
        return False

    @property
    def address(self) -> str:
        """The address, with its wildcards."""
        return self._address

    @property
    def kind(self) -> str:
        """The kind of the first document. Raises DataError if there are no documents."""
        for document in self:
            return document.kind
        raise DataError(f"no documents in {shown(self.address)}")

    def __iter__(self) -> Iterator[Document]:
        for file in self.files:
            with self._copied(file) as source:
                yield from source

    @contextmanager
    def _copied(self, file: RemoteFile) -> Iterator[Source]:
        """Yield a source that reads the copy of a file, which is removed when another file is read."""
        path = self._copies / f"{self.files.index(file)}" / portable(file.address.rstrip("/").rpartition("/")[2])
        if self._last not in (None, file) and not self._readers.get(self._last):
            self._remove(self._last)
        self._readers[file] = self._readers.get(file, 0) + 1
        try:
            if not path.exists():
                path.parent.mkdir(exist_ok=True)
                _copy(file, path)
            self._last = file
            if file not in self._sources:
                self._sources[file] = self.open_file(path, self.format, self.fields)
                self._sources[file].strict = self.strict
            yield self._sources[file]
        finally:
            self._readers[file] -= 1
            if self._last != file and not self._readers[file]:
                self._remove(file)

    def _remove(self, file: RemoteFile) -> None:
        shutil.rmtree(self._copies / f"{self.files.index(file)}", ignore_errors=True)


def _listed(address: str) -> list[RemoteFile]:
    """List the files that an address names, sorted. Raises UsageError if there are none."""
    files, path = _file_system(address)
    with _reading(address):
        try:
            found = files.glob(path, detail=True) if has_magic(path) else {path: files.info(path)}
        except FileNotFoundError:
            found = {}
    if not has_magic(path) and any(about.get("type") == "directory" for about in found.values()):
        raise UsageError(f"{shown(address)} is a folder; name its files, such as {shown(address.rstrip('/'))}/*.jsonl")
    listed = [
        RemoteFile(files.unstrip_protocol(name), about.get("size"), _version(about))
        for name, about in sorted(found.items())
        if about.get("type") == "file"
    ]
    if not listed:
        raise UsageError(f"no {'files match' if has_magic(path) else 'such file:'} {shown(address)}")
    return listed


def _version(about: Mapping[str, Any]) -> str:
    value = next((about[name] for name in VERSIONS if about.get(name) is not None), "")
    return str(value.timestamp() if isinstance(value, datetime) else value)


def _copy(file: RemoteFile, path: Path) -> None:
    """Copy a file. Raises DataError if it is not the listed one, or changes while it is copied."""
    files, name = _file_system(file.address)
    partial = path.with_name(f".{path.name}.part")
    with _reading(file.address):
        _check_same(file, files.info(name))
        with files.open(name, "rb") as stream, partial.open("wb") as copy:
            shutil.copyfileobj(cast("IO[bytes]", stream), copy, PIECE)
        _check_same(file, files.info(name))
        size = partial.stat().st_size
        if file.bytes is not None and size != file.bytes:
            raise DataError(f"{shown(file.address)} is cut short: {size:,} of {file.bytes:,} bytes; read it again")
    partial.replace(path)


def _check_same(file: RemoteFile, about: Mapping[str, Any]) -> None:
    if (about.get("size"), _version(about)) != (file.bytes, file.version):
        raise DataError(f"{shown(file.address)} has changed since it was listed; read it again")


def _file_system(address: str) -> tuple[Any, str]:
    """Return the file system of an address, which caches no listings, and the path in it."""
    fsspec = need("fsspec", "remote", f"reading {shown(address)}")
    try:
        files, path = fsspec.core.url_to_fs(address, use_listings_cache=False, skip_instance_cache=True)
    except ImportError as error:
        protocol = address.partition("://")[0]
        raise MissingExtra(
            f"reading {protocol} addresses needs another package ({error}); for s3, install it with: "
            "pip install 'hashret[remote]'",
            package=protocol,
            extra="remote",
        ) from error
    except ValueError as error:
        raise UsageError(f"cannot read {shown(address)}: {error}") from error
    return files, path


@contextmanager
def _reading(address: str) -> Iterator[None]:
    """Convert errors of a file system to DataError with the reason."""
    try:
        yield
    except HashretError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{shown(address)} no longer exists; read it again") from error
    except Exception as error:  # each file system has exceptions of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"cannot read {shown(address)}: {reason}") from error
