"""Random hyperplanes: a baseline that does not learn."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Self

import numpy as np

from hashret.encoders.base import Encoder
from hashret.features import Features, mean_of
from hashret.runtime import Program, linear_program

if TYPE_CHECKING:
    from hashret.training import Schedule


@dataclass(kw_only=True, repr=False, eq=False)
class LSH(Encoder):
    """Bit j is the side of a random hyperplane through the mean (Charikar 2002).

    bit_j = [w_j (x - mean) > 0], w_j ~ N(0, I)
    """

    name = "lsh"
    summary = "random hyperplanes: the baseline without learning"
    trained = False

    def fit(self, features: Features, bits: int, schedule: Schedule) -> Self:
        """Sample the hyperplanes and compute the mean."""
        dim = prod(features.shape)
        self.weight = np.random.default_rng(schedule.seed).standard_normal((dim, bits), np.float32)
        self.mean, self.shape = mean_of(features.input), features.shape
        return self

    def program(self) -> Program:
        """Return a program with one linear operation."""
        return linear_program(self.weight, -self.mean @ self.weight, self.shape)
