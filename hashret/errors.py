"""What can go wrong, as a tree:

HashretError            exit code
├── UsageError          2   the request itself is wrong: an option, a name, a number, a path
│   └── MissingExtra    2   the request needs a package that is not installed
├── DataError           1   documents, vectors or queries that cannot be used
├── StoreError          1   an index on disk that is locked, damaged or from a newer version
└── GateError           3   a measured value fell below what was asked for

A message is one line: what, the value, what is allowed, the next step.
"""

from __future__ import annotations

import difflib
import importlib
import operator
from collections.abc import Iterable
from types import ModuleType
from typing import Any


class HashretError(Exception):
    """The root of everything hashret raises on purpose."""

    exit_code = 1


class UsageError(HashretError, ValueError):
    """The request itself is wrong: an option, a name, a number or a path."""

    exit_code = 2


class MissingExtra(UsageError, ImportError):
    """The request needs an optional package; the message names the extra that brings it."""


class DataError(HashretError, ValueError):
    """Documents, vectors or queries that cannot be used."""


class StoreError(HashretError):
    """An index on disk that is locked, damaged or written by a newer version."""


class GateError(HashretError):
    """A measured value fell below what was asked for."""

    exit_code = 3


def unknown(kind: str, name: str, known: Iterable[str], where: str = "") -> UsageError:
    """The error for a name that is not known, with those that are and the nearest of them."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return UsageError(f"unknown {kind} {name!r};{hint} allowed: {', '.join(known)}" + (f" ({where})" if where else ""))


def whole_number(value: Any, name: str, low: int, high: int | None = None) -> int:
    """The value as an int; UsageError where it is not a whole number (a bool is none) or not low to high, inclusive."""
    allowed = f"at least {low}" if high is None else f"{low} to {high}"
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise UsageError(f"{name} must be a whole number, {allowed}, got {shown(value)}")
    if number < low or (high is not None and number > high):
        raise UsageError(f"{name} must be {allowed}, got {shown(number)}")
    return number


def shown(value: Any) -> str:
    """The value for a message, cut at 80 characters."""
    if isinstance(value, int) and value.bit_length() > 200:  # Python refuses to print very long ones
        return f"a number of {value.bit_length()} bits"
    return repr(value)[:80]


def need(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional module, or say which extra brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(f"{purpose} needs {module}; install it with: pip install 'hashret[{extra}]'") from error
