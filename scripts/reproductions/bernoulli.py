"""Sampled bits, all of which carry information."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import numpy as np

from hashret.codes import unpack
from hashret.encoders import ENCODERS
from hashret.training import Schedule
from reproductions.mnist import as_features, average_precision, mnist

BAR = "MNIST, 32 bits; average precision of 1,000 queries, and entropy of each bit over the training images."
BITS = 32


def run(seed: int, data: Path, budget: str) -> dict[str, float]:
    """Measure entropy, dead bits, and precision compared with the deep autoencoder."""
    (own, labels), (asked, wanted) = mnist(data, "train"), mnist(data, "t10k", 1000)
    ours, deep = (
        ENCODERS.get(name)().fit(as_features(own), BITS, Schedule(seed=seed)).program()
        for name in ("bernoulli", "deep")
    )
    entropy = entropies(unpack(ours.encode(own), BITS))
    return {
        "mean entropy": float(entropy.mean()),
        "dead bits": float((entropy < 0.01).sum()),
        "AP": average_precision(ours, own, labels, asked, wanted),
        "AP of deep": average_precision(deep, own, labels, asked, wanted),
    }


def entropies(bits: np.ndarray) -> np.ndarray:
    """Return the entropy of each binary column, in bits."""
    p = np.clip(bits.mean(axis=0), 1e-12, 1 - 1e-12)
    return np.asarray(-p * np.log2(p) - (1 - p) * np.log2(1 - p))


def reached(figures: dict[str, list[float]]) -> dict[str, bool]:
    """Whether each claim is reached."""
    return {
        "mean entropy at least .9": mean(figures["mean entropy"]) >= 0.9,
        "no dead bit": max(figures["dead bits"]) == 0,
        "average precision not below deep": mean(figures["AP"]) >= mean(figures["AP of deep"]),
    }
