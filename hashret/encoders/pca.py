"""Signs of principal components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from hashret.encoders.base import Encoder
from hashret.errors import UsageError
from hashret.features import Features
from hashret.parts.projection import principal
from hashret.runtime import Program, linear_program

if TYPE_CHECKING:
    from hashret.training import Schedule


@dataclass(kw_only=True, repr=False, eq=False)
class PCA(Encoder):
    """Bit j is the sign of principal component j (Gong et al. 2013 call it PCA-Direct).

    bit_j = [v_j (x - mean) > 0]
    """

    name = "pca"
    summary = "signs of principal components"
    trained = False

    def fit(self, features: Features, bits: int, schedule: Schedule) -> Self:
        """Find the components; UsageError where there are fewer of them than bits."""
        self.mean, self.components = principal(features, bits, schedule.seed)
        self.shape = features.shape
        if (found := len(self.components)) < bits:
            raise UsageError(
                f"pca has {found} components here, too few for {bits} bits; use --bits {found} or --encoder itq"
            )
        return self

    def program(self) -> Program:
        """One linear operation."""
        return linear_program(self.components.T, -self.components @ self.mean, self.shape)
