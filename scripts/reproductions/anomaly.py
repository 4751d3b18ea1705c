"""Data sets with known outliers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.neighbors import NearestNeighbors

from hashret.features import Features, Floats


def outlier_set(data: Path, name: str) -> tuple[Floats, np.ndarray]:
    """Return the standardized rows [n, dim] and the mask of outliers, bool [n], of a data set in anomaly/."""
    with np.load(data / "anomaly" / f"{name}.npz") as parts:
        return standardised(parts["X"]), parts["y"] == 1


def standardised(rows: np.ndarray) -> Floats:
    """Scale each column to mean 0 and variance 1. Constant columns become 0."""
    deviation = rows.std(axis=0, dtype=np.float64)
    return np.asarray((rows - rows.mean(axis=0)) / np.where(deviation > 0, deviation, 1), np.float32)


def as_features(rows: Floats) -> Features:
    """Return the rows as features."""
    return Features(rows, rows.shape[1:], "real")


def fifth_distance(own: Floats, asked: Floats | None = None) -> Floats:
    """Return the distance of each row of `asked` to its fifth neighbour in `own`; by default, of `own` to others."""
    found = NearestNeighbors(n_neighbors=5).fit(own).kneighbors(asked)[0]
    return np.asarray(found[:, -1], np.float32)


def f1(flagged: np.ndarray, outliers: np.ndarray) -> float:
    """Return the F1 score of flagged rows; both arguments are bool [n]."""
    return float(2 * (flagged & outliers).sum() / (flagged.sum() + outliers.sum()))


def f1_of_highest(scores: np.ndarray, outliers: np.ndarray, share: float) -> float:
    """Return the F1 score if the given share of rows with the highest scores is flagged."""
    flagged = np.zeros(len(scores), bool)
    flagged[np.argsort(-scores, kind="stable")[: round(share * len(scores))]] = True
    return f1(flagged, outliers)


def best_f1(scores: np.ndarray, outliers: np.ndarray) -> float:
    """Return the F1 score of the best threshold."""
    found = outliers[np.argsort(-scores, kind="stable")].cumsum()
    return float((2 * found / (np.arange(1, len(scores) + 1) + outliers.sum())).max())
