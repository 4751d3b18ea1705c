"""Random hyperplanes: what bits reach when nothing is learned."""

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
    """Bit j tells on which side of a random hyperplane through the mean a document lies (Charikar 2002).

    bit_j = [w_j (x - mean) > 0], w_j ~ N(0, I)
    """

    name = "lsh"
    summary = "random hyperplanes: the yardstick that learns nothing"
    trained = False

    def fit(self, features: Features, bits: int, schedule: Schedule) -> Self:
        """Draw the hyperplanes."""
        dim = prod(features.shape)
        self.weight = np.random.default_rng(schedule.seed).standard_normal((dim, bits), np.float32)
        self.mean, self.shape = mean_of(features.input), features.shape
        return self

    def program(self) -> Program:
        """One linear operation."""
        return linear_program(self.weight, -self.mean @ self.weight, self.shape)
