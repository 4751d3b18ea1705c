"""Lock: one writer at a time. The system lets go of it when its holder dies, however it dies."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from hashret.errors import StoreError
from hashret.store import files

LOCK = "lock"
HOLDER = "lock.json"  # who has it; words for others, nothing depends on them


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the one writer; StoreError, which names the other, where there is one already."""
    from filelock import FileLock, Timeout

    with suppress(FileNotFoundError):
        files.own(folder, LOCK)  # no link to a file of somebody else's
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise StoreError(
            f"another process is writing to index {str(folder)!r}{_holder(folder)}; try again later"
        ) from None
    except OSError as error:
        raise StoreError(f"index {str(folder)!r} cannot be written: {error.strerror or error}") from error
    try:
        _sign(folder)
        yield
    finally:
        with suppress(OSError):
            (folder / HOLDER).unlink(missing_ok=True)
        lock.release()


def _sign(folder: Path) -> None:
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    who = {"pid": os.getpid(), "host": platform.node(), "since": since, "command": " ".join(sys.argv)[:200]}
    with suppress(OSError):
        (folder / HOLDER).unlink(missing_ok=True)
        (folder / HOLDER).write_text(json.dumps(who), "utf-8")


def _holder(folder: Path) -> str:
    """Who says to have the lock, in words; nothing where that is not known."""
    try:
        files.own(folder, HOLDER)
        who = json.loads((folder / HOLDER).read_bytes()[:2000])
        return f" (process {who['pid']:d} on {who['host']!r} since {who['since']!r}: {who['command']!r})"
    except (OSError, StoreError, ValueError, KeyError, TypeError):
        return ""
