"""Views of texts learned from the corpus: word vectors from co-occurrence, and latent semantic analysis.

Word vectors. With the tf-idf matrix X of the documents, rows scaled to length 1 so that long documents do not dominate,
the co-occurrence of words is

    M = X^T X, without the diagonal
    P[v, w] = max(0, ln(M[v, w] / (M[v] q[w]))),   q ~ M^0.75      positive pointwise mutual information
                                                                   (Levy, Goldberg & Dagan 2015)
and with P ~ U S V^T, the word vectors are U S^0.25. Latent semantic analysis uses the right singular vectors of the
tf-idf matrix (Deerwester et al. 1990). A document is the tf-idf-weighted sum of its word vectors.
"""

from __future__ import annotations

import numpy as np

from hashret.features import CSRMatrix, Floats
from hashret.progress import report
from hashret.projection import as_scipy

SMOOTHING = 0.75  # power of context frequencies, which reduces the weight of rare contexts
SPREAD = 0.25  # power of the singular values
STRIP = 1000  # words per chunk of the co-occurrence matrix


def word_vectors(weights: CSRMatrix, dim: int, seed: int) -> Floats:
    """Return word vectors computed from the tf-idf matrix of a corpus, float32 [words, at most dim]."""
    together = _together(weights)
    kept = min(dim, *together.shape)
    left, values = _decompose(_information(together), kept, seed)[:2]
    return np.ascontiguousarray(left * values**SPREAD, np.float32)


def latent(weights: CSRMatrix, dim: int, seed: int) -> Floats:
    """Return the first right singular vectors of a tf-idf matrix, float32 [words, at most dim]."""
    kept = min(dim, len(weights), weights.width)
    return np.ascontiguousarray(_decompose(as_scipy(weights), kept, seed)[2].T, np.float32)


def _together(weights: CSRMatrix) -> Floats:
    """Return the co-occurrence matrix M [words, words]."""
    documents = as_scipy(weights)
    by_word, together = documents.T.tocsr(), np.empty((weights.width, weights.width), np.float32)
    for start in range(0, weights.width, STRIP):
        together[start : start + STRIP] = (by_word[start : start + STRIP] @ documents).toarray()
        report("learning words", min(start + STRIP, weights.width), weights.width)
    np.fill_diagonal(together, 0)
    return together


def _information(together: Floats) -> Floats:
    """Convert M to P in place."""
    margin = together.sum(axis=1)
    context = margin**SMOOTHING
    context /= max(float(context.sum()), 1e-12)
    for row, total in zip(together, margin, strict=True):
        expected = np.maximum(total * context, 1e-12)
        row[:] = np.log(np.maximum(row / expected, 1))
    return together


def _decompose(matrix: object, count: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Return a truncated singular value decomposition by a randomized method (Halko, Martinsson & Tropp 2011)."""
    from sklearn.utils.extmath import randomized_svd

    left, values, right = randomized_svd(matrix, count, n_iter=4, random_state=seed)
    return left, values, right
