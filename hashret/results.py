"""Search results: `Hit` and `Hits`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from hashret.documents import Document


@dataclass(frozen=True, slots=True)
class Hit:
    """One result: the document, the Hamming distance of its code in bits, and its rank, counted from 1.

    `score` is what put it at its rank, None if that was the distance; scores compare within one query only. `parts`
    has the values that the score was made of: the BM25 of "words", the asymmetric distance of "codes" in bits, the
    cosine of "vectors".

    Example:
        >>> index = hashret.Index.open("indexes/mine")
        >>> hit = index.search("wheat was dear", k=1)[0]
        >>> hit.rank, hit.distance, hit.id, hit.document.content
        (1, 0, '1', 'wheat was dear')
    """

    document: Document
    distance: int
    rank: int
    score: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)

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
        """The document's metadata."""
        return self.document.metadata


class Hits(list[Hit]):
    """The results of one query as a list, nearest first, ties in order of insertion.

    Attributes: `exact`, whether these are guaranteed to be the nearest documents; `searcher`, the name of the search
    method; `ties_at_k`, the number of documents at the distance of the last result, listed or not (None if all are
    listed).

    Example:
        >>> hits = hashret.Index.open("indexes/mine").search("wheat was dear", k=1)
        >>> hits.exact, hits.ties_at_k, [hit.id for hit in hits]
        (True, 1, ['1'])
    """

    def __init__(
        self,
        hits: Iterable[Hit],
        exact: bool,
        searcher: str,
        ties_at_k: int | None = None,
        terms: Sequence[str] = (),
        language: str | None = None,
    ) -> None:
        super().__init__(hits)
        self.exact = exact
        self.searcher = searcher
        self.ties_at_k = ties_at_k
        self.terms = tuple(terms)  # of the query in this language, to mark words
        self.language = language

    def _repr_html_(self) -> str:
        """A table for a notebook."""
        text: str = import_module("hashret.display").hits_html(self)
        return text
