"""Principal components of dense or sparse features."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashret.errors import DataError
from hashret.features import CSRMatrix, Features, Floats, mean_of

EXACT_DIM = 2048  # up to this dimension, the full covariance matrix is decomposed
SMALL_VALUES = 1 << 22  # up to this number of values, a sparse matrix is made dense


def principal(features: Features, count: int, seed: int) -> tuple[Floats, Floats]:
    """Return the mean [dim] and the principal components [found, dim], found <= min(count, dim, n - 1).

    Components have unit length and are sorted by decreasing variance. They are exact if the matrix or its covariance is
    small, otherwise computed by Lanczos iteration (sparse) or a randomized decomposition (dense; Halko, Martinsson &
    Tropp 2011). Raises DataError for fewer than two documents.
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
        found = min(found, dim - 1)  # limit of Lanczos iteration
    from sklearn.decomposition import PCA

    how = "arpack" if isinstance(matrix, CSRMatrix) else "full" if n * dim <= SMALL_VALUES else "randomized"
    with np.errstate(invalid="ignore"):  # scikit-learn divides by a variance of 0 if all documents are equal
        components = PCA(found, svd_solver=how, random_state=seed).fit(as_scipy(matrix)).components_
    return mean, _signed(components)


def _scatter(matrix: Floats | CSRMatrix, mean: Floats) -> np.ndarray:
    """Return n times the covariance matrix, float64 [dim, dim]."""
    if isinstance(matrix, CSRMatrix):
        sparse = as_scipy(matrix).astype(np.float64)
        centre = mean.astype(np.float64)
        return np.asarray((sparse.T @ sparse).toarray() - len(matrix) * np.outer(centre, centre))
    centred = (matrix - mean).astype(np.float64)
    return np.asarray(centred.T @ centred)


def as_scipy(matrix: Floats | CSRMatrix) -> Any:
    """Return a sparse matrix as a SciPy array, for SciPy and scikit-learn; a dense one unchanged."""
    if not isinstance(matrix, CSRMatrix):
        return matrix
    from scipy.sparse import csr_array

    return csr_array((matrix.data, matrix.indices, matrix.offsets), shape=(len(matrix), matrix.width))


def _signed(directions: np.ndarray) -> Floats:
    """Flip each direction so that its entry of largest size is positive, which makes the signs deterministic."""
    largest = np.abs(directions).argmax(axis=1)
    signs = np.sign(directions[np.arange(len(directions)), largest])
    return np.ascontiguousarray(directions * signs[:, None], dtype=np.float32)
