"""Queries with a quarter of their pixels hidden."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import numpy as np

from hashret.encoders import ENCODERS
from hashret.training import Schedule
from reproductions.mnist import as_features, average_precision, mnist

BAR = (
    "MNIST, 32 bits; average precision of 1,000 queries, unchanged and with a quarter of the pixels set to 0. Trained "
    "with 85 % of the pixels masked and 256 hidden units; the defaults mask 30 % and have 512 units."
)
BITS, HOLES = 32, 0.25
WAYS = {  # options of the first chosen with 1,000 training images as queries
    "denoising": ("denoising", {"amount": 0.85, "hidden": "256"}),
    "its defaults": ("denoising", {}),
    "deep": ("deep", {}),
}


def run(seed: int, data: Path, budget: str) -> dict[str, float]:
    """Measure each net on both kinds of queries."""
    (own, labels), (asked, wanted) = mnist(data, "train"), mnist(data, "t10k", 1000)
    holes = np.random.default_rng(seed).random(asked.shape) < HOLES
    figures = {}
    for way, (name, options) in WAYS.items():
        program = ENCODERS.get(name).from_params(options).fit(as_features(own), BITS, Schedule(seed=seed)).program()
        for what, queries in (("whole", asked), ("masked", np.where(holes, 0, asked).astype(np.float32))):
            figures[f"{way}, {what}"] = average_precision(program, own, labels, queries, wanted)
    return figures


def reached(figures: dict[str, list[float]]) -> dict[str, bool]:
    """Whether each claim is reached."""
    whole, masked = mean(figures["denoising, whole"]), mean(figures["denoising, masked"])
    return {
        "masked queries keep .90 of the precision": masked >= 0.9 * whole,
        "masked, at least .05 above deep": masked >= mean(figures["deep, masked"]) + 0.05,
    }
