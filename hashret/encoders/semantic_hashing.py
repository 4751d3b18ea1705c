"""Semantic hashing: the deep autoencoder with noise that makes the code binary."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
import torch
from torch import Tensor

from hashret.encoders.nn.stack import Stacked
from hashret.features import Floats
from hashret.options import option


@dataclass(kw_only=True, repr=False, eq=False)
class SemanticHashing(Stacked):
    """Noise on the inputs of the sigmoid code makes the code nearly binary (Salakhutdinov & Hinton 2009).

    code = sigmoid(logits + e), e ~ N(0, noise^2) sampled at every step: only logits far from 0 carry information, so
    the code becomes nearly binary. loss = - sum_w p_w log softmax(output)_w for words, with shares p of the document.
    Bit j is 1 if unit j is above `cut`.
    """

    noise: float = option(4.0, "standard deviation of the noise on the inputs of the code", low=0.0)
    cut: float = option(0.1, "activation above which a bit is 1; 0: the median of each bit", low=0.0, high=0.99)

    usual = {"learning_rate": 1e-3}
    name = "semantic-hashing"
    summary = "the deep autoencoder with noise that makes the code binary"

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """Reconstruction from the noisy code; without noise in validation."""
        logits = self.logits(x)  # [batch, bits]
        noise = torch.randn_like(logits) * self.noise if self.training else 0.0
        return self.reconstruction(self.decode(torch.sigmoid(logits + noise)), x)

    def thresholds(self, logits: Floats) -> Floats:
        """The logit of `cut`, or the medians if it is 0."""
        if not self.cut:
            return super().thresholds(logits)
        return np.full(logits.shape[1], log(self.cut / (1 - self.cut)), np.float32)
