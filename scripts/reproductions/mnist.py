"""MNIST: features in [0, 1], labels and measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hashret.evaluation.evaluate import evaluate
from hashret.features import Features, Floats
from hashret.readers import read
from hashret.runtime import Program

SIDE = (1, 28, 28)


def mnist(data: Path, part: str, count: int | None = None) -> tuple[Floats, np.ndarray]:
    """Return images float32 [n, 784] in [0, 1] and digits int [n]. part: "train" or "t10k"."""
    documents = list(read(data / "mnist" / f"{part}-images-idx3-ubyte.gz"))[:count]
    images = np.stack([np.asarray(d.content) for d in documents]).reshape(len(documents), -1)
    return (images / 255).astype(np.float32), np.array([int(d.labels[0]) for d in documents])


def as_features(images: Floats, shape: tuple[int, ...] = SIDE) -> Features:
    """Return the images as features."""
    return Features(images, shape, "unit")


def average_precision(program: Program, own: Floats, labels: np.ndarray, asked: Floats, wanted: np.ndarray) -> float:
    """Return the mean average precision over the full ranking, in expectation over ties."""
    names, queries = ([(str(label),) for label in part.tolist()] for part in (labels, wanted))
    return float(evaluate(program.encode(own), names, program.encode(asked), queries, ["AP"])[0]["value"])
