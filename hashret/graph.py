"""Nearest-neighbour graph of documents, by the sum of the cosine similarities of several views.

Up to `EXACT` documents, all pairs are compared. With more, a FAISS inverted-file index on the dense views proposes
candidates, and only those are compared; the time then grows as n sqrt(n) instead of n squared.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # two OpenMP pools that busy-wait slow each other down

import numpy as np
import numpy.typing as npt

from hashret.features import CSRMatrix, Floats, unit
from hashret.progress import report
from hashret.projection import as_scipy

KNNGraph = npt.NDArray[np.int64]  # [n, k], nearest first
Numbers = npt.NDArray[np.int64]  # numbers of documents
View = Floats | CSRMatrix  # [n, dim]

EXACT = 20_000  # largest number of documents for which all pairs are compared
PAIRS = 1 << 24  # pairs compared at once
CANDIDATES = 8  # candidates per neighbour
PROBED = 16  # inverted lists searched per document
POINTS = 16  # training points per inverted list
SKETCH = 256  # dimensions of the random projection of a sparse view, used to find candidates


def neighbors(views: Sequence[View], k: int, exact: bool | None = None) -> KNNGraph:
    """Return the min(k, n - 1) nearest neighbours of each of n documents, without itself; a single one gets itself.

    With `exact` None, the result is exact up to EXACT documents. Ties are in order of position.
    """
    n = len(views[0])
    if n == 1:
        return np.zeros((1, 1), np.int64)
    known = [unit(view) for view in views]
    k = min(k, n - 1)
    return _exact(known, np.arange(n), k) if exact or (exact is None and n <= EXACT) else _approximate(known, k)


def nearest(views: Sequence[View], rows: Numbers, k: int) -> KNNGraph:
    """Return the min(k, n - 1) nearest neighbours of these documents only, int64 [len(rows), k]; always exact."""
    n = len(views[0])
    return _exact([unit(view) for view in views], rows, min(k, n - 1)) if n > 1 else np.zeros((1, 1), np.int64)


def _exact(views: Sequence[View], rows: Numbers, k: int) -> KNNGraph:
    """Find neighbours by comparing with all documents, in chunks."""
    n = len(views[0])
    known = [as_scipy(view) for view in views]
    size, found = max(1, PAIRS // n), np.empty((len(rows), k), np.int64)
    for start in range(0, len(rows), size):
        own = rows[start : start + size]
        near = np.zeros((len(own), n), np.float32)
        for view in known:
            product = view[own] @ view.T
            near += product if isinstance(product, np.ndarray) else product.toarray()
        near[np.arange(len(own)), own] = -np.inf
        found[start : start + size] = _nearest(near, k)
        report("finding neighbours", start + len(own), len(rows))
    return found


def _nearest(near: Floats, k: int) -> KNNGraph:
    """Return the columns of the k largest values of each row, largest first, ties in order of position."""
    some = np.sort(np.argpartition(near, -k, axis=1)[:, -k:], axis=1)
    edges = np.take_along_axis(near, some, 1).min(axis=1, keepdims=True)
    for row in np.flatnonzero((near >= edges).sum(axis=1) > k):  # there are ties with the last neighbour
        some[row] = np.sort(np.argsort(-near[row], kind="stable")[:k])
    order = np.argsort(-np.take_along_axis(near, some, 1), axis=1, kind="stable")
    return np.take_along_axis(some, order, 1)


def _approximate(views: Sequence[View], k: int) -> KNNGraph:
    """Find neighbours by comparing with candidates only."""
    import faiss

    dense = np.concatenate([_sketch(view) for view in views], axis=1)
    n, dim = dense.shape
    # with dense views only, the index already ranks by the sum of cosines
    wanted = CANDIDATES * k + 1 if any(isinstance(view, CSRMatrix) for view in views) else k + 1
    lists = int(4 * n**0.5)
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.min_points_per_centroid = 1  # prevents a warning of FAISS on the terminal
    index.train(dense[:: max(1, n // (POINTS * lists))])
    index.add(dense)
    index.nprobe = PROBED
    size, found = max(1, PAIRS // (dim * CANDIDATES * k)) * 8, np.empty((n, k), np.int64)
    for start in range(0, n, size):
        rows = np.arange(start, min(start + size, n))
        candidates = index.search(dense[rows], min(wanted, n))[1]
        near = np.zeros(candidates.shape, np.float32)
        for view in views:
            near += _cosines(view, rows, candidates)
        near[(candidates < 0) | (candidates == rows[:, None])] = -np.inf
        found[rows] = np.take_along_axis(candidates, _nearest(near, k), 1)
        report("finding neighbours", int(rows[-1]) + 1, n)
    return np.where(found < 0, np.arange(n)[:, None], found)  # too few candidates: fill with the document itself


def _cosines(view: View, rows: Numbers, candidates: KNNGraph) -> Floats:
    """Return the products of rows [r] with their candidates [r, c] -> [r, c]; arbitrary for missing candidates (-1)."""
    there = np.maximum(candidates, 0)
    if isinstance(view, CSRMatrix):
        near = np.empty(candidates.shape, np.float32)
        whole = as_scipy(view)
        for row, own in enumerate(there):
            near[row] = (whole[own] @ whole[rows[row] : rows[row] + 1].T).toarray().ravel()
        return near
    return np.asarray(np.einsum("rcd,rd->rc", view[there], view[rows], optimize=True), np.float32)


def _sketch(view: View) -> Floats:
    """Random projection of a sparse view that preserves products on average (Johnson & Lindenstrauss 1984)."""
    if not isinstance(view, CSRMatrix):
        return view
    directions = np.random.default_rng(0).standard_normal((view.width, SKETCH), np.float32) / np.float32(SKETCH**0.5)
    return np.asarray(as_scipy(view) @ directions, np.float32)
