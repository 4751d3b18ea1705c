"""Steady: a call sees one generation of an index from beginning to end, whatever other threads change meanwhile.

A method marked `steady` runs on a copy of its object. What the copy computed, such as a searcher, is kept if the object
is still of that generation and is still searched in the same way.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")

_moment = threading.Lock()  # held for microseconds, while attributes are read or written together
if hasattr(os, "register_at_fork"):  # a child must not find it held by a thread that it does not have
    os.register_at_fork(before=_moment.acquire, after_in_parent=_moment.release, after_in_child=_moment.release)


def steady(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Have a method see the attributes of one moment, among them `store`."""

    @wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        own: Any = snapshot(self)
        try:
            return method(own, *args, **kwargs)
        finally:
            become(self, own, lambda now: now.store is own.store and now._way is own._way)

    return call


def snapshot(thing: S) -> S:
    """The same attributes in another object, as they are together at this moment."""
    own = object.__new__(type(thing))
    with _moment:
        own.__dict__.update(thing.__dict__)
    return own


def become(thing: S, other: S, if_: Callable[[Any], bool]) -> None:
    """Take all attributes of another object at once, if that holds."""
    with _moment:
        if if_(thing):
            thing.__dict__.update(other.__dict__)
