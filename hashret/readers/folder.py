"""`Folder`, the base class of sources with one document per file, and `walk`, which lists the files of a folder."""

from __future__ import annotations

import copy
import os
import stat
from abc import abstractmethod
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import IO, Any, ClassVar, NamedTuple, Self, TypeVar

from hashret.documents import Content, Document
from hashret.errors import DataError, HashretError, MissingExtra, UsageError
from hashret.readers.archives import MARK, Entry, Kind, container_kind, entries
from hashret.readers.base import USUAL, Fields, Source, log, portable, shown
from hashret.readers.compressed import SUFFIXES
from hashret.readers.decode import HEAD_BYTES, raw_head
from hashret.readers.magic import is_image, kind_of
from hashret.readers.skip_report import Skip, SkipReport
from hashret.worker import Unreadable

INDEX = ("lock", "manifest.json", "segments", "recovery")  # names that identify the folder of an index
MAILDIR, FLAGS = ("cur", "new", "tmp"), ":2,"  # folders of a maildir; what separates a file's name from its flags
OUTSIDE = "link to outside the folder"
SURVEYED_ENTRIES = 10  # entries of a container examined for the same
SURVEYED = 200  # files examined to decide whether a folder holds texts or images


class Found(NamedTuple):
    """A file under a folder."""

    place: str  # absolute path
    id: str  # path relative to the folder, with /
    bytes: int
    modified: int  # nanoseconds

    @property
    def path(self) -> Path:
        """The absolute path. It is made when it is asked for, because most texts are read without it."""
        return Path(self.place)

    def entry(self, entry: Entry) -> Found:
        """Return an entry of this container; without a name, the file that is compressed."""
        if entry.name:
            place = os.path.join(self.place, entry.name + entry.suffix)  # noqa: PTH118
            return self._replace(place=place, id=f"{self.id}{MARK}{entry.name}")
        unpacked = self.path.suffix.lower() in SUFFIXES
        return self._replace(place=str(self.path.with_suffix("")) if unpacked else self.place)

    def stamp(self) -> dict[str, int]:
        """Size and modification time, which change when the file does."""
        return {"bytes": self.bytes, "modified": self.modified}


T = TypeVar("T")
Read = tuple[Content, Mapping[str, Any]]
"""A content and its metadata."""


