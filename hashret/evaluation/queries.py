"""Evaluation of an index: queries with labels or judgements against the documents that it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hashret.documents import Document, batches
from hashret.errors import DataError
from hashret.evaluation.evaluate import evaluate, evaluate_qrels
from hashret.hasher import BATCH
from hashret.index import Index
from hashret.progress import track
from hashret.queries import EncodedQueries, concatenate_queries
from hashret.ranking.score import By, Weights
from hashret.search import searcher

RUN_DEPTH = 1000  # documents per query in a run, as in TREC


class RankedQueries:
    """Queries, and how an index ranks its documents for each of them.

    `by`, `weights` and `oversample` are as for `Index.search`. By "codes" alone the Hamming distance ranks.
    `likeness`: the queries are examples of what is sought and not questions, as for `Index.like`.
    """

    def __init__(
        self,
        index: Index,
        queries: Iterable[Document],
        by: By = None,
        weights: Weights = None,
        likeness: bool = False,
        oversample: int | None = None,
    ) -> None:
        self.index, self.scoring = index, index._scoring(by, weights, oversample, likeness)
        self.documents: list[Document] = []
        parts: list[EncodedQueries] = []
        for batch in batches(track(queries, "encoding queries"), BATCH):
            parts.append(index._encode(batch))
            self.documents += batch
        if not parts:
            raise DataError("no queries; give at least one")
        self.encoded = concatenate_queries(parts)
        self.codes, known = self.encoded.codes, self.encoded.known
        self.known = np.ones(len(self.codes), bool) if known is None else known
        if "words" in self.scoring.parts and (words := index._ranking.words) is not None:
            self.known = self.known | [words.knows(terms) for terms in self.encoded.terms]

    @property
    def ids(self) -> list[str]:
        """The ids of the queries."""
        return [document.id for document in self.documents]

    @property
    def labels(self) -> list[tuple[str, ...]]:
        """The labels of the queries."""
        return [document.labels for document in self.documents]

    @property
    def by_codes(self) -> bool:
        """Whether the Hamming distance alone ranks."""
        return self.scoring.parts == ("codes",)

    def scores(self, number: int) -> npt.NDArray[np.float64]:
        """The scores of all documents of the index for a query, float64 [n]; -inf for those that are not found."""
        scored = self.index._scored(self.encoded.question(number), self.scoring)
        return scored.scores if scored.found is None else np.where(scored.found, scored.scores, -np.inf)


def evaluate_index(
    index: Index,
    queries: RankedQueries,
    measures: Sequence[str],
    qrels: Mapping[str, Mapping[str, int]] | None = None,
    exclude_self: bool = False,
) -> list[dict[str, Any]]:
    """A row a measure. A document is relevant if it shares a label with the query, or if the qrels say so.

    With `exclude_self` the document that has the query's id is left out of its ranking. Raises DataError if there is
    nothing to measure by.
    """
    ids = index.ids
    positions = {id: position for position, id in enumerate(ids)} if exclude_self else {}
    own = np.array([positions.get(id, -1) for id in queries.ids], np.int64) if exclude_self else None
    scores = None if queries.by_codes else queries.scores
    how: dict[str, Any] = {"exclude": own, "scores": scores, "known": queries.known}
    if qrels is not None:
        return evaluate_qrels(index.codes, ids, queries.codes, queries.ids, qrels, measures, **how)
    labels = index.labels
    for side, carried in (("queries", queries.labels), ("documents of the index", labels)):
        if len(carried) and not any(carried):
            raise DataError(f"the {side} carry no labels; name the field (label) or give judgements (qrels)")
    return evaluate(index.codes, labels, queries.codes, queries.labels, measures, **how)


def rankings(index: Index, queries: RankedQueries, exclude_self: bool) -> Iterator[tuple[str, list[str], list[float]]]:
    """For a run: each query's id, the ids of its best documents, and numbers that order them, lowest first.

    Queries that have no known word have no result and are left out.
    """
    ids = index.ids
    there = set(ids) if exclude_self else set()
    depths = [RUN_DEPTH + (id in there) for id in queries.ids]
    best = _nearest(index, queries, depths) if queries.by_codes else _best(queries, depths)
    for id, answered, (positions, numbers) in zip(queries.ids, queries.known.tolist(), best, strict=True):
        if not answered:
            continue
        near = [(ids[p], d) for p, d in zip(positions, numbers, strict=True)]
        near = [(own, d) for own, d in near if not (exclude_self and own == id)][:RUN_DEPTH]
        yield id, [own for own, _ in near], [d for _, d in near]


def _nearest(index: Index, queries: RankedQueries, depths: Sequence[int]) -> Iterator[tuple[list[int], list[float]]]:
    """Positions and Hamming distances of so many documents nearest to each query, or of some more."""
    flat = searcher(index.codes, index.bits)
    for start in range(0, len(queries.ids), BATCH):
        found = flat.search(queries.codes[start : start + BATCH], max(depths))
        yield from zip(found.positions.tolist(), found.distances.tolist(), strict=True)


def _best(queries: RankedQueries, depths: Sequence[int]) -> Iterator[tuple[list[int], list[float]]]:
    """Positions of so many documents with the highest scores for each query, and the scores with their sign turned."""
    for number, depth in enumerate(depths):
        scores = queries.scores(number)
        found = np.flatnonzero(scores > -np.inf)
        order = found[np.argsort(-scores[found], kind="stable")[:depth]]
        yield order.tolist(), (-scores[order]).tolist()
