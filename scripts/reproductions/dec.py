"""Digits as clusters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from hashret.encoders.dec import DEC
from hashret.features import Features
from hashret.training import Schedule, seeded
from reproductions.clusters import accuracy, silhouette
from reproductions.mnist import SIDE, mnist

BAR = "MNIST, all 70,000 digits, 10 clusters in 10 dimensions; accuracy with the best matching of clusters to digits."
TRIED = (
    "With the small budget, two seeds reach the published accuracy, with .844 and .856. The third has .744 after the "
    "autoencoder and ends at .775: the clustering phase adds about .04 to the first phases, but cannot separate "
    "digits that they merged. Its learning rate of 3e-3 was first chosen by the accuracy of seed 2. The "
    "reconstruction error of held-out digits, which needs no labels, chooses the same rate: on 11,000 digits, four "
    "seeds, the squared error of an image is 13.2 at 3e-3 and 14.3 at 1e-3, or 12.7 and 13.5 if the mean is "
    "subtracted. It is not subtracted, as published. At 1e-3, the small budget has .766 and .789 with seed 0. A "
    "clustering phase of four times the length raised .791 to .803. With SGD and momentum, the autoencoder had .654. "
    "The published budget is four and a half times as long, with the default learning rate of 1e-3. It is no better: "
    "its autoencoders have .767 to .770, and clustering adds .05.\n\n"
    "The best of four starts is worse than one start on all 70,000 digits: after a quarter of these 5,480 steps, the "
    "starts with the lowest reconstruction error have the fewest digits right. In two of three runs, `n_init` kept a "
    "start with .69, where the best had .80 and .78. The agreement of clusters with those of the other starts would "
    "have kept the best ones there, but a start that is good then need not end well: .80, .78 and .72 became .775, "
    ".844 and .856. Fits of at most 600 steps, the default, are like those of the table of starts, where the "
    "objective does rank them."
)
STARTS = 4
CALM = 1e-3  # the learning rate of the clustering phase is a tenth of this

SCHEDULES = {  # a layer takes a quarter of the epochs
    "small": Schedule(
        epochs=40, batch_size=512, learning_rate=3e-3, min_steps=1, max_steps=10**6, validation_fraction=0.0
    ),
    "published": Schedule(
        epochs=180, batch_size=256, learning_rate=1e-3, min_steps=1, max_steps=10**6, validation_fraction=0.0
    ),
}


def run(seed: int, data: Path, budget: str) -> dict[str, float]:
    """Measure the accuracy of k-means on the autoencoder's codes, and after the clustering phase."""
    features, digits = everything(data)
    schedule, net = replace(SCHEDULES[budget], seed=seed), DEC(clusters=10, centre=False)
    with seeded(seed):
        net.pretrain(features, 10, schedule)
        before = net.assign(features.input).argmax(axis=1)
        net.gather(features, replace(schedule, learning_rate=CALM))
    after = net.assign(features.input).argmax(axis=1)
    return {"autoencoder + k-means": accuracy(before, digits), "accuracy": accuracy(after, digits)}


def restarts(seed: int, data: Path, budget: str) -> dict[str, float]:
    """Measure the same from the best of several starts."""
    net = DEC(clusters=10, centre=False, n_init=STARTS)
    best = net.best_seed(everything(data)[0], 10, replace(SCHEDULES[budget], seed=seed))
    return {f"{figure}, best of {STARTS} starts": value for figure, value in run(best, data, budget).items()}


def everything(data: Path) -> tuple[Features, np.ndarray]:
    """Return all images, as published scaled but not centred, with squared error, and their digits."""
    parts = [mnist(data, part) for part in ("train", "t10k")]
    images, digits = (np.concatenate(both) for both in zip(*parts, strict=True))
    return Features(images, SIDE, "real"), digits


def reached(figures: dict[str, list[float]]) -> dict[str, bool]:
    """Check for the published accuracy, and that each seed exceeds the autoencoder alone."""
    gains = np.subtract(figures["accuracy"], figures["autoencoder + k-means"])
    claims = {
        f"{name}, the mean, at least .843": float(np.mean(values)) >= 0.843
        for name, values in figures.items()
        if name.startswith("accuracy")
    }
    return claims | {"each at least .01 above the autoencoder and k-means": bool((gains >= 0.01).all())}


class Starts:
    """A sixth of MNIST: accuracy of fits from several seeds."""

    MEASURE = "accuracy on 11,000 digits, a batch size of 256 and 20 epochs"
    OBJECTIVE = "reconstruction error and divergence of held-out digits"
    SAID = (
        "The objective after a quarter of the steps, which `n_init` uses, ranks the starts; after all steps, it ranks "
        "them the other way round. With a learning rate of 1e-3, its correlations are .55 and -.33, and those of the "
        "agreement of clusters with those of the other starts (adjusted Rand index) .10 and -.21."
    )

    def __init__(self, data: Path) -> None:
        self.images, self.digits = mnist(data, "train", 11000)
        self.features, self.bits = Features(self.images, SIDE, "real"), 10
        self.encoder = DEC(clusters=10, centre=False)
        self.schedule = replace(SCHEDULES["small"], epochs=20, batch_size=256)

    def measure(self, net: DEC) -> float:
        """Return the accuracy on all of these digits."""
        return accuracy(net.assign(self.images).argmax(axis=1), self.digits)

    def others(self, net: DEC, judged: Features) -> dict[str, float]:
        """Return the two parts of the objective, and minus the silhouette of the codes."""
        error = float(net.outlier_scores(judged.input).mean())
        found = net.assign(judged.input).argmax(axis=1)
        return {
            "reconstruction error": error,
            "divergence": net.objective(judged) - error,
            "minus the silhouette": -silhouette(net.over(judged.input, net.logits), found),
        }
