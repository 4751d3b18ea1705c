"""Signs of principal components."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Self

import numpy as np

from hashret.encoders.base import Encoder
from hashret.errors import UsageError
from hashret.features import CSRMatrix, Features, Floats
from hashret.projection import principal
from hashret.runtime import Program, linear_program

if TYPE_CHECKING:
    from hashret.training import Schedule


@dataclass(kw_only=True, repr=False, eq=False)
class PCA(Encoder):
    """Bit j is the sign of principal component j (PCA-Direct in Gong et al. 2013).

    bit_j = [v_j (x - mean) > 0]
    """

    name = "pca"
    summary = "signs of principal components"
    trained = False

    def fit(self, features: Features, bits: int, schedule: Schedule) -> Self:
        """Find the components. Raises UsageError if there are fewer than bits."""
        self.mean, self.components = principal(features, bits, schedule.seed)
        self.shape = features.shape
        if (found := len(self.components)) < bits:
            raise UsageError(
                f"pca has {found} components here, too few for {bits} bits; use at most {found} bits or another encoder"
            )
        return self

    def reconstruct(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n, dim], the projection onto the space of the components."""
        return np.asarray(self.mean + self.program().logits(x) @ self.components, np.float32)

    def project(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n, 2], the first two components; the second is 0 if there is only one."""
        first = self.program().logits(x)[:, :2]
        return np.pad(first, ((0, 0), (0, 2 - first.shape[1])))

    def bits_to_project(self, features: Features, bits: int) -> int:
        """Return 2, or fewer if there are fewer components."""
        return max(1, min(2, len(features) - 1, prod(features.shape)))

    def state(self) -> Mapping[str, Floats]:
        """Return mean and components."""
        return {"mean": self.mean, "components": self.components}

    def restore(self, like: Features, bits: int, state: Mapping[str, Floats]) -> Self:
        """Load mean and components."""
        self.mean, self.components, self.shape = state["mean"], state["components"], like.shape
        return self

    def program(self) -> Program:
        """Return a program with one linear operation."""
        return linear_program(self.components.T, -self.components @ self.mean, self.shape)
