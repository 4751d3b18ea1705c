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
from hashret.search import searcher

RUN_DEPTH = 1000  # documents a query in a run, as TREC has it


class Coded:
    """Queries encoded: codes, ids and labels, in order."""

    def __init__(self, index: Index, queries: Iterable[Document]) -> None:
        self.ids: list[str] = []
        self.labels: list[tuple[str, ...]] = []
        codes = []
        for batch in batches(track(queries, "encoding queries"), BATCH):
            codes.append(index.encode(batch))
            self.ids += [document.id for document in batch]
            self.labels += [document.labels for document in batch]
        if not codes:
            raise DataError("no queries; give a source that holds some")
        self.codes = np.concatenate(codes)


def evaluate_index(
    index: Index,
    queries: Coded,
    measures: Sequence[str],
    qrels: Mapping[str, Mapping[str, int]] | None = None,
    exclude_self: bool = False,
) -> list[dict[str, Any]]:
    """A row a measure. Relevant is what shares a label with the query, or what the qrels say.

    With `exclude_self` the document that has the query's id is left out of its ranking. Raises DataError where there is
    nothing to measure by.
    """
    ids = index.ids
    positions = {id: position for position, id in enumerate(ids)} if exclude_self else {}
    own = np.array([positions.get(id, -1) for id in queries.ids], np.int64) if exclude_self else None
    if qrels is not None:
        return evaluate_qrels(index.codes, ids, queries.codes, queries.ids, qrels, measures, exclude=own)
    labels = index.labels
    for side, carried in (("queries", queries.labels), ("documents of the index", labels)):
        if not any(carried):
            raise DataError(f"the {side} carry no labels; name the field with --label, or give judgements with --qrels")
    return evaluate(index.codes, labels, queries.codes, queries.labels, measures, exclude=own)


def rankings(index: Index, queries: Coded, exclude_self: bool) -> Iterator[tuple[str, list[str], list[int]]]:
    """For a run: each query's id, and the ids and distances of the nearest documents."""
    ids, flat = index.ids, searcher(index.codes, index.bits)
    for start in range(0, len(queries.ids), BATCH):
        found = flat.search(queries.codes[start : start + BATCH], RUN_DEPTH + exclude_self)
        for id, positions, distances in zip(queries.ids[start:], found.positions, found.distances, strict=False):
            near = [(ids[p], d) for p, d in zip(positions.tolist(), distances.tolist(), strict=True)]
            near = [(own, d) for own, d in near if not (exclude_self and own == id)][:RUN_DEPTH]
            yield id, [own for own, _ in near], [d for _, d in near]
