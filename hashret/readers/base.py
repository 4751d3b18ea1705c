"""The base class `Source`, the protocol `Stamped`, `Fields`, and helpers that print file names in messages."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from hashret.documents import Document
from hashret.errors import DataError, UsageError

log = logging.getLogger("hashret")


@dataclass(frozen=True, slots=True)
class Fields:
    """Names of the record fields that hold a document's id, text and label, the encoding of texts, and the header.

    None means the default names. Raises UsageError for an unknown encoding.
    """

    id: str | None = None
    text: tuple[str, ...] = ()
    label: str | None = None  # "folder": the label is the name of the folder that contains the file
    encoding: str | None = None  # of texts that are not UTF-8 and declare no encoding; None: guess it
    has_header: bool = True  # whether a table begins with a row of names; without it they are "1", "2", ...

    def __post_init__(self) -> None:
        if self.encoding is not None and not is_text_encoding(self.encoding):
            raise UsageError(f"unknown encoding {self.encoding!r}; give a name such as cp1252, koi8-r or shift_jis")

    def as_json(self) -> dict[str, Any]:
        """Return the fields as JSON, the form in which an index stores them."""
        return {
            "id": self.id,
            "text": list(self.text),
            "label": self.label,
            "encoding": self.encoding,
            "has_header": self.has_header,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Fields:
        """Create fields from the JSON that `as_json` returned."""
        text, header = tuple(data.get("text") or ()), data.get("has_header", True)
        return cls(data.get("id"), text, data.get("label"), data.get("encoding"), header)


USUAL = Fields()


class Source(ABC):
    """Base class of sources: an iterable of documents that can be iterated repeatedly and streams from disk."""

    name: ClassVar[str]
    summary: ClassVar[str]  # the line of `hashret sources`
    settings: ClassVar[frozenset[str]] = frozenset()  # which of "encoding" and "has_header" it uses
    strict: bool = False  # raise an error for a file that cannot be read instead of skipping it

    def __init__(self, path: Path, fields: Fields = USUAL) -> None:
        self.path = path
        self.fields = fields

    @property
    def address(self) -> str:
        """The absolute path, or the address, which an index remembers."""
        return str(self.path.resolve())

    @classmethod
    @abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the content at the path has the format of this source."""

    @abstractmethod
    def __iter__(self) -> Iterator[Document]: ...

    @property
    def kind(self) -> str:
        """The kind of the first document: "text", "image" or "vector". Raises DataError if there are no documents."""
        for document in self:
            return document.kind
        raise DataError(f"no documents in {shown(self.path)}")

    def count(self) -> int | None:
        """Return the number of documents, or None if it is not known without reading them."""
        return None

    def origins(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return the names of the files that hold each of the ids, if the source reads several files of records."""
        return {}

    def without(self, folder: Path) -> Source:
        """Return this source without the files in `folder`, the folder of the index that is being written."""
        return self

    def _refuse(self, path: Path, reason: str) -> None:
        """Raise DataError for a file that would be skipped, if `strict` is set."""
        if self.strict:
            raise DataError(f"cannot read {shown(path)}: {shown(reason)}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"


@runtime_checkable
class Stamped(Protocol):
    """A source of files that detects changed files without reading them."""

    def stamps(self) -> Iterator[tuple[str, dict[str, int]]]:
        """Yield each file's id and its {"bytes", "modified"}, also for files that turn out to hold no document."""

    def entries_of(self, id: str) -> set[str]:
        """Return the ids of the entries of a container, such as a zip file."""

    def only(self, ids: Container[str], empty: Container[str] = ()) -> Source:
        """Return this source restricted to these ids of files and entries.

        Files in `empty` are documents even without content.
        """


def is_text_encoding(name: str) -> bool:
    """Whether Python knows an encoding of texts by this name."""
    try:
        return isinstance(b"a".decode(name, "ignore"), str)  # an empty text is not decoded
    except (LookupError, ValueError, TypeError):
        return False


def no_fields(fields: Fields, what: str) -> None:
    """Raise UsageError if fields are given for a source that has none."""
    if replace(fields, encoding=None, has_header=True) != USUAL:
        raise UsageError(f"{what} has no fields: leave out id, text and label")


def portable(name: str) -> str:
    """Return a file name as valid UTF-8: bytes that are not UTF-8 become escapes."""
    return name if name.isascii() else name.encode("utf-8", "backslashreplace").decode()


def shown(name: object) -> str:
    """Return a path or name as one printable line for a message."""
    text = portable(str(name))
    return text if text.isprintable() else repr(text)[1:-1]
