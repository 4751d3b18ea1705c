"""Semantic hashing: the deep autoencoder with noise that makes the code binary."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from hashret.encoders.nn.stack import Stacked
from hashret.features import Features, Floats, take
from hashret.graph import neighbors
from hashret.options import option
from hashret.training import Schedule

NEAREST = 3  # neighbours of a document, of which one is in its batch
HIDDEN = 0.9  # largest share of the values of a document that are hidden from the body
SHARP, SOFT = 0.025, 0.15  # temperatures of cosines and of products of bits
EVEN = 6.0  # weight of decorrelation and balance within the agreement


@dataclass(kw_only=True, repr=False, eq=False)
class SemanticHashing(Stacked):
    """Noise on the inputs of the sigmoid code makes the code nearly binary (Salakhutdinov & Hinton 2009).

    code = sigmoid(logits + e), e ~ N(0, noise^2) sampled at every step: only logits far from 0 carry information, so
    the code becomes nearly binary. loss = - sum_w p_w log softmax(output)_w for words, with shares p of the document.
    Bit j is 1 if unit j is above `cut`.

    With an `agreement` (not published), bits b = sign(logits), straight-through, shall rank the documents of a batch,
    to which a near neighbour of each one is added, like their inputs x do:

    loss + agreement (- sum_ij t_ij log s_ij + decorrelation and balance of the bits),
    t_ij ~ exp(cos(x_i, x_j) / SHARP), s_ij ~ exp(b_i b_j / (SOFT bits)), j != i, each row sums to 1
    """

    noise: float = option(4.0, "standard deviation of the noise on the inputs of the code", low=0.0)
    cut: float = option(0.1, "activation above which a bit is 1; 0: the median of each bit", low=0.0, high=0.99)
    agreement: float = option(
        0.0, "weight of bits that rank documents like their inputs; then cut=0 and pretraining=1 suit", low=0.0
    )

    usual = {"learning_rate": 1e-3}
    name = "semantic-hashing"
    summary = "the deep autoencoder with noise that makes the code binary"

    def learn(self, features: Features, bits: int, schedule: Schedule) -> None:
        """Pretrain and fine-tune the layers; find the neighbours before, if bits shall agree."""
        if not self.agreement:
            super().learn(features, bits, schedule)
            return
        self.known, self.near = features.input, torch.from_numpy(neighbors([features.input], NEAREST))
        super().learn(features, bits, schedule)
        del self.known, self.near

    def fine_tuning(self, schedule: Schedule) -> Schedule:
        """With an agreement, a quarter of the steps with a fifth of the rate; more would fit neighbours by heart."""
        if not self.agreement:
            return schedule
        return replace(schedule.scaled(1 / 4), learning_rate=schedule.learning_rate / 5, validation_fraction=0.0)

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """Reconstruction from the noisy code, without noise in validation; and the agreement, if it has a weight."""
        if not self.agreement:
            return self.noisy(self.logits(x), x)
        rows = rows.cpu()
        partners = self.near[rows, torch.randint(self.near.shape[1], rows.shape)].numpy()
        x = torch.cat([x, torch.from_numpy(take(self.known, partners)).to(x.device).reshape(x.shape)])
        hidden = HIDDEN * torch.rand(len(x), *[1] * (x.dim() - 1), device=x.device)
        logits = self.logits(x * (torch.rand_like(x) >= hidden))
        return self.noisy(logits, x) + self.agreement * disagreement(logits, x.flatten(1))

    def noisy(self, logits: Tensor, x: Tensor) -> Tensor:  # [batch, bits], [batch, *shape] -> []
        """Reconstruction of x from the noisy code."""
        noise = torch.randn_like(logits) * self.noise if self.training else 0.0
        return self.reconstruction(self.decode(torch.sigmoid(logits + noise)), x)

    def thresholds(self, logits: Floats) -> Floats:
        """The logit of `cut`, or the medians if it is 0."""
        if not self.cut:
            return super().thresholds(logits)
        return np.full(logits.shape[1], log(self.cut / (1 - self.cut)), np.float32)


def disagreement(logits: Tensor, x: Tensor) -> Tensor:  # [n, bits], [n, dim] -> []
    """Return how differently bits and inputs rank the documents, plus decorrelation and balance of the bits."""
    means = torch.tanh(logits / 2)
    bits = torch.where(logits > 0, 1.0, -1.0) + means - means.detach()  # straight-through
    own = torch.eye(len(x), dtype=torch.bool, device=x.device)
    x = normalize(x)
    wanted = (x @ x.T / SHARP).masked_fill(own, -torch.inf).softmax(1)
    found = (bits @ bits.T / (SOFT * bits.shape[1])).masked_fill(own, -torch.inf).log_softmax(1)
    ranking = -(wanted * found.masked_fill(own, 0)).sum(1).mean()
    apart = means - means.mean(0)
    shared = apart.T @ apart / len(apart)  # [bits, bits]
    decorrelation = (shared.square().sum() - shared.diagonal().square().sum()) / bits.shape[1]
    return ranking + EVEN * (decorrelation + means.mean(0).square().mean())
