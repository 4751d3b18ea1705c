"""The autoencoder with a bottleneck of Bernoulli variables: the default."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from torch import Tensor, nn

from hashret.encoders.net import Autoencoder
from hashret.features import Floats
from hashret.options import option
from hashret.parts.binarize import straight_through
from hashret.parts.bodies import mlp, suited
from hashret.parts.noise import hide_words


@dataclass(kw_only=True, repr=False, eq=False)
class Bernoulli(Autoencoder):
    """Bits are drawn, and the input is made again from the drawn bits alone (NASH: Shen et al. 2018).

    p = sigmoid(body(x')), z ~ Bernoulli(p) with the straight-through gradient, output = V (2z - 1) + c;
    x' is x, of a text some words hidden (Vincent et al. 2008);
    loss = reconstruction + beta sum_j [p_j log 2 p_j + (1 - p_j) log 2 (1 - p_j)], the divergence from a fair coin.
    """

    hidden: tuple[int, ...] = option((512,), "units of the layers between input and code", low=1)
    dropout: float = option(0.1, "share of hidden units left out at each step", low=0.0, high=0.9)
    hide: float = option(0.9, "of a text, largest share of the words hidden at a step", low=0.0, high=1.0)
    beta: float = option(0.01, "weight of the divergence from fair coins", low=0.0)
    body_kind: str = option("auto", "layers: convolutional for colour pictures", choices=("auto", "mlp", "conv"))

    name = "bernoulli"
    summary = "Bernoulli bits, straight-through gradient (the default)"

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """A body that suits the input, its logits normalised so that no bit dies; one linear layer back."""
        body = suited(shape, self.hidden, bits, self.dropout, self.body_kind, self.sparse)
        return nn.Sequential(body, nn.BatchNorm1d(bits, affine=False)), mlp((bits, prod(shape)), "relu")

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """Reconstruction from drawn bits, and the divergence."""
        seen = hide_words(x, self.hide) if self.sparse and self.training else x
        p = self.encode_soft(seen)  # [batch, bits]
        z = straight_through(p, sample=self.training)
        q = p.clamp(1e-6, 1 - 1e-6)
        divergence = (q * (2 * q).log() + (1 - q) * (2 * (1 - q)).log()).sum(1).mean()
        return self.reconstruction(self.decode(2 * z - 1), x) + self.beta * divergence

    def thresholds(self, logits: Floats) -> Floats:
        """A bit is 1 where it is more likely 1 than 0."""
        return np.zeros(logits.shape[1], np.float32)
