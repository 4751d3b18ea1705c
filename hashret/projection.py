"""Projection: principal components of dense or sparse features."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashret.errors import DataError
from hashret.features import CSRMatrix, Features, Floats, mean_of

EXACT_DIM = 2048  # up to here the covariance matrix is small enough to decompose whole
SMALL_VALUES = 1 << 22  # up to here a sparse matrix may as well be dense


def principal(features: Features, count: int, seed: int) -> tuple[Floats, Floats]:
    """Mean [dim] and the directions of greatest variance [found, dim], found <= min(count, dim, n - 1).

    Centred, unit length, greatest first; exact where the matrix or its covariance is small, else by Lanczos iteration
    (sparse) or a randomized decomposition (dense; Halko, Martinsson & Tropp 2011).
    """
    matrix = features.input
    n, dim = len(matrix), int(np.prod(features.shape))
    if n < 2:
        raise DataError(f"principal components need at least 2 documents, got {n}; add documents")
    mean, found = mean_of(matrix), min(count, dim, n - 1)
    if isinstance(matrix, CSRMatrix) and n * dim <= SMALL_VALUES:
        matrix = matrix.dense()
    if dim <= EXACT_DIM:
        _, vectors = np.linalg.eigh(_scatter(matrix, mean))
        return mean, _signed(vectors[:, ::-1][:, :found].T)
    if isinstance(matrix, CSRMatrix):
        found = min(found, dim - 1)  # as many as Lanczos iteration can find
    from sklearn.decomposition import PCA

    how = "arpack" if isinstance(matrix, CSRMatrix) else "full" if n * dim <= SMALL_VALUES else "randomized"
    with np.errstate(invalid="ignore"):  # equal documents have no variance to take shares of
        components = PCA(found, svd_solver=how, random_state=seed).fit(as_scipy(matrix)).components_
    return mean, _signed(components)


def _scatter(matrix: Floats | CSRMatrix, mean: Floats) -> np.ndarray:
    """n times the covariance matrix, float64 [dim, dim]."""
    if isinstance(matrix, CSRMatrix):
        sparse = as_scipy(matrix).astype(np.float64)
        centre = mean.astype(np.float64)
        return np.asarray((sparse.T @ sparse).toarray() - len(matrix) * np.outer(centre, centre))
    centred = (matrix - mean).astype(np.float64)
    return np.asarray(centred.T @ centred)


def as_scipy(matrix: Floats | CSRMatrix) -> Any:
    """The same matrix as scipy and scikit-learn know it."""
    if not isinstance(matrix, CSRMatrix):
        return matrix
    from scipy.sparse import csr_array

    return csr_array((matrix.data, matrix.indices, matrix.offsets), shape=(len(matrix), matrix.width))


def _signed(directions: np.ndarray) -> Floats:
    """Each direction turned so that its largest entry is positive: the same data always give the same signs."""
    largest = np.abs(directions).argmax(axis=1)
    signs = np.sign(directions[np.arange(len(directions)), largest])
    return np.ascontiguousarray(directions * signs[:, None], dtype=np.float32)
