"""The compiled parts of hashret, which an installation without a C compiler lacks."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


def extension(name: str) -> ModuleType | None:
    """Return a compiled module of hashret, such as "_ranking", or None if it is not installed."""
    name = f"hashret.{name}"
    return None if find_spec(name) is None else import_module(name)
