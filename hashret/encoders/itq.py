"""Iterative quantization: principal components, rotated towards the vertices of a hypercube."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from hashret.encoders.base import Encoder
from hashret.features import Features, Floats
from hashret.options import option
from hashret.projection import principal
from hashret.runtime import Program, linear_program

if TYPE_CHECKING:
    from hashret.training import Schedule


@dataclass(kw_only=True, repr=False, eq=False)
class ITQ(Encoder):
    """Minimises |B - V R|^2 over signs B and rotations R; V are the principal components (Gong et al. 2013).

    Alternates B = sign(V R) and R = the rotation nearest to V^T B (orthogonal Procrustes). With fewer components than
    bits, R has orthonormal rows and more columns than rows.
    """

    rounds: int = option(50, "alternating updates of signs and rotation", low=1)

    name = "itq"
    summary = "principal components rotated towards bits: a strong baseline"
    trained = False

    def fit(self, features: Features, bits: int, schedule: Schedule) -> Self:
        """Find the components and the rotation."""
        mean, components = principal(features, bits, schedule.seed)
        projected = linear_program(components.T, -components @ mean, features.shape).logits(features.input)
        rotation = self.rotate(projected.astype(np.float64), bits, schedule.seed)  # [found, bits]
        self.weight = components.T @ rotation  # [dim, bits]
        self.mean, self.shape = mean, features.shape
        return self

    def rotate(self, v: np.ndarray, bits: int, seed: int) -> Floats:
        """Return the rotation of v [n, found] that brings it closest to signs, [found, bits], with orthonormal rows."""
        start = np.random.default_rng(seed).standard_normal((bits, bits))
        rotation = np.linalg.qr(start)[0][: v.shape[1]]
        for _ in range(self.rounds):
            signs = np.where(v @ rotation > 0, 1.0, -1.0)
            left, _, right = np.linalg.svd(v.T @ signs, full_matrices=False)
            rotation = left @ right
        return rotation.astype(np.float32)

    def program(self) -> Program:
        """Return a program with one linear operation."""
        return linear_program(self.weight, -self.mean @ self.weight, self.shape)
