"""Views of texts learned from the corpus itself: what words mean by the company they keep, and latent semantics.

Word vectors. With B[d, w] = 1 where document d holds word w, and c[d] its number of words, two words go together

    M[v, w] = sum_d B[d, v] B[d, w] / c[d]                         so that long documents do not drown the rest
    P[v, w] = max(0, ln(M[v, w] / (M[v] q[w]))),   q ~ M^0.75      positive pointwise mutual information
                                                                   (Levy, Goldberg & Dagan 2015)
and with P ~ U S V^T a word's vector is U S^0.25. Latent semantic analysis: the right singular vectors of the tf-idf
matrix (Deerwester et al. 1990). A document is the sum of its words' vectors, weighted by tf-idf.
"""

from __future__ import annotations

import numpy as np

from hashret.features import Floats, Rows
from hashret.parts.projection import as_scipy
from hashret.progress import report

SMOOTHING = 0.75  # power of the contexts' frequencies: rare ones count for less
SPREAD = 0.25  # power of the singular values
STRIP = 1000  # words whose company is counted at once


def word_vectors(counts: Rows, dim: int, seed: int) -> Floats:
    """Vectors of the words of a corpus from their counts in its documents, float32 [words, at most dim]."""
    together = _together(counts)
    kept = min(dim, *together.shape)
    left, values = _decompose(_information(together), kept, seed)[:2]
    return np.ascontiguousarray(left * values**SPREAD, np.float32)


def latent(weights: Rows, dim: int, seed: int) -> Floats:
    """Directions of greatest weight in a tf-idf matrix, float32 [words, at most dim]."""
    kept = min(dim, len(weights), weights.width)
    return np.ascontiguousarray(_decompose(as_scipy(weights), kept, seed)[2].T, np.float32)


def _together(counts: Rows) -> Floats:
    """How much any two words go together, M [words, words], the diagonal left out."""
    held = as_scipy(Rows(np.ones_like(counts.data), counts.indices, counts.offsets, counts.width))
    share = 1 / np.maximum(np.diff(counts.offsets), 1)
    by_document = as_scipy(
        Rows(np.repeat(share, np.diff(counts.offsets)).astype(np.float32), counts.indices, counts.offsets, counts.width)
    )
    by_word, together = held.T.tocsr(), np.empty((counts.width, counts.width), np.float32)
    for start in range(0, counts.width, STRIP):
        together[start : start + STRIP] = (by_word[start : start + STRIP] @ by_document).toarray()
        report("learning words", min(start + STRIP, counts.width), counts.width)
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
