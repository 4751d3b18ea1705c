"""`Folder`, the base class of sources with one document per file, and `walk`, which lists the files of a folder."""

from __future__ import annotations

import copy
import os
import stat
from abc import abstractmethod
from collections.abc import Callable, Container, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from hashret.documents import Content, Document
from hashret.errors import DataError, HashretError, MissingExtra, UsageError
from hashret.readers.base import USUAL, Fields, Source, log, portable, shown
from hashret.readers.decode import raw_head
from hashret.readers.magic import is_image, kind_of
from hashret.readers.skip_report import Skip, SkipReport
from hashret.worker import Unreadable

INDEX = ("lock", "manifest.json", "segments", "recovery")  # names that identify the folder of an index
OUTSIDE = "link to outside the folder"
SURVEYED = 200  # files examined to decide whether a folder holds texts or images


class Found(NamedTuple):
    """A file under a folder."""

    path: Path  # absolute
    id: str  # path relative to the folder, with /
    bytes: int
    modified: int  # nanoseconds

    def stamp(self) -> dict[str, int]:
        """Size and modification time, which change when the file does."""
        return {"bytes": self.bytes, "modified": self.modified}


class Folder(Source):
    """A folder of files at any depth, or one file; the id of a document is the path relative to the folder."""

    holds: ClassVar[str]  # "text" or "image"

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
    def content(self, found: Found, skips: SkipReport) -> tuple[Content, Mapping[str, Any]]:
        """Return the content of a file, and metadata such as its title.

        Raises Skip with the reason if the file is no document. Any other exception is allowed: the file is then skipped
        and reported with the reason. What was read only in part, or guessed, is reported to `skips`.
        """

    @property
    def kind(self) -> str:
        """The kind of the documents: "text" or "image"."""
        return self.holds

    def __iter__(self) -> Iterator[Document]:
        skips, number = SkipReport(), 0
        for found in walk(self.path, skips, self.left_out, self._refuse):
            if self._chosen is not None and found.id not in self._chosen:
                continue
            read = self._content(found, skips)
            if read is not None:
                content, metadata = read
                number += 1
                labels = (found.path.parent.name,) if self.fields.label else ()
                yield Document(found.id, content, labels, {**metadata, **found.stamp()})
        if not number and self._chosen is None:
            raise DataError("; ".join([f"no {self.holds} in {shown(self.path)}", *skips.lines()]))
        if not self._told:
            self._told = True
            skips.tell(self.path, number)

    def _content(self, found: Found, skips: SkipReport) -> tuple[Content, Mapping[str, Any]] | None:
        """Return `content`, or None if it fails for any reason; raise DataError if `strict` is set."""
        stamp = (found.bytes, found.modified)
        try:
            if self._failed.get(found.id, ((), ""))[0] == stamp:
                raise Unreadable(self._failed[found.id][1])
            return self.content(found, skips)
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

    def _refuse(self, path: Path, reason: str) -> None:
        """Raise DataError for a file that would be skipped, if `strict` is set."""
        if self.strict:
            raise DataError(f"cannot read {shown(path)}: {shown(reason)}")

    def stamps(self) -> Iterator[tuple[str, dict[str, int]]]:
        """Yield each file's id and its {"bytes", "modified"}, without reading the file."""
        for found in walk(self.path, SkipReport(), self.left_out):
            if self._chosen is None or found.id in self._chosen:
                yield found.id, found.stamp()

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
    """Return "text" or "image", whichever most of the first files are; None if there are neither."""
    votes = {"text": 0, "image": 0}
    for found in islice(walk(path, SkipReport()), SURVEYED):
        start = raw_head(found.path)
        if is_image(start):
            votes["image"] += 1
        elif kind_of(found.path, start, found.path.name) is not None:
            votes["text"] += 1
    best = max(votes, key=lambda kind: votes[kind])  # a tie goes to texts, which come first
    return best if votes[best] else None


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
        yield Found(root, portable(root.name), status.st_size, status.st_mtime_ns)
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
        path = Path(entry.path)
        try:
            status = entry.stat()
            if entry.is_symlink():
                if not _inside(entry.path, real_root):
                    refuse(path, OUTSIDE)
                    skips.skip(path, OUTSIDE, named=True)
                    continue
                if not _followed(entry.path, real_root, entered):
                    skips.leave("link inside the folder")
                    continue
        except OSError as error:
            _failed(path, error, skips, refuse)
            continue
        if stat.S_ISDIR(status.st_mode):
            if _is_index(entry.path, left_out):
                skips.leave("index")
            else:
                stack.append(_entries(entry.path, skips, refuse))
        elif stat.S_ISREG(status.st_mode):
            name = portable(entry.path[prefix:].replace(os.sep, "/"))
            yield Found(path, name, status.st_size, status.st_mtime_ns)
        else:
            skips.leave("pipe, socket or device")


def _entries(folder: str, skips: SkipReport, refuse: Callable[[Path, str], None]) -> Iterator[os.DirEntry[str]]:
    visible = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    skips.leave("hidden")
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
