"""`Folder`, the base class of sources with one document per file, and `walk`, which lists the files of a folder."""

from __future__ import annotations

import copy
import os
import stat
from abc import abstractmethod
from collections.abc import Container, Iterator
from itertools import islice
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

from hashret.documents import Content, Document
from hashret.errors import DataError, HashretError, MissingExtra, UsageError
from hashret.readers.base import USUAL, Fields, Source, log, portable, shown
from hashret.readers.decode import looks_like_text, raw_head
from hashret.readers.magic import is_docx, is_image, is_pdf
from hashret.readers.skip_report import SkipReport
from hashret.worker import Unreadable

INDEX = ("lock", "manifest.json", "segments", "recovery")  # names that identify the folder of an index
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
    def content(self, found: Found, skips: SkipReport) -> Content | None:
        """Return the content of a file, or None after reporting to `skips` why it is skipped.

        Any exception is allowed: the file is then skipped and reported with the reason.
        """

    @property
    def kind(self) -> str:
        """The kind of the documents: "text" or "image"."""
        return self.holds

    def __iter__(self) -> Iterator[Document]:
        skips, number = SkipReport(), 0
        for found in walk(self.path, skips, self.left_out):
            if self._chosen is not None and found.id not in self._chosen:
                continue
            content = self._content(found, skips)
            if content is not None:
                number += 1
                labels = (found.path.parent.name,) if self.fields.label else ()
                yield Document(found.id, content, labels, found.stamp())
        if not number and self._chosen is None:
            raise DataError("; ".join([f"no {self.holds} in {shown(self.path)}", *skips.lines()]))
        if not self._told:
            self._told = True
            skips.tell(self.path)

    def _content(self, found: Found, skips: SkipReport) -> Content | None:
        """Return `content`, or None if it fails for any reason; raise DataError if `strict` is set."""
        stamp = (found.bytes, found.modified)
        try:
            if self._failed.get(found.id, ((), ""))[0] == stamp:
                raise Unreadable(self._failed[found.id][1])
            return self.content(found, skips)
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
        if self.strict:
            raise DataError(f"cannot read {shown(found.path)}: {shown(reason)}")
        skips.fail(found.id, reason)
        return None

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
        elif looks_like_text(start) or is_pdf(start) or is_docx(found.path, start):
            votes["text"] += 1
    best = max(votes, key=lambda kind: votes[kind])  # a tie goes to texts, which come first
    return best if votes[best] else None


def walk(root: Path, skips: SkipReport, left_out: Path | None = None) -> Iterator[Found]:
    """Yield the files under a folder at any depth, sorted, or the file itself; skip hidden files and indexes.

    `left_out` is the resolved path of an index that may be incomplete. Symbolic links are followed if they stay inside
    the folder; each folder is entered through at most one link, so cycles end.
    """
    root = root.absolute()
    if not root.is_dir():
        status = root.stat()
        yield Found(root, portable(root.name), status.st_size, status.st_mtime_ns)
        return
    real_root = os.path.realpath(root)
    entered = {real_root}
    stack = [_entries(str(root), skips)]
    prefix = len(str(root).rstrip(os.sep)) + 1
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            continue
        path = Path(entry.path)
        if entry.is_symlink() and not _inside(entry.path, real_root):
            skips.skip(path, "link to outside the folder", named=True)
            continue
        try:
            status = entry.stat()
        except OSError as error:
            skips.fail(portable(path.name), error.strerror or "no such file")
            continue
        if stat.S_ISDIR(status.st_mode):
            if entry.is_symlink():
                target = os.path.realpath(entry.path)
                if target in entered or (os.path.realpath(path.parent) + os.sep).startswith(target + os.sep):
                    skips.skip(path, "link to a folder already read", named=True)
                    continue
                entered.add(target)
            if _is_index(entry.path, left_out):
                skips.note("folders skipped because they are hashret indexes")
                continue
            stack.append(_entries(entry.path, skips))
        elif stat.S_ISREG(status.st_mode):
            name = portable(entry.path[prefix:].replace(os.sep, "/"))
            yield Found(path, name, status.st_size, status.st_mtime_ns)


def _entries(folder: str, skips: SkipReport) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        skips.fail(portable(Path(folder).name), error.strerror or "no such folder")
        return iter(())
    return iter(sorted(visible, key=lambda entry: entry.name))


def _is_index(folder: str, left_out: Path | None) -> bool:
    if left_out is not None and os.path.realpath(folder) == str(left_out):
        return True
    return all(os.path.lexists(os.path.join(folder, name)) for name in INDEX)  # noqa: PTH118  a path is slower


def _inside(path: str, real_root: str) -> bool:
    target = os.path.realpath(path)
    return target == real_root or target.startswith(real_root.rstrip(os.sep) + os.sep)
