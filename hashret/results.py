"""Hits: what an index answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hashret.documents import Document


@dataclass(frozen=True, slots=True)
class Hit:
    """One document found: how far its code is from the query's, in bits, and its place in the answer, from 1."""

    document: Document
    distance: int
    rank: int
    reranked: str | None = None  # what put it at its rank instead of the distance: "logits" or "vectors"

    @property
    def id(self) -> str:
        """The document's id."""
        return self.document.id

    @property
    def labels(self) -> tuple[str, ...]:
        """The document's labels."""
        return self.document.labels

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Whatever else is known of the document."""
        return self.document.metadata


class Hits(list[Hit]):
    """The answer to one query, nearest first, ties in order of insertion."""

    def __init__(self, hits: Iterable[Hit], exact: bool, searcher: str, ties_at_k: int | None = None) -> None:
        super().__init__(hits)
        self.exact = exact
        self.searcher = searcher  # how it was reached
        self.ties_at_k = ties_at_k  # documents at the last hit's distance, listed or not; None: all are listed
