"""Codes with the distribution of a prior."""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from sklearn.neural_network import MLPClassifier

from hashret.codes import unpack
from hashret.encoders import ENCODERS
from hashret.encoders.adversarial import PRIORS
from hashret.training import Schedule
from reproductions.bernoulli import entropies
from reproductions.mnist import as_features, average_precision, mnist

BAR = (
    "MNIST. A classifier with two layers of 100 units is trained to distinguish codes from samples of the prior, on "
    "half of 10,000 test codes and as many samples; its accuracy is measured on the other half. The prior is Bernoulli "
    "unless stated otherwise. These codes have 8 bits (16 for categories) and a gain of 4 for the logits, which gives "
    "even buckets. Average precision and entropy are measured with 32 bits and the default gain of 1. 8 epochs."
)
BITS, SHORT, SHARP = 32, 8, 4.0


def run(seed: int, data: Path, budget: str) -> dict[str, float]:
    """Measure the classifier's accuracy for each prior; then entropy, buckets and precision for the Bernoulli prior."""
    (own, labels), (others, theirs) = mnist(data, "train"), mnist(data, "t10k")
    schedule = Schedule(seed=seed, epochs=8, max_steps=10**6)
    figures = {}
    for prior in PRIORS:
        bits = SHORT if prior != "categorical" else 16
        net: Any = (
            ENCODERS.get("adversarial")
            .from_params({"prior": prior, "sharp": SHARP})
            .fit(as_features(own), bits, schedule)
        )
        figures[f"told apart, {prior}"] = told_apart(net.over(others, net.bottleneck), prior, seed)
        if prior == "bernoulli":
            figures["largest bucket"] = largest(net.program().encode(own))
    deep = ENCODERS.get("deep")().fit(as_features(own), SHORT, Schedule(seed=seed)).program()
    figures["largest bucket of deep"] = largest(deep.encode(own))
    for name in ("adversarial", "deep"):
        plan = schedule if name == "adversarial" else Schedule(seed=seed)
        program = ENCODERS.get(name)().fit(as_features(own), BITS, plan).program()
        figures[f"AP, {name}"] = average_precision(program, own, labels, others[:1000], theirs[:1000])
        figures[f"entropy, {name}"] = float(entropies(unpack(program.encode(own), BITS)).mean())
    return figures


def told_apart(codes: np.ndarray, prior: str, seed: int) -> float:
    """Return the accuracy of a classifier of codes and samples, on the half that it was not trained on."""
    torch.manual_seed(seed)
    drawn = PRIORS[prior].draw(*codes.shape).numpy()
    half = len(codes) // 2
    first, second = (np.concatenate([codes[part], drawn[part]]) for part in (slice(half), slice(half, None)))
    made = np.arange(2 * half) < half
    judge = MLPClassifier((100, 100), random_state=seed, early_stopping=True).fit(first, made)
    return float(judge.score(second, made))


def largest(codes: np.ndarray) -> float:
    """Return the number of documents in the largest bucket."""
    return float(np.unique(codes, axis=0, return_counts=True)[1].max())


def reached(figures: dict[str, list[float]]) -> dict[str, bool]:
    """Whether each claim is reached."""
    told = {prior: mean(figures[f"told apart, {prior}"]) for prior in PRIORS}
    return {
        **{f"{prior}: told apart at most .60 of the time": share <= 0.6 for prior, share in told.items()},
        "entropy of a bit at least .98": mean(figures["entropy, adversarial"]) >= 0.98,
        "largest of 256 buckets at most half of deep's": mean(figures["largest bucket"])
        <= mean(figures["largest bucket of deep"]) / 2,
        "average precision at least deep's less .01": mean(figures["AP, adversarial"])
        >= mean(figures["AP, deep"]) - 0.01,
    }