class Folder(Source):
    """A folder of files at any depth, or one file; the id of a document is the path relative to the folder."""

    holds: ClassVar[str]  # "text" or "image"
    head_bytes: ClassVar[int] = HEAD_BYTES  # read before `content` is called

    def __init__(self, path: Path, fields: Fields = USUAL) -> None:
        super().__init__(path, fields)
        if fields.id or fields.text or fields.label not in (None, "folder"):
            raise UsageError(f"a folder of {self.holds}s has no fields; only the label 'folder' is allowed")
        self._chosen: Container[str] | None = None
        self._empty: Container[str] = ()  # ids of files that are documents even if they have no content
        self.left_out: Path | None = None
        self._told = False
        self._failed: dict[str, tuple[tuple[int, int], str]] = {}  # size, time and reason, so no file is tried twice

    @abstractmethod
    def entry(self, raw: bytes, found: Found, skips: SkipReport) -> Read:
        """Return the content of an entry of a container, given as bytes, as `content` does."""

    @abstractmethod
    def content(self, found: Found, start: bytes, stream: IO[bytes], skips: SkipReport) -> Read:
        """Return the content of a file, and metadata such as its title. `start` was read from the stream.

        Raises Skip with the reason if the file is no document. Any other exception is allowed: the file is then skipped
        and reported with the reason. What was read only in part, or guessed, is reported to `skips`.
        """

    @property
    def kind(self) -> str:
        """The kind of the documents: "text" or "image"."""
        return self.holds

    def __iter__(self) -> Iterator[Document]:
        skips, number = SkipReport(), 0
        for document in self._documents(skips):
            number += 1
            yield document
        if not number and self._chosen is None:
            raise DataError("; ".join([f"no {self.holds} in {shown(self.path)}", *skips.lines()]))
        if not self._told:
            self._told = True
            skips.tell(self.path, number)

    def _documents(self, skips: SkipReport) -> Iterator[Document]:
        for found in walk(self.path, skips, self.left_out, self._refuse):
            if self._chosen is not None and found.id not in self._chosen:
                continue
            content = self._content(found, lambda found=found: self._opened(found, skips), skips)  # type: ignore[misc]
            if isinstance(content, Kind):
                yield from self._entries(found, skips)
            elif content is not None:
                yield self._document(found, content)

    def _opened(self, found: Found, skips: SkipReport) -> Read | Kind:
        """Return the content of a file, or what a container is."""
        with open(found.place, "rb") as stream:  # noqa: PTH123
            start = stream.read(self.head_bytes)
            return container_kind(found.place, start) or self.content(found, start, stream, skips)

    def _document(self, found: Found, content: Read, path: Path | None = None) -> Document:
        labels = ((path or found.path).parent.name,) if self.fields.label else ()
        stamp = found.stamp()
        return Document(found.id, content[0], labels, {**content[1], **stamp} if content[1] else stamp)

    def _entries(self, file: Found, skips: SkipReport) -> Iterator[Document]:
        """Yield the documents of a container. Each has the stamp of the container."""
        try:
            for entry in entries(file.path):
                found = file.entry(entry)
                if self._chosen is not None and entry.name and found.id not in self._chosen:
                    continue
                if entry.reason:
                    self._refuse(found.path, entry.reason)
                    skips.fail(found.id, entry.reason)
                    continue
                read = lambda found=found, raw=entry.raw: self.entry(raw, found, skips)  # noqa: E731
                content = self._content(found, read, skips)
                if content is not None:
                    content = (content[0], {**content[1], **entry.metadata})
                    inside = Path(entry.name.rpartition(MARK)[2])
                    yield self._document(found, content, inside if inside.parent.name else file.path)
        except (DataError, OSError) as error:
            self._refuse(file.path, str(error))
            skips.fail(file.id, str(error))

    def _content(self, found: Found, read: Callable[[], T], skips: SkipReport) -> T | None:
        """Return the content, or None if it cannot be read for any reason; raise DataError if `strict` is set."""
        stamp = (found.bytes, found.modified)
        try:
            if self._failed and self._failed.get(found.id, ((), ""))[0] == stamp:
                raise Unreadable(self._failed[found.id][1])
            return read()
        except Skip as skip:
            self._refuse(found.path, skip.reason)
            skips.skip(found.path, skip.reason, named=skip.named)
            return None
        except MissingExtra as error:
            if self.strict:
                raise
            skips.skip(found.path, f"missing package: {str(error).rpartition(': ')[2]}")
            return None
        except OSError as error:
            reason = error.strerror or str(error)
        except DataError as error:
            reason = str(error)
            self._failed[found.id] = (stamp, reason)
        except HashretError:
            raise
        except Exception as error:  # noqa: BLE001  one bad file must not end the run, whatever its parser raises
            reason = f"{type(error).__name__}: {error}"
            log.debug("%s: %s", shown(found.path), reason, exc_info=True)
        self._refuse(found.path, reason)
        skips.fail(found.id, reason)
        return None

    def stamps(self) -> Iterator[tuple[str, dict[str, int]]]:
        """Yield each file's id and its {"bytes", "modified"}, without reading the file."""
        for found in walk(self.path, SkipReport(), self.left_out):
            if self._chosen is None or found.id in self._chosen:
                yield found.id, found.stamp()

    def entries_of(self, id: str) -> set[str]:
        """Return the ids of the entries of a container; empty if it is not there."""
        for file in walk(self.path, SkipReport(), self.left_out):
            if file.id == id:
                with suppress(DataError, OSError):
                    return {file.entry(entry).id for entry in entries(file.path)}
        return set()

    def only(self, ids: Container[str], empty: Container[str] = ()) -> Self:
        """Return this folder restricted to these ids; files in `empty` are documents even without content."""
        view = copy.copy(self)
        view._chosen, view._empty, view._told = ids, empty, False
        return view

    def without(self, folder: Path) -> Self:
        """Return this folder without the files in `folder`."""
        view = copy.copy(self)
        view.left_out = folder
        return view


def majority(path: Path) -> str | None:
    """Return "text" or "image", whichever most of the first files or entries are; None if there are neither."""
    status = path.stat()
    return _counted(path) if path.is_dir() else _counted_once(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)  # a container is asked by several sources, and its directory may be long
def _counted_once(path: Path, size: int, modified: int) -> str | None:
    return _counted(path)


def _counted(path: Path) -> str | None:
    votes = {"text": 0, "image": 0}

    def vote(content: Path | bytes, start: bytes, name: str) -> None:
        if is_image(start):
            votes["image"] += 1
        elif kind_of(content, start, name) is not None:
            votes["text"] += 1

    for found in islice(walk(path, SkipReport()), SURVEYED):
        if container_kind(found.path) is not None:
            for entry in _surveyed(found.path):
                vote(entry.raw, entry.raw[:HEAD_BYTES], entry.name)
        else:
            vote(found.path, raw_head(found.path), found.path.name)
    best = max(votes, key=lambda kind: votes[kind])  # a tie goes to texts, which come first
    return best if votes[best] else None


