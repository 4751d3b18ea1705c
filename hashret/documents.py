"""Document: what is indexed and found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from hashret.errors import DataError

Content = str | Path | npt.NDArray[Any]
"""A text; a picture's path, or the picture itself, uint8 [height, width] or [height, width, 3]; or a vector [dim]."""

KINDS = ("text", "picture", "vector")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Document:
    """One thing to be found: an id of its own, a content, labels for measuring, and whatever else is known of it."""

    id: str
    content: Content
    labels: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """ "text", "picture" or "vector"."""
        return kind_of(self.content)


def kind_of(content: Content) -> str:
    """Whether a content is a "text", a "picture" or a "vector"."""
    if isinstance(content, str):
        return "text"
    if isinstance(content, Path):
        return "picture"
    if isinstance(content, np.ndarray) and content.ndim in (1, 2, 3):
        return "vector" if content.ndim == 1 else "picture"
    raise DataError(f"a document is a text, a picture's path or an array of 1 to 3 dimensions, got {type(content)}")


def as_documents(items: Iterable[Document | Content]) -> Iterator[Document]:
    """Documents as they are; bare contents with their number as id."""
    for number, item in enumerate(items):
        yield item if isinstance(item, Document) else Document(str(number), item)


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Consecutive lists of at most `size` items."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def check_kind(documents: Sequence[Document], kind: str, what: str) -> None:
    """Raise DataError at the first document that is not of the kind that `what` reads."""
    for document in documents:
        if document.kind != kind:
            raise DataError(f"{what} reads {kind}s, but {document.id!r} is a {document.kind}; give it {kind}s")
