"""Evaluate rankings by codes, or runs read from files.

All functions return one row per measure: `{"measure": "P@100", "value": 0.561, "worst": 0.55, "best": 0.57,
"queries": 3405}`, the means over the queries of the expected, worst and best value over the orders of ties; for
`P(r=2)` and `R(r=2)` also `"empty"`, the number of queries without a document within the radius.

With labels, all queries with a label count, even if no document has the same label. With qrels, all queries with a
judgement count, as in ir-measures. Other queries are left out, and their number is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence, Sized
from typing import Any

import numpy as np
import numpy.typing as npt

from hashret.codes import Codes, check_codes, hamming
from hashret.errors import DataError, UsageError
from hashret.evaluation.labels import Judgements, Labels, Qrels, Relevance, SharedLabels
from hashret.evaluation.measures import BallPrecision, Measure, parse
from hashret.evaluation.ties import Ints, Ties
from hashret.evaluation.trec import ids_of
from hashret.progress import track

Row = dict[str, Any]
Run = Mapping[str, Mapping[str, float]]  # scores of retrieved documents, by query id and document id

Scores = Callable[[int], npt.NDArray[np.float64]]

CHUNK = 4 << 20  # pairs of query and document at once: about 64 MB with the temporaries of `hamming`

log = logging.getLogger("hashret")


def evaluate(
    codes: Codes,
    labels: Labels,
    query_codes: Codes,
    query_labels: Labels,
    measures: Sequence[str] | str,
    *,
    exclude: npt.NDArray[np.int64] | None = None,
    scores: Scores | None = None,
    known: npt.NDArray[np.bool_] | None = None,
) -> list[Row]:
    """Measure the ranking of codes uint8 [n, w] for query codes [m, w]; documents that share a label are relevant.

    exclude int64 [m]: the position of each query itself among the codes, left out of its ranking; -1 where it is not.
    scores: a function from the number of a query to the scores float64 [n] that the codes' documents are ranked by,
    highest first, instead of by Hamming distance; equal scores are ties. `P(r=2)` and `R(r=2)` go by Hamming distance.
    known bool [m]: a query that is not known, because the index has none of its words, counts with nothing found.
    Raises UsageError for unknown measures, DataError for arrays and labels that do not fit each other.

    Example:
        >>> codes = np.array([[0b1111_0000], [0b1111_0001], [0b0000_1111]], np.uint8)
        >>> [row] = hashret.evaluate(codes, [["a"], ["a"], ["b"]], codes[:1], [["a"]], "P@2")
        >>> row["measure"], row["value"], row["queries"]
        ('P@2', 1.0, 1)
    """
    _check_lengths(labels=labels, codes=codes)
    _check_lengths(query_labels=query_labels, query_codes=query_codes)
    return _evaluate_codes(codes, query_codes, SharedLabels(labels, query_labels), measures, exclude, scores, known)


def evaluate_qrels(
    codes: Codes,
    ids: Sequence[str],
    query_codes: Codes,
    query_ids: Sequence[str],
    qrels: Qrels,
    measures: Sequence[str] | str,
    *,
    exclude: npt.NDArray[np.int64] | None = None,
    scores: Scores | None = None,
    known: npt.NDArray[np.bool_] | None = None,
) -> list[Row]:
    """Like `evaluate`, with judgements: nDCG uses the grades; for other measures, grades of at least 1 are relevant.

    A relevant document that is not in `ids` counts as not retrieved.
    """
    _check_lengths(ids=ids, codes=codes)
    _check_lengths(query_ids=query_ids, query_codes=query_codes)
    relevance = Judgements(ids_of(qrels, query_ids, ids), ids, query_ids)
    return _evaluate_codes(codes, query_codes, relevance, measures, exclude, scores, known)


def evaluate_run(run: Run, qrels: Qrels, measures: Sequence[str] | str, *, exclude_self: bool = False) -> list[Row]:
    """Measure a run with judgements: equal scores are ties, and a judged query that is missing in the run counts 0.

    exclude_self: leave out documents with the id of the query.
    """
    qrels = ids_of(qrels, run.keys(), {document for scores in run.values() for document in scores})
    query_ids = list(qrels)
    ids = list(dict.fromkeys(document for judged in qrels.values() for document in judged))
    run = ids_of(run, query_ids, ids)
    return _evaluate_run(run, ids, query_ids, Judgements(qrels, ids, query_ids), measures, exclude_self)


def evaluate_run_labels(
    run: Run,
    labels: Mapping[str, Collection[str]],
    query_labels: Mapping[str, Collection[str]],
    measures: Sequence[str] | str,
    *,
    exclude_self: bool = False,
) -> list[Row]:
    """Measure a run with labels, given by document id and by query id, see `evaluate_run`.

    Raises DataError if the run has documents without an entry in `labels`.
    """
    run = ids_of(run, query_labels.keys(), labels.keys())
    strangers = {document for scores in run.values() for document in scores if document not in labels}
    if strangers:
        raise DataError(
            f"{len(strangers)} documents of the run are not in the corpus, such as {min(strangers)!r}; "
            "give the corpus that the run was made from"
        )
    relevance = SharedLabels(list(labels.values()), list(query_labels.values()))
    return _evaluate_run(run, list(labels), list(query_labels), relevance, measures, exclude_self)


def _evaluate_codes(
    codes: Codes,
    query_codes: Codes,
    relevance: Relevance,
    names: Sequence[str] | str,
    exclude: Ints | None,
    scores: Scores | None,
    known: npt.NDArray[np.bool_] | None,
) -> list[Row]:
    measures = _parsed(names)
    bits = 8 * np.shape(codes)[-1]
    codes, query_codes = check_codes(codes, bits), check_codes(query_codes, bits, "query codes")
    own = _own_positions(exclude, len(query_codes), len(codes))
    answered = _answered(known, len(query_codes))

    def ties(queries: Ints) -> tuple[Ties, Ties]:
        distances = list(hamming(query_codes[queries], codes))  # q times [n]; a group is a distance
        balls = _ties(_found(distances, answered[queries], bits + 1), own[queries], queries, relevance, bits + 1)
        if scores is None:
            return balls, balls
        groups = [_groups(scores(query)) for query in queries.tolist()]
        number = max(int(group.max(initial=0)) for group in groups) + 1
        groups = [np.where(group < 0, number, group) for group in groups]
        return _ties(_found(groups, answered[queries], number), own[queries], queries, relevance, number), balls

    most = bits + 1 if scores is None else bits + 1 + len(codes)
    return _rows(measures, relevance, len(query_codes), len(codes), most, ties)


def _answered(known: npt.NDArray[np.bool_] | None, queries: int) -> npt.NDArray[np.bool_]:
    """Return which queries retrieve documents, bool [queries], and log the number of those that do not."""
    if known is None:
        return np.ones(queries, bool)
    known = np.asarray(known)
    if known.shape != (queries,) or known.dtype != bool:
        raise DataError(f"known must hold True or False for each of {queries} queries, got {known.dtype} {known.shape}")
    if not known.all():
        log.warning("%d of %d queries have no known words and retrieve nothing", (~known).sum(), queries)
    return known


def _found(groups: list[npt.NDArray[Any]], answered: npt.NDArray[np.bool_], number: int) -> list[npt.NDArray[Any]]:
    """Return the groups of the documents of each query; for unanswered queries all are `number`, not retrieved."""
    return [own if yes else np.full(len(own), number) for own, yes in zip(groups, answered.tolist(), strict=True)]


def _groups(scores: npt.NDArray[np.float64]) -> Ints:
    """The group of each document [n], that of the highest score first; -1 for a score of -inf, which is not found."""
    return np.where(scores > -np.inf, np.unique(-scores, return_inverse=True)[1], -1)


def _evaluate_run(
    run: Run,
    ids: Sequence[str],
    query_ids: Sequence[str],
    relevance: Relevance,
    names: Sequence[str] | str,
    without_self: bool,
) -> list[Row]:
    measures = _parsed(names)
    if balls := [measure.name for measure in measures if isinstance(measure, BallPrecision)]:
        raise UsageError(f"{balls[0]} needs distances, but a run has only scores; use measures without a radius")
    if strangers := len(run.keys() - set(query_ids)):
        log.warning("%d queries of the run are left out: they have no labels or judgements", strangers)
    if absent := sum(query_ids[query] not in run for query in relevance.queries):
        log.warning("%d queries are missing in the run and count 0", absent)
    positions = {document: position for position, document in enumerate(ids)}
    most = max([1, *map(len, run.values())])

    def groups(query: str) -> Ints:
        """Return the group of each id, then of each other document; the last group is for documents not retrieved."""
        scores = dict(run.get(query, {}))
        if without_self:
            scores.pop(query, None)
        group = np.unique(-np.array(list(scores.values()), np.float64), return_inverse=True)[1]
        place = np.array([positions.get(document, -1) for document in scores], np.int64)
        known = np.full(len(ids), most, np.int64)
        known[place[place >= 0]] = group[place >= 0]
        return np.append(known, group[place < 0])

    def ties(queries: Ints) -> tuple[Ties, Ties]:
        names = [query_ids[query] for query in queries]
        own = np.array([positions.get(name, -1) if without_self else -1 for name in names], np.int64)
        ranked = _ties([groups(name) for name in names], own, queries, relevance, most)
        return ranked, ranked

    return _rows(measures, relevance, len(query_ids), len(ids) + most, most, ties)


def _parsed(names: Sequence[str] | str) -> list[Measure]:
    """Return the measures with these names, or with one name."""
    each = [names] if isinstance(names, str) else list(names)
    if not each:
        raise UsageError("measures must be a list of names such as ['P@100'], got none")
    return [parse(name) for name in each]


def _check_lengths(**both: Sized) -> None:
    (one, ones), (other, others) = both.items()
    if len(ones) != len(others):
        raise DataError(f"{one} and {other} must have equal lengths, got {len(ones)} and {len(others)}")


def _own_positions(exclude: Ints | None, queries: int, documents: int) -> Ints:
    own = np.full(queries, -1, np.int64) if exclude is None else np.asarray(exclude)
    if own.shape != (queries,) or own.dtype.kind not in "iu" or ((own < -1) | (own >= documents)).any():
        raise DataError(f"exclude must hold -1 or a position below {documents} for each of {queries} queries")
    return own


def _ties(
    groups: Sequence[npt.NDArray[np.integer]], own: Ints, queries: Ints, relevance: Relevance, number: int
) -> Ties:
    """Count the documents of each query by group; groups are q arrays [n], group `number` is not retrieved."""
    levels = len(relevance.grades)
    counts = np.empty((len(queries), number), np.int64)
    graded = np.empty((len(queries), number, levels), np.int64)
    totals = np.empty((len(queries), levels), np.int64)
    for row, (query, itself) in enumerate(zip(queries.tolist(), own.tolist(), strict=True)):
        group = groups[row]
        count = np.bincount(group, minlength=number + 1)
        positions, level = relevance.relevant(query)
        if itself >= 0:
            count[group[itself]] -= 1
            positions, level = positions[positions != itself], level[positions != itself]
        inside = positions >= 0
        cell = group[positions[inside]].astype(np.int64) * levels + level[inside]
        counts[row] = count[:number]
        graded[row] = np.bincount(cell, minlength=(number + 1) * levels)[: number * levels].reshape(number, levels)
        totals[row] = np.bincount(level, minlength=levels)
    return Ties(counts, graded, totals, relevance.grades)


def _rows(
    measures: Sequence[Measure],
    relevance: Relevance,
    queries: int,
    documents: int,
    groups: int,
    ties: Callable[[Ints], tuple[Ties, Ties]],
) -> list[Row]:
    """Return the means over the queries that can be measured, computed in chunks to limit memory.

    `ties` returns the ties of the rankings, and those for measures with a radius, where a group is a distance.
    """
    measured = relevance.queries
    if not len(measured):
        raise DataError(f"none of {queries} queries has a label or a judgement; check ids, labels and qrels")
    if len(measured) < queries:
        log.warning("%d of %d queries are left out: no label or judgement", queries - len(measured), queries)
    levels = len(relevance.grades)
    size = max(1, CHUNK // max(documents, groups * levels * (levels + 1)))
    starts = range(0, len(measured), size)
    values: list[list[npt.NDArray[np.float64]]] = [[] for _ in measures]
    empty = [0 for _ in measures]
    for start in track(starts, "evaluate", len(starts)):
        ranked, balls = ties(measured[start : start + size])
        for number, measure in enumerate(measures):
            if isinstance(measure, BallPrecision):
                values[number].append(measure.values(balls))
                empty[number] += int((measure.inside(balls.counts) == 0).sum())
            else:
                values[number].append(measure.values(ranked))
    return [_row(*each) for each in zip(measures, values, empty, strict=True)]


def _row(measure: Measure, values: Sequence[npt.NDArray[np.float64]], empty: int) -> Row:
    each = np.concatenate(values, axis=1)  # [3, q]
    value, worst, best = each.mean(axis=1).tolist()
    row = {"measure": measure.name, "value": value, "worst": worst, "best": best, "queries": each.shape[1]}
    return row | {"empty": empty} if isinstance(measure, BallPrecision) else row