def _surveyed(path: Path) -> list[Entry]:
    """Return the first entries of a container, as far as they can be read."""
    found: list[Entry] = []
    with suppress(DataError, OSError):
        for entry in islice(entries(path), SURVEYED_ENTRIES):
            found.append(entry)  # noqa: PERF402  those before an error count
    return found


def walk(
    root: Path,
    skips: SkipReport,
    left_out: Path | None = None,
    refuse: Callable[[Path, str], None] = lambda path, reason: None,
) -> Iterator[Found]:
    """Yield the files under a folder at any depth, sorted, or the file itself.

    Hidden files and folders, indexes, pipes, sockets and devices are left out; `left_out` is the resolved path of an
    index that may be incomplete. A symbolic link is left out if its target is read by its own name, so that each file
    comes once; links to outside the folder are skipped, only those to hidden files of the folder are followed.
    `refuse` is called with the path and the reason for anything that is skipped.
    """
    root = root.absolute()
    if not root.is_dir():
        status = root.stat()
        yield Found(str(root), portable(root.name), status.st_size, status.st_mtime_ns)
        return
    real_root = os.path.realpath(root)
    entered: set[str] = set()  # targets of the links that were followed
    stack = [_entries(str(root), skips, refuse)]
    prefix = len(str(root).rstrip(os.sep)) + 1
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            continue
        try:
            status = entry.stat()
            if entry.is_symlink():
                if not _inside(entry.path, real_root):
                    refuse(Path(entry.path), OUTSIDE)
                    skips.skip(Path(entry.path), OUTSIDE, named=True)
                    continue
                if not _followed(entry.path, real_root, entered):
                    skips.leave("link inside the folder")
                    continue
        except OSError as error:
            _failed(Path(entry.path), error, skips, refuse)
            continue
        mode = status.st_mode
        if stat.S_ISREG(mode):
            name = entry.path[prefix:] if os.sep == "/" else entry.path[prefix:].replace(os.sep, "/")
            if FLAGS in name or "/new/" in name or name.startswith("new/"):
                name = _mail_id(name, Path(entry.path))
            yield Found(entry.path, portable(name), status.st_size, status.st_mtime_ns)
        elif stat.S_ISDIR(mode):
            if _is_index(entry.path, left_out):
                skips.leave("index")
            else:
                stack.append(_entries(entry.path, skips, refuse))
        else:
            skips.leave("pipe, socket or device")


def is_maildir(folder: str | Path) -> bool:
    """Whether a folder is a maildir, with a file for each mail in `new` or `cur`."""
    return all(os.path.isdir(os.path.join(folder, name)) for name in MAILDIR)  # noqa: PTH112, PTH118


def _mail_id(name: str, path: Path) -> str:
    """Return the id of a mail of a maildir, which stays when the mail is read: without `new`, `cur` and flags."""
    folder, _, file = name.rpartition("/")
    if path.parent.name not in ("new", "cur") or not is_maildir(path.parent.parent):
        return name
    above = folder.rpartition("/")[0]
    return f"{above}{MARK if above else ''}{file.partition(FLAGS)[0]}"


def _entries(folder: str, skips: SkipReport, refuse: Callable[[Path, str], None]) -> Iterator[os.DirEntry[str]]:
    visible = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") and not (entry.is_dir() and is_maildir(entry.path)):
                    skips.leave("hidden")
                elif entry.name == "tmp" and is_maildir(folder):
                    skips.leave("mail that is not delivered")
                else:
                    visible.append(entry)
    except OSError as error:
        _failed(Path(folder), error, skips, refuse)
        return iter(())
    return iter(sorted(visible, key=lambda entry: entry.name))


def _failed(path: Path, error: OSError, skips: SkipReport, refuse: Callable[[Path, str], None]) -> None:
    reason = error.strerror or "not found"
    refuse(path, reason)
    skips.fail(portable(path.name), reason)


def _followed(path: str, real_root: str, entered: set[str]) -> bool:
    """Whether to follow a link inside the folder: to a target that is hidden and was not entered by another link."""
    target, parent = os.path.realpath(path), os.path.realpath(Path(path).parent)
    if not any(part.startswith(".") for part in Path(target).relative_to(real_root).parts):
        return False
    if target in entered or (parent + os.sep).startswith(target + os.sep):
        return False
    entered.add(target)
    return True


def _is_index(folder: str, left_out: Path | None) -> bool:
    if left_out is not None and os.path.realpath(folder) == str(left_out):
        return True
    return all(os.path.lexists(os.path.join(folder, name)) for name in INDEX)  # noqa: PTH118  a path is slower


def _inside(path: str, real_root: str) -> bool:
    target = os.path.realpath(path)
    return target == real_root or target.startswith(real_root.rstrip(os.sep) + os.sep)
