"""Source: files read as documents. Fields, Stamped and the ways to write a name, which every source shares."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from hashret.documents import Document
from hashret.errors import DataError, UsageError

log = logging.getLogger("hashret")


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields of a record are a document's id, text and label; None: the usual names."""

    id: str | None = None
    text: tuple[str, ...] = ()
    label: str | None = None  # "folder": the name of the folder that holds the file

    def as_json(self) -> dict[str, Any]:
        """What an index remembers of them."""
        return {"id": self.id, "text": list(self.text), "label": self.label}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Fields:
        """Fields as an index remembers them."""
        return cls(data.get("id"), tuple(data.get("text") or ()), data.get("label"))


USUAL = Fields()


class Source(ABC):
    """Documents in some files; can be iterated any number of times and holds no more than a few at once."""

    name: ClassVar[str]
    summary: ClassVar[str]  # the line of `hashret sources`
    strict: bool = False  # whether a file that cannot be read is an error, and not passed over

    def __init__(self, path: Path, fields: Fields = USUAL) -> None:
        self.path = path
        self.fields = fields

    @classmethod
    @abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the content at the path is of this source's kind."""

    @abstractmethod
    def __iter__(self) -> Iterator[Document]: ...

    @property
    def kind(self) -> str:
        """What the documents are, told by the first: "text", "image" or "vector"."""
        for document in self:
            return document.kind
        raise DataError(f"no documents in {shown(self.path)}")

    def count(self) -> int | None:
        """How many documents there are, where that is known without reading them."""
        return None

    def without(self, folder: Path) -> Source:
        """The same source, the files in this folder left out: that of an index to which the documents are added."""
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"


@runtime_checkable
class Stamped(Protocol):
    """A source of files that tells which ones changed without reading them."""

    def stamps(self) -> Iterator[tuple[str, dict[str, int]]]:
        """Each file's id with its {"bytes", "modified"}; some of the files may turn out to hold no document."""

    def only(self, ids: Container[str], empty: Container[str] = ()) -> Source:
        """The same source, reading the files of these ids alone; those of `empty` also where they hold nothing."""


def no_fields(fields: Fields, what: str) -> None:
    """Raise UsageError where fields are named for a source that has none."""
    if fields != USUAL:
        raise UsageError(f"{what} has no fields: leave out id, text and label")


def portable(name: str) -> str:
    """A file's name as text that UTF-8 can hold: bytes that are none are written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def shown(name: object) -> str:
    """A path or name for a message, on one line."""
    text = portable(str(name))
    return text if text.isprintable() else repr(text)[1:-1]
