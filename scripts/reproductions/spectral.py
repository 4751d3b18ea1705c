"""Spectral hashing, ITQ and random hyperplanes, compared as by Weiss et al. and Gong et al."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import numpy as np

from hashret.encoders import ENCODERS
from hashret.training import Schedule
from reproductions.mnist import as_features, average_precision, mnist

BAR = (
    "MNIST pixels; 1,000 test images as queries, 100 per digit, and the other 69,000 images as database. Average "
    "precision over the full ranking."
)
BITS = (12, 24, 32, 48)
KNOWN = {"spectral": (0.265, 0.267, 0.259, 0.250), "itq": (0.388, 0.436, 0.422, 0.429)}
WITHIN = 0.025


def run(seed: int, data: Path, budget: str) -> dict[str, float]:
    """Measure the average precision of three encoders at four code lengths."""
    (own, labels), (others, theirs) = mnist(data, "train"), mnist(data, "t10k")
    rng = np.random.default_rng(seed)
    asked = np.concatenate([rng.choice(np.flatnonzero(theirs == digit), 100, replace=False) for digit in range(10)])
    rest = np.setdiff1d(np.arange(len(others)), asked)
    own, labels = np.concatenate([own, others[rest]]), np.concatenate([labels, theirs[rest]])
    figures = {}
    for name in ("spectral", "itq", "lsh"):
        for bits in BITS:
            program = ENCODERS.get(name)().fit(as_features(own), bits, Schedule(seed=seed)).program()
            figures[f"{name}, {bits} bits"] = average_precision(program, own, labels, others[asked], theirs[asked])
    return figures


def reached(figures: dict[str, list[float]]) -> dict[str, bool]:
    """Check that average precision is close to published values."""
    verdict = {}
    for name, wanted in KNOWN.items():
        near = [abs(mean(figures[f"{name}, {bits} bits"]) - known) for bits, known in zip(BITS, wanted, strict=True)]
        verdict[f"{name} within {WITHIN} of {', '.join(map(str, wanted))}"] = max(near) <= WITHIN
    return verdict
