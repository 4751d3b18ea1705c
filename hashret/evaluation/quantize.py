"""Measure ways to make vectors small: how many of the nearest by cosine each finds, in how many bytes, and how fast."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from hashret.documents import batches
from hashret.errors import DataError, UsageError, unknown
from hashret.evaluation.compression import METHODS, Method, Rescored
from hashret.features import Floats, not_normalized
from hashret.progress import report as tell
from hashret.progress import track
from hashret.quantizer import FIT_ROWS, MOST_BYTES
from hashret.readers.base import Source, shown
from hashret.vectorizers import VECTORIZERS
from hashret.vectorizers.base import State

BYTES = (8, 16, 24, 48)
KS = (1, 10, 100)  # of recall@k
NEAREST = KS[-1]
HELD_OUT, SHARE = 1000, 10  # queries taken from the vectors: at most so many, and at most one in SHARE
OVERSAMPLE = 100
EQUAL = 1e-6  # cosines that differ by less are equal
PAIRS = 1 << 24  # cosines computed at once, 64 MiB
BATCH = 4096  # vectors read at once

log = logging.getLogger("hashret")

Row = dict[str, Any]


def report(
    vectors: npt.ArrayLike,
    queries: npt.ArrayLike | None = None,
    *,
    methods: Sequence[str] | None = None,
    sizes: Sequence[int] | None = None,
    oversample: int = OVERSAMPLE,
    seed: int = 0,
) -> Iterator[Row]:
    """Yield a row per method and size; arguments are checked at once, before the first row is computed.

    Recall@k is the share of the k nearest vectors by cosine that are among the first k found. All methods learn from
    the same vectors, at most 10,000. A method that cannot have a size, or needs more vectors, is left out, and the log
    says why. OPQ may learn another rotation in each run if FAISS has several threads.

    Args:
        vectors: [n, dim], from which methods learn and in which they search.
        queries: [m, dim]. By default, up to 1,000 of the vectors, and at most a tenth of them, are drawn as queries;
            no method learns from these or finds them.
        methods: Names in METHODS; all by default.
        sizes: Bytes per vector, for the methods where they can be chosen. A norm that is stored as well is not counted
            here, but in the column `bytes`. By default 8, 16, 24 and 48, as far as they are at most `dim`.
        oversample: How many of the vectors found `rescored` ranks again.
        seed: Seed of all random numbers.

    Raises:
        UsageError: A method is unknown, or a size is out of range.
        DataError: There are too few vectors, they are all equal, or a value is not finite.
    """
    rows = _directions(vectors, "the vectors")
    asked = None if queries is None else _directions(queries, "the queries")
    if asked is not None and asked.shape[1] != rows.shape[1]:
        raise DataError(f"the queries have {asked.shape[1]} dimensions, the vectors {rows.shape[1]}; give the same")
    plan = _plan(methods, sizes, rows.shape[1], oversample)
    rng = np.random.default_rng(seed)
    if asked is None:
        rows, asked = _held_out(rows, rng)
    if len(rows) <= NEAREST or not len(asked):
        raise DataError(
            f"{len(rows)} vectors and {len(asked)} queries are too few to measure recall@{NEAREST}; "
            f"give more than {NEAREST} vectors besides the queries"
        )
    if np.abs(rows - rows[0]).max() < EQUAL:
        raise DataError(f"all {len(rows)} vectors have the same direction, so they cannot be told apart")
    learned = rows[np.sort(rng.permutation(len(rows))[:FIT_ROWS])]
    return _rows(plan, Task(learned, rows, asked, seed))


def read_vectors(source: Source) -> Floats:
    """Return the vectors of a source, float32 [n, dim]. Raises DataError if it holds something else."""
    if (kind := source.kind) != "vector":
        raise DataError(f"{shown(source.path)} holds {kind}s; give a file of vectors, such as .npy")
    precomputed = VECTORIZERS.get("precomputed")()
    parts: list[Floats] = []
    for batch in batches(track(source, "reading vectors", source.count()), BATCH):
        if not parts:
            precomputed.restore(State({"dim": len(np.asarray(batch[0].content))}))  # fit would warn, as the report does
        parts.append(np.asarray(precomputed.transform(batch).input))
    return np.concatenate(parts)


@dataclass(frozen=True)
class Task:
    """What all methods get, rows of length 1, and the truth."""

    learned: Floats
    rows: Floats
    queries: Floats
    seed: int

    def edges(self) -> Floats:
        """Return the cosine of each query and its k-th nearest row, for each k of KS, [m, len(KS)]."""
        size, parts = max(1, PAIRS // len(self.rows)), []
        for start in range(0, len(self.queries), size):
            cosines = self.queries[start : start + size] @ self.rows.T
            nearest = np.sort(np.partition(cosines, -NEAREST, axis=1)[:, -NEAREST:], axis=1)
            parts.append(nearest[:, [-k for k in KS]])
            tell("finding the nearest vectors", min(start + size, len(self.queries)), len(self.queries))
        return np.concatenate(parts)

    def recalls(self, found: Sequence[npt.NDArray[np.int64]], edges: Floats) -> dict[str, float]:
        """Return the recall@k. Rows that are as near as the k-th nearest count as found, so ties do not matter."""
        right = np.zeros((len(found), len(KS)))
        for number, (positions, query) in enumerate(zip(found, self.queries, strict=True)):
            near = self.rows[positions] @ query
            right[number] = [(near[:k] >= edge - EQUAL).sum() / k for k, edge in zip(KS, edges[number], strict=True)]
        return {f"recall@{k}": round(float(mean), 4) for k, mean in zip(KS, right.mean(axis=0), strict=True)}


Maker = Callable[[Floats, int, int], Method]  # of what to learn from, a size and a seed
Plan = Sequence[tuple[str, int, Maker]]


def _rows(plan: Plan, task: Task) -> Iterator[Row]:
    edges = task.edges()
    for number, (name, size, make) in enumerate(plan):
        tell("comparing methods", number, len(plan), name)
        try:
            yield _measured(name, size, make, task, edges)
        except UsageError as error:
            log.info(f"{name}{f' of {size} bytes' if METHODS[name].sized else ''} is left out: {error}")
    tell("comparing methods", len(plan), len(plan))


def _measured(name: str, size: int, make: Maker, task: Task, edges: Floats) -> Row:
    started = time.perf_counter()
    method = make(task.learned, size, task.seed)
    fitted = time.perf_counter()
    method.add(task.rows)
    added = time.perf_counter()
    found = [method.search(query, NEAREST) for query in task.queries]
    seconds = time.perf_counter() - added
    return {
        "method": name,
        "bytes": method.bytes,
        **task.recalls(found, edges),
        "queries_per_second": round(len(found) / seconds),
        "fit_seconds": round(fitted - started, 2),
    }


def _plan(methods: Sequence[str] | None, sizes: Sequence[int] | None, dim: int, oversample: int) -> Plan:
    """Return the name, size and class of each row. Raises UsageError if an argument is invalid."""
    for name in methods or ():
        if name not in METHODS:
            raise unknown("method", name, list(METHODS))
    most = min(dim, MOST_BYTES)
    for size in sizes or ():
        if not 1 <= size <= most:
            raise UsageError(f"a vector of {dim} dimensions can have 1 to {most} bytes, got {size}")
    if oversample < 1:
        raise UsageError(f"oversample must be at least 1, got {oversample}")
    chosen = sizes or [size for size in BYTES if size <= most] or [most]
    makers: dict[str, Maker] = {**METHODS, "rescored": partial(Rescored, oversample=oversample)}
    return [
        (name, size, makers[name])
        for name in dict.fromkeys(methods or METHODS)
        for size in (dict.fromkeys(chosen) if METHODS[name].sized else [most])
    ]


def _directions(vectors: npt.ArrayLike, what: str) -> Floats:
    """Return the vectors scaled to length 1, without those of zeros. Raises DataError if they are not finite."""
    x = np.asarray(vectors)
    if x.ndim != 2 or x.dtype.kind not in "biuf" or not x.size:
        raise DataError(f"{what} must be numbers [n, dim], got {x.dtype} {x.shape}")
    with np.errstate(over="ignore"):
        x = x.astype(np.float32, copy=False)
    if not np.isfinite(x).all():
        raise DataError(f"{what} hold a NaN, an infinity or a number too large for float32; remove those rows")
    lengths = np.sqrt(np.einsum("nd,nd->n", x, x, dtype=np.float64))
    _check_lengths(lengths, what)
    kept = lengths > 0
    if not kept.all():
        log.warning("%d of %s are zero: they have no direction and are left out of the report", (~kept).sum(), what)
        x, lengths = x[kept], lengths[kept]
    return np.asarray(x / lengths[:, None].astype(np.float32), np.float32)


def _check_lengths(lengths: npt.NDArray[np.float64], what: str) -> None:
    """Warn if most lengths are 1 and some are not: then those may have been forgotten."""
    if (other := not_normalized(lengths)) is not None:
        log.warning(
            "%d of %s do not have length 1, as the others have (%.3g to %.3g); the report compares by cosine, where "
            "lengths do not count",
            *(other.sum(), what, lengths[other].min(), lengths[other].max()),
        )


def _held_out(rows: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return the rows in two: those to search, and those to use as queries."""
    drawn = np.zeros(len(rows), bool)
    drawn[rng.permutation(len(rows))[: min(HELD_OUT, len(rows) // SHARE)]] = True
    return rows[~drawn], rows[drawn]
