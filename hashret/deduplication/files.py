"""Deletes, links or moves the files of duplicates, each checked just before."""

from __future__ import annotations

import filecmp
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashret.deduplication.places import Place
from hashret.deduplication.results import Duplicates
from hashret.errors import HashretError, UsageError
from hashret.images import load, thumbnail
from hashret.readers import read
from hashret.readers.archives import container_ids

ACTIONS = ("delete", "link", "move")


@dataclass(frozen=True, slots=True)
class Done:
    """What happened to the file of a duplicate, or would happen."""

    id: str
    action: str
    """"delete", "link", "move", or "left" if the file stays as it is."""
    file: str
    """The path of the file, if there is one."""
    keep: str
    """The id of the document that is kept."""
    reason: str = ""
    """Why the file is left."""

    def row(self) -> dict[str, Any]:
        """Return the fields as a dict."""
        return {name: getattr(self, name) for name in ("id", "action", "file", "keep", "reason")}


class _Left(Exception):
    """A reason to leave a file as it is."""


def change_files(
    found: Duplicates, places: Mapping[str, Place], kept: Mapping[str, Place], action: str, into: Path | None, run: bool
) -> Iterator[Done]:
    """Delete, link or move the files of the documents to drop; yields what happened to each.

    A file is left if it changed since it was indexed, or the file to keep did, if it is a link, or if the document has
    no file of its own, such as a row of a table or an entry of an archive.

    Args:
        found: The groups.
        places: The documents to drop, by id.
        kept: The documents to keep, by id.
        action: "delete"; "link", which puts a hard link to the file to keep in its place; or "move".
        into: The folder to move files to, under the path that they have in their id.
        run: Whether to change anything. If not set, only the checks are made.

    Raises:
        UsageError: The action is unknown, or a folder is missing or superfluous.
    """
    if action not in ACTIONS or (into is None) == (action == "move"):
        raise UsageError(f"action must be one of {', '.join(ACTIONS)}, and only move needs a folder; got {action!r}")
    for group in found:
        for id in group.drop:
            path = None
            try:
                path = file_of(places[id])
                _change(path, file_of(kept[group.keep], kept=True), action, into, id, run)
                yield Done(id, action, str(path), group.keep)
            except _Left as reason:
                yield Done(id, "left", "" if path is None else str(path), group.keep, str(reason))
            except OSError as error:
                yield Done(id, "left", str(path), group.keep, error.strerror or str(error))


def file_of(place: Place, kept: bool = False) -> Path:
    """Return the file of a document, which is as it was when it was read. Raises _Left if not."""
    what, document = ("the file to keep", "the document to keep") if kept else ("the file", "the document")
    if container_ids(place.id) or not {"bytes", "modified"} <= place.metadata.keys():
        raise _Left(f"{document} has no file of its own, but is part of one")
    path = next((own for own in place.paths if os.path.lexists(own)), None)
    if path is None:
        raise _Left(f"{what} is not there")
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise _Left(f"{what} is a symbolic link")
    if not stat.S_ISREG(status.st_mode):
        raise _Left(f"{what} is not a regular file")
    if (status.st_size, status.st_mtime_ns) != (place.metadata["bytes"], place.metadata["modified"]):
        raise _Left(f"{what} changed since it was read")
    if _content(path, place) != place.content:
        raise _Left(f"the content of {what} differs from what was read")
    return path


def _content(path: Path, place: Place) -> str | bytes | None:
    """Return what a file contains now, as `Place` has it, or None if it cannot be read."""
    try:
        if isinstance(place.content, bytes):
            return thumbnail(load(path, place.id))
        found = [document.content for document in read(path, source="texts")]
        return found[0] if len(found) == 1 and isinstance(found[0], str) else None
    except HashretError:
        return None


def _change(path: Path, kept: Path, action: str, into: Path | None, id: str, run: bool) -> None:
    if path.samefile(kept):
        raise _Left("it is the same file as the one to keep, by another name; it takes no space")
    if action == "link" and not filecmp.cmp(path, kept, shallow=False):
        raise _Left("its bytes differ from those of the file to keep, so a link would lose them; delete or move it")
    target = None if into is None else into / id
    if target is not None and os.path.lexists(target):
        raise _Left(f"{str(target)!r} exists")
    if not run:
        return
    if target is not None:
        _move(path, target)
    elif action == "link":
        _link(path, kept)
    else:
        path.unlink()


def _link(path: Path, kept: Path) -> None:
    """Replace a file by a hard link to another, made under another name first, so that a failure loses nothing."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    os.link(kept, part)
    try:
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _move(path: Path, target: Path) -> None:
    """Move a file to a path that does not exist, also to another file system."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, target)  # unlike a rename, it never replaces a file
    except FileExistsError:
        raise
    except OSError:
        with path.open("rb") as source, target.open("xb") as file:
            try:
                shutil.copyfileobj(source, file)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                target.unlink()
                raise
        with suppress(OSError):
            shutil.copystat(path, target)
    path.unlink()
