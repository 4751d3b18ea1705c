"""Snapshots: a method call sees one generation of an index, even if other threads change the index meanwhile.

A method marked `on_snapshot` runs on a copy of its object. Values computed once per generation, such as a searcher, are
stored in a `Made` that the copies share.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")

_moment = threading.Lock()  # held briefly, while attributes are read or written together
_making = threading.RLock()  # held while a value of a generation is computed
for lock in (_making, _moment):
    if hasattr(os, "register_at_fork"):  # a lock held by another thread would stay locked in the child forever
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)


def on_snapshot(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Decorator: run a method on a snapshot of its object, with consistent attributes such as `store`."""

    @wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(snapshot(self), *args, **kwargs)

    return call


class Made:
    """Values computed once per generation, by the first thread that needs them; other threads wait."""

    def __init__(self, **values: Any) -> None:
        self.values = values

    def get(self, name: str, make: Callable[[], R]) -> R:
        """Return the value with this name; call `make` to compute it the first time."""
        with _making:
            if name not in self.values:
                self.values[name] = make()
            found: R = self.values[name]
            return found


def snapshot(thing: S) -> S:
    """Return a shallow copy of an object, taken atomically."""
    own = object.__new__(type(thing))
    with _moment:
        own.__dict__.update(thing.__dict__)
    return own


def become(thing: Any, attributes: Mapping[str, Any], if_: Callable[[Any], bool]) -> bool:
    """Set attributes atomically if `if_(thing)` is true; return whether it was."""
    with _moment:
        if holds := if_(thing):
            thing.__dict__.update(attributes)
        return holds
