"""Spectral hashing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from hashret.encoders.base import Encoder
from hashret.features import Features
from hashret.projection import principal
from hashret.runtime import Program, linear_program

if TYPE_CHECKING:
    from hashret.training import Schedule


@dataclass(kw_only=True, repr=False, eq=False)
class Spectral(Encoder):
    """Balanced, uncorrelated bits that separate few near pairs of uniform data (Weiss, Torralba & Fergus 2008).

    Along principal component i with range [a, b], the eigenfunctions of the graph Laplacian are
    phi_k(v) = sin(pi / 2 + k pi (v - a) / (b - a)), and their eigenvalues grow with (k / (b - a))^2. Bit j is the sign
    of the eigenfunction with the j-th smallest eigenvalue over all components and k = 1, 2, ...
    """

    name = "spectral"
    summary = "sine waves along principal components: balanced graph cuts"
    trained = False

    def fit(self, features: Features, bits: int, schedule: Schedule) -> Self:
        """Find the components, their ranges and the sine waves."""
        mean, components = principal(features, bits, schedule.seed)
        low, high = self.ranges(linear_program(components.T, -components @ mean, features.shape), features)
        waves = np.arange(1, bits + 1)[:, None] * np.pi / np.maximum(high - low, 1e-6)  # [k, components]
        chosen = np.argsort(waves, axis=None, kind="stable")[:bits]
        frequency, component = waves.reshape(-1)[chosen], chosen % len(components)
        weight = components[component] * frequency[:, None]  # [bits, dim]
        self.weight = weight.T.astype(np.float32)
        self.bias = (np.pi / 2 - frequency * low[component] - weight @ mean).astype(np.float32)
        self.shape = features.shape
        return self

    def ranges(self, projected: Program, features: Features) -> tuple[np.ndarray, np.ndarray]:
        """Return the minimum and maximum along each component, float64 [components] each."""
        values = projected.logits(features.input).astype(np.float64)
        return values.min(axis=0), values.max(axis=0)

    def program(self) -> Program:
        """Return a program with a linear operation and a sine."""
        *before, cut = (linear := linear_program(self.weight, self.bias, self.shape)).lines
        return Program((*before, {"op": "sine"}, cut), linear.tensors, self.shape)
