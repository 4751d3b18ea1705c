"""The write lock of an index. The operating system releases it when the process ends, even after a crash."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from hashret import files
from hashret.errors import IndexLocked, StoreError
from hashret.files import Root

LOCK = "lock"  # an empty file, removed only if the creation of the index fails, while it is locked
HOLDER = "lock.json"  # the process that holds the lock, for error messages only
TRIES = 100  # attempts to open the lock, in case other failing creations remove the folder


@contextmanager
def locked(path: Path, made: list[Path] | None = None) -> Iterator[Root]:
    """Hold the write lock of an index. Raises IndexLocked, with the holder's name, if another process holds it.

    If `made` is a list, a missing folder is created, and the paths of new folders and of a new lock file are appended.
    """
    from filelock import unlock_descriptor

    root, descriptor = _acquire(path, made)
    try:
        _sign(root)
        yield root
    finally:
        with suppress(OSError, StoreError):
            root.remove(HOLDER)
        with suppress(OSError):
            unlock_descriptor(descriptor)
        os.close(descriptor)
        root.close()


def _acquire(path: Path, made: list[Path] | None) -> tuple[Root, int]:
    from filelock import lock_descriptor

    for _ in range(TRIES):
        if made is not None:
            made += files.make_root(path)
        try:
            root = Root(path)
        except FileNotFoundError:
            if made is None:
                raise
            continue  # another process failed to create the index and removed the folder
        descriptor = None
        try:
            descriptor, new = root.open_lock(LOCK)
            if new and made is not None:
                made.append(path / LOCK)
            if not lock_descriptor(descriptor, blocking=False):
                holder = _holder(root)
                words = f"another process is writing to index {str(path)!r}{holder}; try again later"
                raise IndexLocked(words, path=str(path), holder=holder.strip(" ()"))
            if _is_same(descriptor, root):
                return root, descriptor
        except FileNotFoundError:
            pass
        except OSError as error:
            root.close()
            _close(descriptor)
            raise StoreError(f"index {str(path)!r} cannot be written: {files.reason(error)}") from error
        except BaseException:
            root.close()
            _close(descriptor)
            raise
        root.close()
        _close(descriptor)
    raise StoreError(f"index {str(path)!r} cannot be written: its lock file keeps changing; try again later")


def _is_same(descriptor: int, root: Root) -> bool:
    """Whether the locked file is still the lock file. A creation that fails removes its lock file."""
    own, there = os.fstat(descriptor), root.stat(LOCK)
    return (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino)


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def _sign(root: Root) -> None:
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    who = {"pid": os.getpid(), "host": platform.node(), "since": since, "command": " ".join(sys.argv)[:200]}
    with suppress(OSError, StoreError):
        root.remove(HOLDER)
        root.write(HOLDER, json.dumps(who).encode())


def _holder(root: Root) -> str:
    """Return a description of the process that holds the lock, or "" if it is unknown."""
    try:
        if root.stat(HOLDER).st_size > 2000:
            return ""
        who = json.loads(root.read(HOLDER))
        return f" (process {who['pid']:d} on {who['host']!r} since {who['since']!r}: {who['command']!r})"
    except (OSError, EOFError, StoreError, ValueError, KeyError, TypeError):
        return ""
