"""Progress reports of long operations.

Library code wraps its loops in `track`. The command line sets a listener with `listening`, which displays the progress.
Without a listener, nothing happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

T = TypeVar("T")


class Listener(Protocol):
    """Callback for each step: label, steps done, total steps (None: unknown). Finished when done == total."""

    def __call__(self, label: str, done: int, total: int | None, note: str = "") -> None: ...


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send all progress reports inside the block to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def prefixed(prefix: str) -> Iterator[None]:
    """Put `prefix` before the labels of all reports inside the block."""
    outer = _listener.get()
    if outer is None:
        yield
        return
    with listening(lambda label, done, total, note="": outer(prefix + label, done, total, note)):
        yield


def report(label: str, done: int, total: int | None = None, note: str = "") -> None:
    """Report that `done` of `total` steps of the work called `label` are finished."""
    if (listener := _listener.get()) is not None:
        listener(label, done, total, note)


def track(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """Yield the items and report each one after it was processed; at the end, report the actual number as the total."""
    done = 0
    for done, item in enumerate(items, 1):
        yield item
        report(label, done, total)
    if done != total:
        report(label, done, done)
