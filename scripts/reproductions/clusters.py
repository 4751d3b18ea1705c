"""Agreement of clusters and classes; the classes are used for evaluation only."""

from __future__ import annotations

import numpy as np


def together(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the number of documents in each cluster and class: int [n], int [n] -> [clusters, classes]."""
    classes = np.unique(wanted, return_inverse=True)[1]
    counts = np.zeros((found.max() + 1, classes.max() + 1), np.int64)
    np.add.at(counts, (found, classes), 1)
    return counts


def accuracy(found: np.ndarray, wanted: np.ndarray) -> float:
    """Return the accuracy of clusters with the best one-to-one matching to classes (Kuhn 1955)."""
    from scipy.optimize import linear_sum_assignment

    counts = together(found, wanted)
    return float(counts[linear_sum_assignment(-counts)].sum() / len(found))


def purity(found: np.ndarray, wanted: np.ndarray) -> float:
    """Return the purity: the share of documents in the most frequent class of their cluster."""
    return float(together(found, wanted).max(axis=1).sum() / len(found))


def silhouette(codes: np.ndarray, found: np.ndarray) -> float:
    """Return the mean silhouette of clusters [n] of codes [n, bits]; -1 for a single cluster (Rousseeuw 1987)."""
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(codes, found)) if len(set(found.tolist())) > 1 else -1.0
