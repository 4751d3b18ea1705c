"""A disk that loses power: what it may hold after any instant, by what was forced to it and what was not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Files = dict[str, bytes]
"""Everything in a folder: path relative to it -> bytes."""

CALLS = ((os, "fsync"), (os, "replace"), (os, "rename"), (os, "unlink"), (os, "mkdir"))


class Disk:
    """Watches a folder; `cuts` are what it may hold if the power failed at one of the instants so far, each once.

    A file's bytes are safe once it was forced to disk, a name once its folder was. What is not safe may be there or
    not: all of it, none of it, or the names without their bytes.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bytes: dict[int, bytes] = {}  # inode -> as last forced to disk
        self.names: dict[str, dict[str, int]] = {}  # folder -> its names when it was last forced to disk
        self.seen: set[int] = set()
        self.cuts: dict[tuple[tuple[str, bytes], ...], None] = {}

    @contextmanager
    def watching(self, patch: pytest.MonkeyPatch) -> Iterator[None]:
        """Take note at every call that changes what is on a disk."""
        with patch.context() as patched:
            for module, name in CALLS:
                patched.setattr(module, name, self._noting(getattr(module, name)))
            yield
            self._note()

    def _noting(self, call: Any) -> Any:
        def noted(*args: Any, **kwargs: Any) -> Any:
            self._note()
            done = call(*args, **kwargs)
            if call.__name__ == "fsync":
                self._forced(Path(f"/proc/self/fd/{args[0]}").readlink())
            self._note()
            return done

        return noted

    def _visible(self) -> dict[str, tuple[int, bytes]]:
        """What another process would see: path -> inode and bytes."""
        found = {}
        for folder, _, files in os.walk(self.root):
            for name in files:
                path = Path(folder, name)
                found[path.relative_to(self.root).as_posix()] = (path.stat().st_ino, path.read_bytes())
        return found

    def _forced(self, path: Path) -> None:
        if path.is_dir() and path.is_relative_to(self.root):
            here = {entry.name: entry.stat().st_ino for entry in path.iterdir() if entry.is_file()}
            self.names[path.relative_to(self.root).as_posix()] = here
        elif path.is_relative_to(self.root):
            self.bytes[path.stat().st_ino] = path.read_bytes()

    def _note(self) -> None:
        """What there may be if the power fails now."""
        visible = self._visible()
        now = {inode for inode, _ in visible.values()}
        for inode in now - self.seen:  # a number that was given anew
            self.bytes.pop(inode, None)
        self.seen = now | {inode for names in self.names.values() for inode in names.values()}
        hollow = {path: self.bytes.get(inode, b"") for path, (inode, _) in visible.items()}
        safe = {
            (Path(folder) / name).as_posix(): self.bytes.get(inode, b"")
            for folder, names in self.names.items()
            for name, inode in names.items()
        }
        for outcome in ({path: data for path, (_, data) in visible.items()}, hollow, safe):
            self.cuts[tuple(sorted(outcome.items()))] = None

    def taken(self) -> list[Files]:
        """The outcomes since this was asked last."""
        found = [dict(cut) for cut in self.cuts]
        self.cuts.clear()
        return found


def lay(files: Files, root: Path) -> Path:
    """Write an outcome into a new folder."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root
