"""Lock: one writer at a time. The system releases it when its holder ends, however it ends."""

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

LOCK = "lock"  # never written to, and removed only by the creation that made it, while it holds it
HOLDER = "lock.json"  # who holds the lock, for error messages; nothing depends on it
TRIES = 100  # to open the lock of a folder that other creations make and remove meanwhile


@contextmanager
def locked(path: Path, made: list[Path] | None = None) -> Iterator[Root]:
    """Hold the lock of the folder of an index; IndexLocked, which names the holder, where another process holds it.

    With a list `made` the folder is created where it is missing, and the list receives the folders that are new, and
    the lock file if it is.
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
            continue  # a creation that failed has just removed the folder that it had made
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
    raise StoreError(f"index {str(path)!r} cannot be written: its lock is replaced again and again; try again later")


def _is_same(descriptor: int, root: Root) -> bool:
    """Whether the file that was locked is still the lock file: a creation that fails removes its own."""
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
    """The process that says it holds the lock; nothing where that is not known."""
    try:
        if root.stat(HOLDER).st_size > 2000:
            return ""
        who = json.loads(root.read(HOLDER))
        return f" (process {who['pid']:d} on {who['host']!r} since {who['since']!r}: {who['command']!r})"
    except (OSError, EOFError, StoreError, ValueError, KeyError, TypeError):
        return ""
