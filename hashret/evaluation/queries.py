"""Evaluation of an index: queries with labels or judgements against what it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hashret.documents import Document, batches
from hashret.errors import DataError
from hashret.evaluation.evaluate import evaluate, evaluate_qrels
from hashret.hasher import BATCH
from hashret.index import Index
from hashret.progress import track
from hashret.queries import EncodedQueries, concatenate_queries
from hashret.search import searcher
from hashret.search.rerank import Reranked

RUN_DEPTH = 1000  # documents a query in a run, as TREC has it


class Coded:
    """Queries encoded: codes, ids and labels, in order; with `rerank` also what to re-rank by."""

    def __init__(self, index: Index, queries: Iterable[Document], rerank: bool = False) -> None:
        self.ids: list[str] = []
        self.labels: list[tuple[str, ...]] = []
        parts: list[EncodedQueries] = []
        for batch in batches(track(queries, "encoding queries"), BATCH):
            parts.append(index.encode_queries(batch, rerank))
            self.ids += [document.id for document in batch]
            self.labels += [document.labels for document in batch]
        if not parts:
            raise DataError("no queries; give a source that holds some")
        self.encoded = concatenate_queries(parts)
        self.codes, self.reranks = self.encoded.codes, self.encoded.margins is not None


def evaluate_index(
    index: Index,
    queries: Coded,
    measures: Sequence[str],
    qrels: Mapping[str, Mapping[str, int]] | None = None,
    exclude_self: bool = False,
) -> list[dict[str, Any]]:
    """A row a measure. Relevant is what shares a label with the query, or what the qrels say.

    With `exclude_self` the document that has the query's id is left out of its ranking. Queries that bring the numbers
    for it are re-ranked. Raises DataError where there is nothing to measure by.
    """
    ids = index.ids
    positions = {id: position for position, id in enumerate(ids)} if exclude_self else {}
    own = np.array([positions.get(id, -1) for id in queries.ids], np.int64) if exclude_self else None
    finer = index.finer(queries.encoded) if queries.reranks else None
    by: dict[str, Any] = {"exclude": own, "finer": finer, "known": queries.encoded.known}
    if qrels is not None:
        return evaluate_qrels(index.codes, ids, queries.codes, queries.ids, qrels, measures, **by)
    labels = index.labels
    for side, carried in (("queries", queries.labels), ("documents of the index", labels)):
        if len(carried) and not any(carried):
            raise DataError(f"the {side} carry no labels; name the field (label) or give judgements (qrels)")
    return evaluate(index.codes, labels, queries.codes, queries.labels, measures, **by)


def rankings(index: Index, queries: Coded, exclude_self: bool) -> Iterator[tuple[str, list[str], list[float]]]:
    """For a run: each query's id, and the ids of the nearest documents with the distances that order them.

    Queries that have no known word have no answer and are left out.
    """
    ids = index.ids
    there = set(ids) if exclude_self else set()
    depths = [RUN_DEPTH + (id in there) for id in queries.ids]
    known = [True] * len(queries.ids) if queries.encoded.known is None else queries.encoded.known.tolist()
    nearest = _nearest(index, queries, depths)
    for id, answered, (positions, distances) in zip(queries.ids, known, nearest, strict=True):
        if not answered:
            continue
        near = [(ids[p], d) for p, d in zip(positions, distances, strict=True)]
        near = [(own, d) for own, d in near if not (exclude_self and own == id)][:RUN_DEPTH]
        yield id, [own for own, _ in near], [d for _, d in near]


def _nearest(index: Index, queries: Coded, depths: Sequence[int]) -> Iterator[tuple[list[int], list[float]]]:
    """Positions and distances of so many documents nearest to each query, or of some more."""
    flat = searcher(index.codes, index.bits)
    if not queries.reranks:
        for start in range(0, len(queries.ids), BATCH):
            found = flat.search(queries.codes[start : start + BATCH], max(depths))
            yield from zip(found.positions.tolist(), found.distances.tolist(), strict=True)
        return
    for query, depth in enumerate(depths):
        finer = index.finer(queries.encoded.part(slice(query, query + 1)))
        found = Reranked(flat, finer, depth).search(queries.codes[query : query + 1], depth)
        assert found.finer is not None
        yield found.positions[0].tolist(), found.finer[0].tolist()
