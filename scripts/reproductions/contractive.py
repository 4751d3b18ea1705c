"""Robustness of codes to small changes of the input, compared with the basic autoencoder."""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from hashret.codes import unpack
from hashret.encoders import ENCODERS
from hashret.features import Floats
from hashret.training import Schedule
from reproductions.mnist import as_features, average_precision, mnist

BAR = (
    "MNIST, 1,000 units; norm of the Jacobian on test images, squared error, share of bits flipped by Gaussian noise "
    "with a standard deviation of .1. Compared with the basic autoencoder."
)
BITS, NOISE, LAM = 1000, 0.1, 0.8
NAMES = ("contractive", "autoencoder")


def run(seed: int, data: Path, budget: str) -> dict[str, float]:
    """Measure both encoders."""
    (own, labels), (others, theirs) = mnist(data, "train"), mnist(data, "t10k")
    noise = np.random.default_rng(seed).standard_normal(others.shape).astype(np.float32) * NOISE
    figures: dict[str, float] = {}
    for name, options in (("contractive", {"lam": LAM}), ("autoencoder", {})):
        net: Any = ENCODERS.get(name).from_params(options).fit(as_features(own), BITS, Schedule(seed=seed))
        program = net.program()
        before, after = (unpack(program.encode(part), BITS) for part in (others, others + noise))
        figures |= {
            f"{name}, Jacobian": jacobian(net, others),
            f"{name}, error": float(np.square(others - net.reconstruct(others)).sum(1).mean()),
            f"{name}, flips": float((before != after).mean()),
            f"{name}, AP": average_precision(program, own, labels, others[:1000], theirs[:1000]),
        }
    return figures


def jacobian(net: Any, images: Floats) -> float:
    """Return the mean norm of the Jacobian d code / d x of one sigmoid layer."""
    tensors = net.program().tensors
    weight = next(value for name, value in tensors.items() if name.endswith("weight"))  # [784, bits]
    scale = next(value for name, value in tensors.items() if name.endswith("scale"))
    code = 1 / (1 + np.exp(-net.program().logits(images).astype(np.float64)))
    squared = np.square(code * (1 - code)) @ np.square(weight * scale[:, None]).sum(0)
    return float(np.sqrt(squared).mean())


def reached(figures: dict[str, list[float]]) -> dict[str, bool]:
    """Whether each claim is reached."""
    ours, plain = ({k: mean(figures[f"{n}, {k}"]) for k in ("Jacobian", "error", "flips", "AP")} for n in NAMES)
    return {
        "norm of the Jacobian at most a third": ours["Jacobian"] <= plain["Jacobian"] / 3,
        "error at most 1.5 times": ours["error"] <= 1.5 * plain["error"],
        "flips at most .60 times": ours["flips"] <= 0.6 * plain["flips"],
        "average precision not lower": ours["AP"] >= plain["AP"],
    }
