"""Views of texts learned from the corpus itself: what words mean by the company they keep, and latent semantics.

Word vectors. With X the tf-idf matrix of the documents, rows of length 1, so that a long one does not drown the rest,
two words keep company in

    M = X^T X, the diagonal left out
    P[v, w] = max(0, ln(M[v, w] / (M[v] q[w]))),   q ~ M^0.75      positive pointwise mutual information
                                                                   (Levy, Goldberg & Dagan 2015)
and with P ~ U S V^T a word's vector is U S^0.25. Latent semantic analysis: the right singular vectors of the tf-idf
matrix (Deerwester et al. 1990). A document is the sum of its words' vectors, weighted by tf-idf.
"""

from __future__ import annotations

import numpy as np

from hashret.features import CSRMatrix, Floats
from hashret.progress import report
from hashret.projection import as_scipy

SMOOTHING = 0.75  # power of the contexts' frequencies: rare ones count for less
SPREAD = 0.25  # power of the singular values
STRIP = 1000  # words whose company is counted at once


def word_vectors(weights: CSRMatrix, dim: int, seed: int) -> Floats:
    """Vectors of the words of a corpus from the tf-idf of its documents, float32 [words, at most dim]."""
    together = _together(weights)
    kept = min(dim, *together.shape)
    left, values = _decompose(_information(together), kept, seed)[:2]
    return np.ascontiguousarray(left * values**SPREAD, np.float32)


def latent(weights: CSRMatrix, dim: int, seed: int) -> Floats:
    """Directions of greatest weight in a tf-idf matrix, float32 [words, at most dim]."""
    kept = min(dim, len(weights), weights.width)
    return np.ascontiguousarray(_decompose(as_scipy(weights), kept, seed)[2].T, np.float32)


def _together(weights: CSRMatrix) -> Floats:
    """The company that words keep, M [words, words]."""
    documents = as_scipy(weights)
    by_word, together = documents.T.tocsr(), np.empty((weights.width, weights.width), np.float32)
    for start in range(0, weights.width, STRIP):
        together[start : start + STRIP] = (by_word[start : start + STRIP] @ documents).toarray()
        report("learning words", min(start + STRIP, weights.width), weights.width)
    np.fill_diagonal(together, 0)
    return together


def _information(together: Floats) -> Floats:
    """M -> P, in place."""
    margin = together.sum(axis=1)
    context = margin**SMOOTHING
    context /= max(float(context.sum()), 1e-12)
    for row, total in zip(together, margin, strict=True):
        expected = np.maximum(total * context, 1e-12)
        row[:] = np.log(np.maximum(row / expected, 1))
    return together


def _decompose(matrix: object, count: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Truncated singular value decomposition, by a randomized method (Halko, Martinsson & Tropp 2011)."""
    from sklearn.utils.extmath import randomized_svd

    left, values, right = randomized_svd(matrix, count, n_iter=4, random_state=seed)
    return left, values, right
