"""The likelihood of digits."""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from hashret.encoders import ENCODERS
from hashret.training import Schedule
from reproductions.mnist import as_features, mnist

BAR = "MNIST with binarized pixels; -ln p(x) of the test images in nats, by importance sampling with 200 samples."
BITS = 40


def run(seed: int, data: Path, budget: str) -> dict[str, float]:
    """Measure the negative log likelihood and the number of active units."""
    (own, _), (others, _) = mnist(data, "train"), mnist(data, "t10k")
    drawn = (np.random.default_rng(seed).random(others.shape) < others).astype(np.float32)
    schedule = Schedule(
        seed=seed, epochs=60, batch_size=128, learning_rate=2e-3, max_steps=10**6, validation_fraction=0
    )
    encoder = ENCODERS.get("variational").from_params({"hidden": "500,500", "dynamic": "true"})
    net: Any = encoder.fit(as_features(own), BITS, schedule)
    likelihood = net.log_likelihood(drawn, 200, seed)
    active = net.program().logits(drawn).var(axis=0) > 0.01  # Burda et al. 2016
    return {"nats": float(-likelihood.mean()), "active units": float(active.sum())}


def reached(figures: dict[str, list[float]]) -> dict[str, bool]:
    """Whether each claim is reached."""
    return {
        "at most 93 nats": mean(figures["nats"]) <= 93,
        "at least 10 active units": min(figures["active units"]) >= 10,
    }
