"""The autoencoder of Hinton & Salakhutdinov (2006): 784-1000-500-250-30, pretrained."""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from hashret.encoders import ENCODERS
from hashret.features import Floats
from hashret.projection import principal
from hashret.training import Schedule
from reproductions.mnist import as_features, mnist

BAR = "MNIST; squared error per test image, and accuracy of a 15-nearest-neighbour classifier in two dimensions."
HIDDEN, BITS = "1000,500,250", 30


def run(seed: int, data: Path, budget: str) -> dict[str, float]:
    """Measure errors of the net with and without pretraining and of principal components; then accuracies in 2-D."""
    (own, labels), (others, theirs) = mnist(data, "train"), mnist(data, "t10k")
    epochs, batch, share = (30, 256, 1 / 3) if budget == "small" else (200, 100, 0.25)
    schedule = Schedule(
        seed=seed, epochs=epochs, batch_size=batch, learning_rate=1e-3, max_steps=10**9, validation_fraction=0
    )

    def fit(bits: int, pretraining: float) -> Any:
        given = {"hidden": HIDDEN, "pretraining": pretraining}
        return ENCODERS.get("deep").from_params(given).fit(as_features(own), bits, schedule)

    features = as_features(own)
    mean_row, axes = principal(features, BITS, seed)
    flat, plane = fit(2, share), (own - mean_row) @ axes[:2].T
    return {
        "pretrained": error(fit(BITS, share).reconstruct(others), others),
        "from random weights": error(fit(BITS, 0.0).reconstruct(others), others),
        "principal components": error(mean_row + (others - mean_row) @ axes.T @ axes, others),
        "named by 15 neighbours, deep": named(flat.project(own), labels, flat.project(others), theirs),
        "named by 15 neighbours, components": named(plane, labels, (others - mean_row) @ axes[:2].T, theirs),
    }


def error(made: np.ndarray, wanted: Floats) -> float:
    """Return the squared error per image."""
    return float(np.square(made - wanted).sum(1).mean())


def named(own: np.ndarray, labels: np.ndarray, asked: np.ndarray, wanted: np.ndarray) -> float:
    """Return the accuracy of a 15-nearest-neighbour classifier."""
    return float(KNeighborsClassifier(15).fit(own, labels).score(asked, wanted))


def reached(figures: dict[str, list[float]]) -> dict[str, bool]:
    """Whether each claim is reached."""
    at = {name: mean(values) for name, values in figures.items()}
    return {
        "principal components give 13.87 ± 0.2": abs(at["principal components"] - 13.87) <= 0.2,
        "error at most 3.4": at["pretrained"] <= 3.4,
        "below the same net from random weights": at["pretrained"] < at["from random weights"],
        "in two dimensions 20 points above components": at["named by 15 neighbours, deep"]
        >= at["named by 15 neighbours, components"] + 0.2,
    }
