"""One layer of linear units spans the principal components."""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from hashret.encoders import ENCODERS
from hashret.features import Features
from hashret.projection import principal
from hashret.training import Schedule
from reproductions.mnist import mnist

BAR = "MNIST, 30 linear units; squared error per test image, compared with 30 principal components."
BITS = 30


def run(seed: int, data: Path, budget: str) -> dict[str, float]:
    """Reconstruction errors of the autoencoder and of principal components."""
    (own, _), (others, _) = mnist(data, "train"), mnist(data, "t10k")
    features = Features(own, (784,), "real")
    mean_row, axes = principal(features, BITS, seed)
    centred = others - mean_row
    exact = float(np.square(centred - centred @ axes.T @ axes).sum(1).mean())
    schedule = Schedule(
        seed=seed, epochs=20, batch_size=128, learning_rate=4e-3, max_steps=10**6, validation_fraction=0
    )
    net: Any = ENCODERS.get("autoencoder").from_params({"units": "linear"}).fit(features, BITS, schedule)
    error = float(np.square(others - net.reconstruct(others)).sum(1).mean())
    return {"autoencoder": error, "principal components": exact}


def reached(figures: dict[str, list[float]]) -> dict[str, bool]:
    """Check that the error is within 2 % of the components', whose known error validates the measurement."""
    ours, exact = mean(figures["autoencoder"]), mean(figures["principal components"])
    return {
        "principal components give 13.87 ± 0.2": abs(exact - 13.87) <= 0.2,
        "linear units come within 2 % of them": ours <= 1.02 * exact,
    }
