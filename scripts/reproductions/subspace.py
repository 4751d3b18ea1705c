"""Objects on a turntable as clusters."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hashret.encoders.subspace import Subspace
from hashret.features import Features
from hashret.training import Schedule
from reproductions.clusters import accuracy

BAR = (
    "COIL-20, 1,440 views of 20 objects, 20 clusters, 32 bits. The clusters are computed from the self-expression of "
    "the images. Held out: the net assigns a quarter of the views, and is trained on the rest."
)

SIDE = (1, 32, 32)


def run(seed: int, data: Path, budget: str) -> dict[str, float]:
    """Measure the agreement of clusters and objects on all views, then on held-out views."""
    from scipy.io import loadmat
    from sklearn.metrics import normalized_mutual_info_score

    read = loadmat(data / "coil20" / "COIL20.mat")
    views, objects = read["fea"].astype(np.float32), read["gnd"].ravel()

    def found(learned: np.ndarray, asked: np.ndarray) -> np.ndarray:
        net = Subspace(clusters=20).fit(Features(views[learned], SIDE, "unit"), 32, Schedule(seed=seed))
        return np.asarray(net.assign(views[asked]).argmax(axis=1))

    order = np.random.default_rng(seed).permutation(len(views))
    quarter, rest = np.split(order, [len(views) // 4])
    whole = found(order, order)
    return {
        "accuracy": accuracy(whole, objects[order]),
        "NMI": float(normalized_mutual_info_score(objects[order], whole)),
        "accuracy, held out": accuracy(found(rest, quarter), objects[quarter]),
    }


def reached(figures: dict[str, list[float]]) -> dict[str, bool]:
    """Whether each claim is reached."""
    return {
        "accuracy, the mean, at least .86": float(np.mean(figures["accuracy"])) >= 0.86,
        "NMI, the mean, at least .92": float(np.mean(figures["NMI"])) >= 0.92,
    }
