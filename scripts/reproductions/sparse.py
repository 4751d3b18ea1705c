"""Sparse units: how many are active, and how informative they are."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import numpy as np
from sklearn.linear_model import LogisticRegression

from hashret.encoders import ENCODERS
from hashret.training import Schedule
from reproductions.mnist import as_features, mnist

BAR = (
    "MNIST, 200 units, rho .1, beta 10, decay .01, 30 epochs; accuracy of a linear classifier on the codes (.925 on "
    "pixels). The defaults, beta .1 and decay .00003, are for texts, whose reconstruction loss is far smaller."
)
RHO, BITS = 0.1, 200
OPTIONS = {"rho": RHO, "beta": 10.0, "decay": 0.01}  # chosen on 10,000 held-out training images


def run(seed: int, data: Path, budget: str) -> dict[str, float]:
    """Measure activation, sparsity, and the accuracy of a linear classifier on the codes."""
    (own, labels), (others, theirs) = mnist(data, "train"), mnist(data, "t10k")
    schedule = Schedule(seed=seed, epochs=30, max_steps=20_000)
    program = ENCODERS.get("sparse").from_params(OPTIONS).fit(as_features(own), BITS, schedule).program()
    codes, asked = (1 / (1 + np.exp(-program.logits(part).astype(np.float64))) for part in (own, others))
    root = BITS**0.5
    hoyer = (root - codes.sum(1) / np.sqrt(np.square(codes).sum(1))) / (root - 1)
    centre, spread = codes.mean(0), codes.std(0) + 1e-9
    probe = LogisticRegression(max_iter=300, tol=1e-3, C=0.1).fit((codes - centre) / spread, labels)
    accuracy = float(probe.score((asked - centre) / spread, theirs))
    return {"mean activation": float(codes.mean()), "Hoyer sparsity": float(hoyer.mean()), "accuracy": accuracy}


def reached(figures: dict[str, list[float]]) -> dict[str, bool]:
    """Whether each claim is reached."""
    return {
        "mean activation within 20 % of rho": abs(mean(figures["mean activation"]) - RHO) <= 0.2 * RHO,
        "Hoyer sparsity at least .6": mean(figures["Hoyer sparsity"]) >= 0.6,
        "linear classifier at least .955": mean(figures["accuracy"]) >= 0.955,
    }
