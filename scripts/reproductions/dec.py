"""Digits as clusters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from hashret.encoders.dec import DEC
from hashret.features import Features
from hashret.training import Schedule, seeded
from reproductions.clusters import accuracy
from reproductions.mnist import SIDE, mnist

BAR = "MNIST, all 70,000 digits, 10 clusters in 10 dimensions; accuracy under the best match of clusters to digits."
TRIED = (
    "Two seeds reach it, .844 and .856; the third, whose autoencoder has .744, comes to .775: gathering adds some "
    ".04 to what the first phases found and cannot part what they left together. Rate and scaling were chosen on "
    "seed 2, its accuracy in sight, the others not looked at: at a rate of 1e-3 its autoencoder alone has .757 with "
    "the mean taken off the images and .767 without, as published; at 3e-3 .724 and .798. With the first of "
    "these, three seeds had .805 in the end. Gathering four times as long then moved .791 to .803; SGD with "
    "momentum left the autoencoder at .654. The published budget, four times as long, was not run."
)
CALM = 1e-3  # of which a tenth is the rate while codes gather

SCHEDULES = {  # a layer takes a quarter of the epochs
    "small": Schedule(
        epochs=40, batch_size=512, learning_rate=3e-3, min_steps=1, max_steps=10**6, validation_fraction=0.0
    ),
    "published": Schedule(
        epochs=180, batch_size=256, learning_rate=1e-3, min_steps=1, max_steps=10**6, validation_fraction=0.0
    ),
}


def run(seed: int, data: Path, budget: str) -> dict[str, float]:
    """Accuracy by k-means over the autoencoder's codes, and after they gathered about the centres."""
    parts = [mnist(data, part) for part in ("train", "t10k")]
    images, digits = (np.concatenate(both) for both in zip(*parts, strict=True))
    features = Features(images, SIDE, "real")  # scaled but not centred, compared by squared error: as published
    schedule, net = replace(SCHEDULES[budget], seed=seed), DEC(clusters=10, centre=False)
    with seeded(seed):
        net.pretrain(features, 10, schedule)
        before = net.assign(images).argmax(axis=1)
        net.gather(features, replace(schedule, learning_rate=CALM))
    after = net.assign(images).argmax(axis=1)
    return {"autoencoder + k-means": accuracy(before, digits), "accuracy": accuracy(after, digits)}


def reached(figures: dict[str, list[float]]) -> dict[str, bool]:
    """The published accuracy, and more than the autoencoder alone, each time."""
    gains = np.subtract(figures["accuracy"], figures["autoencoder + k-means"])
    return {
        "accuracy, the mean, at least .843": float(np.mean(figures["accuracy"])) >= 0.843,
        "each at least .01 above the autoencoder and k-means": bool((gains >= 0.01).all()),
    }
