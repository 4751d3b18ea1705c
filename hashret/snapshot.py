"""Snapshot: a call sees one generation of an index from beginning to end, whatever other threads change meanwhile.

A method marked `on_snapshot` runs on a copy of its object. What is computed once per generation, such as a searcher, is
in a `Made` that the copies share.
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

_moment = threading.Lock()  # held for microseconds, while attributes are read or written together
_making = threading.RLock()  # held while a value of a generation is made
for lock in (_making, _moment):
    if hasattr(os, "register_at_fork"):  # a child must not find it held by a thread that it does not have
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)


def on_snapshot(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Let a method see the attributes of one moment, among them `store`."""

    @wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(snapshot(self), *args, **kwargs)

    return call


class Made:
    """What is computed once for a generation, by whichever thread needs it first; the others wait for it."""

    def __init__(self, **values: Any) -> None:
        self.values = values

    def get(self, name: str, make: Callable[[], R]) -> R:
        """The value of this name, made if need be."""
        with _making:
            if name not in self.values:
                self.values[name] = make()
            found: R = self.values[name]
            return found


def snapshot(thing: S) -> S:
    """The same attributes in another object, as they are together at this moment."""
    own = object.__new__(type(thing))
    with _moment:
        own.__dict__.update(thing.__dict__)
    return own


def become(thing: Any, attributes: Mapping[str, Any], if_: Callable[[Any], bool]) -> bool:
    """Set attributes at one moment, if that holds; whether it did."""
    with _moment:
        if holds := if_(thing):
            thing.__dict__.update(attributes)
        return holds
