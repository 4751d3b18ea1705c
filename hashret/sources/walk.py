"""The files under a folder, in an order that does not change, without leaving the folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hashret.sources.base import portable
from hashret.sources.skip_report import SkipReport


class Found(NamedTuple):
    """A file under a folder."""

    path: Path  # absolute
    id: str  # relative to the folder, with /
    bytes: int
    modified: int  # nanoseconds

    def stamp(self) -> dict[str, int]:
        """What tells that a file changed."""
        return {"bytes": self.bytes, "modified": self.modified}


INDEX = ("lock", "manifest.json", "segments", "recovery")  # what the folder of an index holds


def walk(root: Path, skips: SkipReport, left_out: Path | None = None) -> Iterator[Found]:
    """The files under a folder at any depth, sorted, or the file itself; hidden files and indexes are left out.

    `left_out` is the resolved path of an index that is perhaps not complete yet. A link is followed where it stays
    inside the folder; no folder is entered by two links, so none goes on forever.
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
            skips.skip(path, "are links out of the folder", named=True)
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
                    skips.skip(path, "are links to folders read already", named=True)
                    continue
                entered.add(target)
            if _is_index(entry.path, left_out):
                skips.note("folders of an index of hashret, left out")
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
