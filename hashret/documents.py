"""Documents: the items that are indexed and searched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hashret.errors import DataError

Content = str | Path | npt.NDArray[Any]
"""A text; the path of an image; an image, uint8 [height, width] or [height, width, 3]; or a vector [dim]."""

KINDS = ("text", "image", "vector")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Document:
    """One document: a unique id, a content, labels, and JSON-serializable metadata.

    The content is a text, the path of an image, an image uint8 [height, width] or [height, width, 3], or a vector
    [dim]. Numbers as ids or labels are converted to text, and a single label can be given without a collection. Other
    types raise DataError when the document is used.

    Example:
        >>> hashret.Document("note", "wheat was dear", ("1873",), {"author": "Anne"}).labels
        ('1873',)
        >>> hashret.Document(7, "a ship sailed north", "1874")
        Document(id='7', content='a ship sailed north', labels=('1874',), metadata={})
    """

    id: str
    content: Content
    labels: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if type(self.id) is not str:
            object.__setattr__(self, "id", _name(self.id) or self.id)
        if type(self.labels) is not tuple or not all(type(label) is str for label in self.labels):
            with suppress(DataError):
                object.__setattr__(self, "labels", as_labels(self.labels))

    @property
    def kind(self) -> str:
        """The kind of the content: "text", "image" or "vector"."""
        return kind_of(self.content)

    def _repr_html_(self) -> str:
        """A table for a notebook."""
        text: str = import_module("hashret.display").document_html(self)
        return text


Documents = Iterable[Document | Content] | Document | Content
"""Documents or plain contents, or a single one of them; a string is one text, not a collection of characters."""

Records = Iterable[Mapping[str, Any]] | Mapping[str, Any]
"""Mappings with the fields of JSON lines (id, text, labels, ...); one of them stands for itself."""


def as_id(value: Any) -> str:
    """Return an id as text. Raises DataError unless it is a non-empty text or a number."""
    text = _name(value)
    if not text:
        raise DataError(f"an id must be a non-empty text or a number, got {_brief(value)}")
    return text


def as_ids(values: Any) -> list[str]:
    """Return one id or a collection of ids as a list of texts. Raises DataError for an invalid id."""
    return [as_id(value) for value in ([values] if _is_name(values) else values)]


def as_labels(values: Any, id: str = "") -> tuple[str, ...]:
    """Return one label or a collection of labels as texts. Raises DataError for anything else."""
    if values is None:
        return ()
    of = f" of {id!r}" if id else ""
    if not _is_name(values) and not isinstance(values, Iterable):
        raise DataError(f"labels{of} must be texts or numbers, got {_brief(values)}")
    labels = []
    for value in [values] if _is_name(values) else values:
        if (text := _name(value)) is None:
            raise DataError(f"labels{of} must be texts or numbers, got {_brief(value)} among them")
        labels.append(text)
    return tuple(labels)


def _is_name(value: Any) -> bool:
    return isinstance(value, str | bytes | int | float | np.generic)


def _name(value: Any) -> str | None:
    """Return a text unchanged, a number as text, and None for anything else."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _type(value: Any) -> str:
    return type(value).__name__


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def check(document: Document) -> Document:
    """Return the document. Raises DataError if its id, labels, content or metadata have a wrong type."""
    as_id(document.id)
    if not isinstance(document.content, str | Path | np.ndarray):
        raise DataError(
            f"the content of {document.id!r} must be a text, an image's path or an array, got {_type(document.content)}"
        )
    if type(document.labels) is not tuple or not all(type(label) is str for label in document.labels):
        as_labels(document.labels, document.id)
    if not isinstance(document.metadata, Mapping):
        raise DataError(f"the metadata of {document.id!r} must be a mapping, got {_type(document.metadata)}")
    _check_metadata(document)
    return document


def _check_metadata(document: Document) -> None:
    """Raise DataError if the metadata of a document is not JSON-serializable."""
    plain = (str, int, float, bool, type(None))
    if all(type(key) is str and type(value) in plain for key, value in document.metadata.items()):
        return
    try:
        json.dumps(dict(document.metadata))
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"the metadata of {document.id!r} cannot be written as JSON: {error}") from error


def kind_of(content: Content) -> str:
    """Return the kind of a content: "text", "image" or "vector". Raises DataError for other types."""
    if isinstance(content, str):
        return "text"
    if isinstance(content, Path):
        return "image"
    if isinstance(content, np.ndarray) and content.ndim in (1, 2, 3):
        return "vector" if content.ndim == 1 else "image"
    raise DataError(
        f"a document is a text, an image's path or an array of 1 to 3 dimensions, got {_type(content)}"
        + (f" of {content.ndim}" if isinstance(content, np.ndarray) else "")
    )


def as_documents(items: Documents) -> Iterator[Document]:
    """Yield documents, checked; plain contents get their number as id. A single document or content is allowed."""
    for number, item in enumerate([items] if is_one(items) else items):  # type: ignore[arg-type]
        yield check(item if isinstance(item, Document) else Document(str(number), item))  # type: ignore[arg-type]


def is_one(items: Any) -> bool:
    """Whether this is a single document or content, not a collection. A mapping is one document."""
    return isinstance(items, str | Path | Document | Mapping) or (isinstance(items, np.ndarray) and items.ndim == 1)


def batches(items: Iterable[T], size: int, weigh: Callable[[T], int] | None = None, most: int = 0) -> Iterator[list[T]]:
    """Yield lists of at most `size` items; with `weigh`, a list also ends when its weight reaches `most`."""
    batch: list[T] = []
    weight = 0
    for item in items:
        batch.append(item)
        weight += weigh(item) if weigh else 0
        if len(batch) == size or (weigh and weight >= most):
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def bytes_of(document: Document) -> int:
    """Return the approximate size in bytes of the content of a document in memory."""
    content = document.content
    return content.nbytes if isinstance(content, np.ndarray) else 4 * len(content) if isinstance(content, str) else 0


def check_kind(documents: Sequence[Document], kind: str, what: str) -> None:
    """Raise DataError for the first document that is not of the kind that `what` reads."""
    for document in documents:
        if document.kind != kind:
            raise DataError(f"{what} reads {kind}s, but {document.id!r} is a {document.kind}; give it {kind}s")


class Sample:
    """A random choice of at most `size` documents, drawn while they pass (reservoir sampling)."""

    def __init__(self, size: int, seed: int = 0) -> None:
        self.size = size
        self.rng = np.random.default_rng(seed)
        self.kept: list[tuple[int, Document]] = []

    def drawn_from(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents as they are."""
        for number, document in enumerate(documents):
            if number < self.size:
                self.kept.append((number, document))
            elif (place := int(self.rng.integers(number + 1))) < self.size:
                self.kept[place] = (number, document)
            yield document

    @property
    def documents(self) -> list[Document]:
        """The documents chosen, in order."""
        return [document for _, document in sorted(self.kept, key=lambda pair: pair[0])]
