"""The deep autoencoder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hashret.encoders.nn.stack import Stacked
from hashret.features import CSRMatrix, Features, Floats
from hashret.projection import principal
from hashret.training import Schedule


@dataclass(kw_only=True, repr=False, eq=False)
class Deep(Stacked):
    """Several layers to a linear code and mirrored layers back (Hinton & Salakhutdinov 2006).

    code = f_L(... f_1(x)), f_L linear, output = g_1(... g_L(code)); bit j is 1 if unit j is above its median.
    """

    usual = {"learning_rate": 1e-3}
    name = "deep"
    summary = "the deep autoencoder: several layers, pretrained one by one"

    def bottleneck(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, bits]
        """The linear code."""
        return self.logits(x)

    def build(self, features: Features, bits: int) -> None:
        """Create the layers and buffers for the plane of `project`."""
        super().build(features, bits)
        self.register_buffer("centre", torch.zeros(bits))
        self.register_buffer("axes", torch.zeros(2, bits))

    def learn(self, features: Features, bits: int, schedule: Schedule) -> None:
        """Train, then find the first two principal components of the codes."""
        super().learn(features, bits, schedule)
        codes = self.over(features.input, self.logits)
        if len(codes) > 1:
            centre, axes = principal(Features(codes, (bits,)), 2, schedule.seed)
            self.get_buffer("centre").copy_(torch.from_numpy(centre))
            self.get_buffer("axes")[: len(axes)] = torch.from_numpy(axes)

    def project(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n, 2]: the first two principal components of the codes."""
        codes = self.over(x, self.logits) - self.get_buffer("centre").numpy()
        return np.asarray(codes @ self.get_buffer("axes").numpy().T, np.float32)
