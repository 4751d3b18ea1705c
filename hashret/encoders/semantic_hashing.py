"""Semantic hashing: the deep autoencoder whose code is pushed to bits by noise."""

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
    """The sigmoid code must carry its message through noise on its inputs (Salakhutdinov & Hinton 2009).

    code = sigmoid(logits + e), e ~ N(0, noise^2) drawn anew at every step: only inputs far from 0 survive it, so the
    code is nearly binary. loss = - sum_w p_w log softmax(output)_w for words, p their shares of the document.
    Bit j is unit j above `cut`.
    """

    noise: float = option(4.0, "standard deviation of the noise on the code's inputs", low=0.0)
    cut: float = option(0.1, "activation above which a bit is 1; 0: each bit's median", low=0.0, high=0.99)

    usual = {"learning_rate": 1e-3}
    name = "semantic-hashing"
    summary = "the deep autoencoder whose code is pushed to bits by noise"

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """Reconstruction through the noise; watched without it."""
        logits = self.logits(x)  # [batch, bits]
        noise = torch.randn_like(logits) * self.noise if self.training else 0.0
        return self.reconstruction(self.decode(torch.sigmoid(logits + noise)), x)

    def thresholds(self, logits: Floats) -> Floats:
        """The logit whose activation is the cut."""
        if not self.cut:
            return super().thresholds(logits)
        return np.full(logits.shape[1], log(self.cut / (1 - self.cut)), np.float32)
