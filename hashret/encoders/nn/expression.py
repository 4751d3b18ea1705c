"""Self-expression: documents as combinations of other documents, and clusters of the resulting graph."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from hashret.encoders.nn.clusters import k_means, student_t
from hashret.features import CSRMatrix, Floats, unit
from hashret.graph import neighbors
from hashret.projection import as_scipy

Numbers = npt.NDArray[np.int64]

CANDIDATES = 50  # nearest documents used to express a document; others would rarely get a coefficient
KEPT = 10  # largest coefficients kept
STEPS = 100
LINK = 0.01  # weight of links to all documents, which keeps the graph connected


def self_expression(matrix: Floats | CSRMatrix, penalty: float) -> tuple[Numbers, Floats]:
    """Express each document by others: return their numbers [n, k] and coefficients, float32 [n, k], with row norm 1.

    c minimises |x - X c|^2 / 2 + penalty max|X^T x| |c|_1 (sparse subspace clustering, Elhamifar & Vidal 2013) for
    documents of length 1 with X the nearest ones, by accelerated shrinkage (Beck & Teboulle 2009). The norm is |c|_1.
    """
    near = neighbors([matrix], CANDIDATES)  # [n, m]
    known = as_scipy(unit(matrix))
    product = known @ known.T
    inner = np.asarray(product if isinstance(product, np.ndarray) else product.toarray())  # [n, n]
    gram = inner[near[:, :, None], near[:, None, :]]  # [n, m, m]
    towards = np.take_along_axis(inner, near, 1)  # [n, m]
    least = penalty * np.abs(towards).max(axis=1, keepdims=True)
    slope = np.abs(gram).sum(axis=2).max(axis=1, keepdims=True).clip(1e-12)  # upper bound of the eigenvalues
    c, ahead, pace = np.zeros_like(towards), np.zeros_like(towards), 1.0
    for _ in range(STEPS):
        moved = ahead - (np.matmul(gram, ahead[..., None])[..., 0] - towards) / slope
        shrunk = np.sign(moved) * np.maximum(np.abs(moved) - least / slope, 0)
        following = (1 + (1 + 4 * pace**2) ** 0.5) / 2
        ahead = shrunk + (pace - 1) / following * (shrunk - c)
        c, pace = shrunk, following
    order = np.argsort(-np.abs(c), axis=1, kind="stable")[:, :KEPT]
    near, c = np.take_along_axis(near, order, 1), np.take_along_axis(c, order, 1)
    return near, np.asarray(c / np.abs(c).sum(axis=1, keepdims=True).clip(1e-12), np.float32)


def spectral(near: Numbers, share: Floats, clusters: int, seed: int) -> Numbers:
    """Return the cluster of each document in the graph |C| + |C|^T, int64 [n] (Ng, Jordan & Weiss 2002)."""
    from scipy.linalg import eigh

    n = len(near)
    graph = np.zeros((n, n))
    np.add.at(graph, (np.arange(n)[:, None], near), np.abs(share))
    graph = graph + graph.T + LINK / n
    scale = graph.sum(axis=1) ** -0.5
    count = min(clusters, n)
    vectors = eigh(graph * scale * scale[:, None], subset_by_index=[n - count, n - 1])[1]  # [n, count]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
    points = vectors.astype(np.float32)
    found: Numbers = student_t(torch.from_numpy(points), *k_means(points, clusters, seed)).argmax(1).numpy()
    return found
