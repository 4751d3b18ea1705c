"""Progress: long work says how far it has come, and whoever shows it listens.

Library code calls `track` around its loops and knows no terminal; the command line puts a listener in place with
`listening`. Without one, nothing happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

T = TypeVar("T")


class Listener(Protocol):
    """Called at each step: which work, how many steps are done, of how many (None: unknown); it ends when all are."""

    def __call__(self, label: str, done: int, total: int | None, note: str = "") -> None: ...


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have `listener` told of all progress inside the block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report(label: str, done: int, total: int | None = None, note: str = "") -> None:
    """Say that `done` of `total` steps of the work called `label` are done."""
    if (listener := _listener.get()) is not None:
        listener(label, done, total, note)


def track(items: Iterable[T], label: str, total: int | None = None) -> Iterator[T]:
    """The items, each reported once it has been dealt with; after the last one all are done, however many it were."""
    done = 0
    for done, item in enumerate(items, 1):
        yield item
        report(label, done, total)
    if done != total:
        report(label, done, done)
