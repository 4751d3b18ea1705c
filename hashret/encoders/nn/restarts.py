"""`Restarted`, the base class of encoders that can begin several times and keep the best start, without labels.

    start 1  a fit with 1/16 of the steps  --objective-->  best quarter  --1/4 of the steps-->  best one  --> the fit
    start 2  ...

Which clusters or densities such an encoder finds depends on its initial weights. A start is a seed. Starts are compared
by objectives of the encoder on documents that they did not learn from. In each round, the best quarter of the starts
goes on with four times the steps (successive halving, Jamieson & Talwalkar 2016, with a factor of four). Four starts
need one round, and about twice the time of one start. The seed that is left is then used for an ordinary fit.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf, isfinite
from typing import Any, Self

import numpy as np
import torch

from hashret.distributed import current_world
from hashret.encoders.nn.net import Autoencoder
from hashret.features import Features
from hashret.options import option
from hashret.progress import prefixed
from hashret.training import MOST_HELD_OUT, Schedule, seeded

log = logging.getLogger("hashret")

HELD_OUT = 0.1  # share of the documents on which starts are compared
FEWEST = 20  # documents; with fewer, starts are compared on those that they learned from
LAST = 1 / 4  # share of the steps in the last round
FACTOR = 4  # from one round to the next, fewer starts by this factor take more steps by this factor


@dataclass(kw_only=True, repr=False, eq=False)
class Restarted(Autoencoder):
    """An autoencoder that is fitted from the best of `n_init` starts."""

    n_init: int = option(1, "starts from other random numbers, of which the best is kept; no labels are used", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.tried: list[dict[str, Any]] = []

    def objective(self, features: Features) -> float:
        """Return how badly the encoder fits these documents; by default, the mean loss."""
        losses = self.over(features.input, lambda x: self.loss(x, torch.arange(len(x))).expand(len(x)))
        return float(losses.mean(dtype=np.float64))

    def objectives(self, encoders: Sequence[Self], features: Features) -> list[float]:
        """Return the objective of each of several starts, lowest for the best; by default, each start by itself."""
        return [encoder.objective(features) for encoder in encoders]

    def starts(self) -> Sequence[Mapping[str, Any]]:
        """Return the seed of each start, the share of the steps that it took at most, and its objective after that."""
        return tuple(self.tried)

    def start(self, features: Features, bits: int, schedule: Schedule) -> None:
        """Learn from the best of `n_init` seeds."""
        self.tried = []
        if self.n_init == 1:
            self.learn(features, bits, schedule)
            return
        best = self.best_seed(features, bits, schedule)
        with seeded(best):
            self.learn(features, bits, replace(schedule, seed=best))

    def best_seed(self, features: Features, bits: int, schedule: Schedule) -> int:
        """Compare the starts in rounds of successive halving, and return the seed of the best one."""
        learned, judged = apart(features, schedule.seed)
        objectives: dict[int, float] = {}
        self.tried = [{"seed": seed, "share": 0.0, "objective": None} for seed in seeds(schedule.seed, self.n_init)]
        left = self.tried
        for number, (count, share) in enumerate(rounds(self.n_init), 1):
            left = sorted(left, key=lambda one: objectives.get(one["seed"], inf))[:count]
            encoders = []
            for place, one in enumerate(left, 1):
                plan = replace(schedule.scaled(share), seed=one["seed"])
                with prefixed(f"round {number}, start {place} of {count}: "):
                    encoders.append(self.trial(learned, bits, plan))
            for one, own in zip(left, self.objectives(encoders, judged), strict=True):
                value = agreed(own)
                objectives[one["seed"]] = value if isfinite(value) else inf
                one |= {"share": share, "objective": value if isfinite(value) else None}
        best: int = min(left, key=lambda one: objectives[one["seed"]])["seed"]
        told = ", ".join(f"{seed}: {value:.4g}" for seed, value in objectives.items())
        log.info("n_init: seed %d is kept; objectives by seed: %s", best, told)
        return best

    def trial(self, features: Features, bits: int, schedule: Schedule) -> Self:
        """Return a new encoder with these options that has learned from the seed of the schedule, but has no codes."""
        encoder = type(self).from_params(self.params() | {"n_init": 1})
        with seeded(schedule.seed):
            encoder.learn(features, bits, schedule)
        return encoder


def agreed(value: float) -> float:
    """Return the mean value of the processes that train together, so that all of them choose the same start."""
    world = current_world()
    return float(world.mean(torch.tensor(value, dtype=torch.float64), 1 / world.size))


def seeds(seed: int, count: int) -> list[int]:
    """Return `seed` and further seeds drawn from it; fewer are the first of more."""
    return list(dict.fromkeys([seed, *np.random.SeedSequence(seed).generate_state(count - 1).tolist()]))


def rounds(count: int) -> list[tuple[int, float]]:
    """Return the number of starts and the share of the steps of each round.

    Example:
        >>> rounds(4)
        [(4, 0.25)]
        >>> rounds(8)
        [(8, 0.0625), (2, 0.25)]
    """
    found = [(count, LAST)]
    while found[-1][0] > FACTOR:
        found = [(starts, share / FACTOR) for starts, share in found] + [(ceil(found[-1][0] / FACTOR), LAST)]
    return found


def apart(features: Features, seed: int) -> tuple[Features, Features]:
    """Return the documents to learn from and those to compare the starts on, drawn at random."""
    if len(features) < FEWEST:
        return features, features
    order = np.random.default_rng(seed).permutation(len(features))
    held = min(int(HELD_OUT * len(order)), MOST_HELD_OUT)
    return features.take(np.sort(order[held:])), features.take(np.sort(order[:held]))
