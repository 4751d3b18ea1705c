"""The autoencoder with a bottleneck of Bernoulli variables."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hashret.encoders.nn.binarize import straight_through
from hashret.encoders.nn.net import BernoulliAutoencoder
from hashret.encoders.nn.noise import hide_words
from hashret.options import option


@dataclass(kw_only=True, repr=False, eq=False)
class Bernoulli(BernoulliAutoencoder):
    """Bits are sampled, and the input is reconstructed from the sampled bits (NASH: Shen et al. 2018).

    p = sigmoid(body(x')), z ~ Bernoulli(p) with the straight-through gradient, output = V (2z - 1) + c;
    x' is x, for texts with some words hidden (Vincent et al. 2008);
    loss = reconstruction + beta sum_j [p_j log 2 p_j + (1 - p_j) log 2 (1 - p_j)], the divergence from a fair coin.
    """

    word_dropout: float = option(0.9, "largest share of the words of a text hidden at a step", low=0.0, high=1.0)
    beta: float = option(0.01, "weight of the divergence from a fair coin", low=0.0)

    name = "bernoulli"
    summary = "Bernoulli bits, straight-through gradient"

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """Reconstruction from sampled bits, plus the divergence."""
        seen = hide_words(x, self.word_dropout) if self.sparse and self.training else x
        p = self.encode_soft(seen)  # [batch, bits]
        z = straight_through(p, sample=self.training)
        q = p.clamp(1e-6, 1 - 1e-6)
        divergence = (q * (2 * q).log() + (1 - q) * (2 * (1 - q)).log()).sum(1).mean()
        return self.reconstruction(self.decode(2 * z - 1), x) + self.beta * divergence
