"""Objects on a turntable as clusters."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hashret.encoders.subspace import Subspace
from hashret.features import Features, Floats
from hashret.training import Schedule
from reproductions.clusters import accuracy, silhouette

BAR = (
    "COIL-20, 1,440 views of 20 objects, 20 clusters, 32 bits. The clusters are computed from the self-expression of "
    "the images. Held out: the net assigns a quarter of the views, and is trained on the rest."
)

SIDE = (1, 32, 32)


def run(seed: int, data: Path, budget: str) -> dict[str, float]:
    """Measure the agreement of clusters and objects on all views, then on held-out views."""
    from sklearn.metrics import normalized_mutual_info_score

    views, objects = coil(data)

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


def coil(data: Path) -> tuple[Floats, np.ndarray]:
    """Return the views, float32 [n, 1024] from 0 to 1, and the numbers of their objects."""
    from scipy.io import loadmat

    read = loadmat(data / "coil20" / "COIL20.mat")
    return read["fea"].astype(np.float32), read["gnd"].ravel()


def reached(figures: dict[str, list[float]]) -> dict[str, bool]:
    """Whether each claim is reached."""
    return {
        "accuracy, the mean, at least .86": float(np.mean(figures["accuracy"])) >= 0.86,
        "NMI, the mean, at least .92": float(np.mean(figures["NMI"])) >= 0.92,
    }


class Starts:
    """COIL-20: accuracy on held-out views, of fits from several seeds."""

    MEASURE = "accuracy on held-out views of COIL-20"
    OBJECTIVE = "reconstruction error of other held-out views"
    SAID = (
        "The starts do not differ, except by one view of 360, so there is nothing to choose. The clusters are those of "
        "the self-expression of the images, which does not depend on the initial weights."
    )

    def __init__(self, data: Path) -> None:
        views, self.objects = coil(data)
        self.quarter, rest = np.split(np.random.default_rng(0).permutation(len(views)), [len(views) // 4])
        self.views, self.features, self.bits = views, Features(views[rest], SIDE, "unit"), 32
        self.encoder = Subspace(clusters=20)
        self.schedule = Schedule().completed(Subspace.usual)

    def measure(self, net: Subspace) -> float:
        """Return the accuracy on the quarter of the views that nothing saw."""
        return accuracy(net.assign(self.views[self.quarter]).argmax(axis=1), self.objects[self.quarter])

    def others(self, net: Subspace, judged: Features) -> dict[str, float]:
        """Return minus the silhouette of the codes, and the squared distance to the nearest code of the sample."""
        codes, found = net.over(judged.input, net.logits), net.assign(judged.input).argmax(axis=1)
        apart = np.square(codes[:, None] - net.get_buffer("known").numpy()).sum(axis=2).min(axis=1)
        return {"minus the silhouette": -silhouette(codes, found), "distance to the nearest code": float(apart.mean())}
