"""Registry: names of encoders, vectorizers, sources and searchers, imported only when used.

An entry is "name = module:Class", so that listing names imports nothing. Other packages add classes through entry
points in the group of the registry.
"""

from __future__ import annotations

import importlib
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar, cast

from hashret.errors import unknown

T = TypeVar("T")


class Registry(Generic[T]):
    """The classes of one kind, by name."""

    def __init__(self, kind: str, group: str, entries: tuple[str, ...]) -> None:
        self.kind = kind
        self.group = group
        self.entries = dict(entry.split(" = ") for entry in entries)

    def names(self) -> list[str]:
        """Return all names: those of hashret first, then those of other packages."""
        return [*self.entries, *(point.name for point in self._foreign() if point.name not in self.entries)]

    def get(self, name: str) -> type[T]:
        """Return the class with this name. Raises UsageError, with the most similar name, if it is unknown."""
        if name in self.entries:
            module, attribute = self.entries[name].split(":")
            return cast("type[T]", getattr(importlib.import_module(module), attribute))
        for point in self._foreign():
            if point.name == name:
                return cast("type[T]", point.load())
        raise unknown(self.kind, name, self.names(), f"hashret {self.kind}s lists them")

    def _foreign(self) -> list[EntryPoint]:
        return sorted(entry_points(group=self.group), key=lambda point: point.name)
