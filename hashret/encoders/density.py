"""The autoencoder with outlier scores from the density of the codes."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi, prod

import numpy as np
import torch
from torch import Tensor, nn

from hashret.encoders.nn.bodies import mlp
from hashret.encoders.nn.restarts import Restarted
from hashret.features import CSRMatrix, Features, Floats
from hashret.options import option
from hashret.training import Schedule

KEPT = 4000  # training codes stored; a document is compared with all of them
WIDTHS = 13  # widths of kernels that are tried; each is smaller by a factor of sqrt(2)


@dataclass(kw_only=True, repr=False, eq=False)
class Density(Restarted):
    """One hidden layer; the outlier score is the distance or density of the code (Cao, Nicolau & McDermott 2016).

    loss = reconstruction from the code, tanh(W x + b) or W x + b
    s = (code - mean) / deviation, with mean and deviation over the training documents
    centroid    score = |s|
    kde         score = - log mean_i N(s; s_i, w^2 I), s_i of at most KEPT documents, width w = sqrt(h / 2) for h units,
                or the w at most as large with which one half of the s_i gives the highest density to the other half
    """

    units: str = option("tanh", "activation of the code; tanh compresses distant codes", choices=("tanh", "linear"))
    by: str = option("centroid", "how the outlier score is computed", choices=("centroid", "kde"))
    bandwidth: str = option(
        "published",
        "width of kde: sqrt(h / 2), or the likeliest, which suits documents of several kinds",
        choices=("published", "likelihood"),
    )

    usual = {"learning_rate": 2e-3}
    name = "density"
    summary = "one hidden layer; outlier detection by the density of the codes"

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """One linear layer in the encoder and one in the decoder."""
        dim = prod(shape)
        return mlp((dim, bits), "tanh", flatten=len(shape) > 1, sparse=self.sparse), mlp((bits, dim), "tanh")

    def bottleneck(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, bits]
        """The code."""
        return self.logits(x).tanh() if self.units == "tanh" else self.logits(x)

    def build(self, features: Features, bits: int) -> None:
        """Create the layers and buffers for statistics of the codes."""
        super().build(features, bits)
        self.register_buffer("mean", torch.zeros(bits))
        self.register_buffer("deviation", torch.ones(bits))
        self.register_buffer("kept", torch.zeros(0, bits))  # [at most KEPT, bits], standardised
        self.register_buffer("width", torch.tensor((bits / 2) ** 0.5))

    def learn(self, features: Features, bits: int, schedule: Schedule) -> None:
        """Train, then compute the statistics of the training codes."""
        super().learn(features, bits, schedule)
        codes = torch.from_numpy(self.over(features.input, self.bottleneck))  # [n, bits]
        self.mean, self.deviation = codes.mean(0), codes.std(0, correction=0).clamp_min(1e-4)
        chosen = np.random.default_rng(schedule.seed).permutation(len(codes))[:KEPT]
        self.kept = (codes[chosen] - self.mean) / self.deviation
        if self.bandwidth == "likelihood" and len(codes) > 1:
            self.width = likeliest(self.kept, self.get_buffer("width"))

    def objective(self, features: Features) -> float:
        """The mean outlier score."""
        return float(self.outlier_scores(features.input).mean(dtype=np.float64))

    def outlier_scores(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n]: the distance or negative log density of the code."""
        return self.over(x, lambda rows: self.rarity((self.bottleneck(rows) - self.mean) / self.deviation))

    def rarity(self, s: Tensor) -> Tensor:  # [batch, bits] -> [batch]
        """Return |s| or - log density of standardised codes."""
        if self.by == "centroid":
            length: Tensor = torch.linalg.vector_norm(s, dim=1)
            return length
        return rarity(s, self.kept, self.get_buffer("width"))


def rarity(s: Tensor, centres: Tensor, width: Tensor) -> Tensor:  # [batch, bits], [n, bits], [] -> [batch]
    """Return - log of the mean of Gaussians with this width around the centres."""
    count, bits = centres.shape
    kernels = -torch.cdist(s, centres).square() / (2 * width.square())  # [batch, n]
    return log(count) + bits / 2 * (2 * pi * width.square()).log() - kernels.logsumexp(1)


def likeliest(codes: Tensor, largest: Tensor) -> Tensor:  # [n, bits], [] -> []
    """Return the width, at most `largest`, with which one half of the codes makes the other half likeliest."""
    first, second = codes.chunk(2)
    widths = largest * 2 ** (-torch.arange(WIDTHS) / 2)
    return widths[torch.stack([rarity(second, first, width).mean() for width in widths]).argmin()]
