"""robust: detection of other digits among images of the digit 4, by the sparse part S (Zhou & Paffenroth, 2017)."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import numpy as np
from sklearn.ensemble import IsolationForest

from hashret.encoders.robust import Robust
from hashret.features import Floats
from hashret.training import Schedule, seeded
from reproductions.anomaly import best_f1, f1
from reproductions.mnist import as_features, mnist

BAR = (
    "F1 of detecting 265 images of other digits among 4,859 images of the digit 4; images with a nonzero part S are "
    "flagged. Net 784-400-200. Six values of lambda in descending order, each starting from the net and the S of the "
    "one before. The isolation forest uses its best threshold. Small budget: one round of 30 epochs per lambda; "
    "published: 8 rounds of 100."
)
FOURS, OTHERS = 4859, 265
LAMBDAS = (6.0, 2.0, 1.6, 1.4, 1.2, 1.0)
TURNS, EPOCHS = {"small": 1, "published": 8}, {"small": 30, "published": 100}


def run(seed: int, data: Path, budget: str) -> dict[str, float]:
    """Measure F1 and the share of flagged images for each lambda, and F1 of the isolation forest."""
    images, others = mixed(data, seed)
    features, figures = as_features(images), dict[str, float]()
    schedule = Schedule(
        epochs=EPOCHS[budget], batch_size=128, learning_rate=1e-3, min_steps=1, max_steps=10**6, seed=seed
    )
    encoder = Robust(hidden=(400,), activation="sigmoid")
    with seeded(seed):
        encoder.build(features, 200)
        low = features
        for lam in LAMBDAS:
            encoder.lam = lam
            for _ in range(TURNS[budget]):
                low = encoder.turn(features, low, schedule)
            flagged = encoder.outlier_scores(images) > 0
            figures[f"F1 at {lam}"] = f1(flagged, others)
            figures[f"share flagged at {lam}"] = float(flagged.mean())
    forest = IsolationForest(random_state=seed).fit(images)
    return figures | {"F1 of the isolation forest": best_f1(-forest.score_samples(images), others)}


def mixed(data: Path, seed: int) -> tuple[Floats, np.ndarray]:
    """Return images float32 [5124, 784], and the mask of those that are not a 4, bool [5124]."""
    images, labels = mnist(data, "train")
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(np.flatnonzero(found))[:n] for found, n in ((labels == 4, FOURS), (labels != 4, OTHERS))]
    rows = rng.permutation(np.concatenate(chosen))
    return images[rows], labels[rows] != 4


def reached(figures: dict[str, list[float]]) -> dict[str, bool]:
    """Check F1 of the best lambda, and that no image is flagged at the largest lambda."""
    best = max(mean(figures[f"F1 at {lam}"]) for lam in LAMBDAS)
    return {
        "F1 of at least .60 at the best lambda": best >= 0.60,
        "at least .15 above the isolation forest": best >= mean(figures["F1 of the isolation forest"]) + 0.15,
        f"nothing is set aside at lambda {LAMBDAS[0]}": max(figures[f"share flagged at {LAMBDAS[0]}"]) == 0,
    }
