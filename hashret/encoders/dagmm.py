"""The autoencoder with a Gaussian mixture over codes and errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, pi
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from hashret.encoders.nn.bodies import mirrored, mlp
from hashret.encoders.nn.restarts import Restarted
from hashret.features import CSRMatrix, Features, Floats
from hashret.options import option
from hashret.training import Schedule

RIDGE = 1e-6  # added to variances, so that a component with few documents has a density
SHORTEST = 1e-6  # smallest length used as a denominator of relative errors

Mixture = tuple[Tensor, Tensor, Tensor]
"""Shares [k], means [k, dim] and Cholesky factors of the covariances [k, dim, dim]."""


@dataclass(kw_only=True, repr=False, eq=False)
class DAGMM(Restarted):
    """Outliers by a Gaussian mixture over code and error, trained jointly with the code (Zong et al. 2018).

    z = body(x), x' = decoder(z), u = [z, |x - x'| / |x|, cos(x, x')], g = softmax(estimation(u)), dropout .5 in it;
    component k has the share mean g_k, and the mean m_k and covariance S_k of u weighted by g_k, over the batch;
    E(u) = - log sum_k share_k N(u; m_k, S_k);
    loss = reconstruction + energy mean E(u) + even sum_kj 1 / (S_k)_jj;
    The outlier score is E, with the mixture of all documents.
    """

    hidden: tuple[int, ...] = option((256, 128), "units of the layers between input and code", low=1)
    estimation: tuple[int, ...] = option((10,), "units of the layers that predict the component of a document", low=1)
    components: int = option(4, "components of the mixture", low=1)
    energy: float = option(0.1, "weight of the energy", low=0.0)
    covariance_weight: float = option(0.005, "weight of the penalty on small variances", low=0.0)

    # batches large enough for covariances
    usual = {"learning_rate": 1e-3, "batch_size": 256, "min_steps": 1000, "max_steps": 1200}
    name = "dagmm"
    summary = "outlier detection with a Gaussian mixture over code and error"

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """The compression network: tanh layers to the code and mirrored layers back."""
        return mirrored(shape, self.hidden, bits, "tanh", self.sparse)

    def build(self, features: Features, bits: int) -> None:
        """Create the layers, the estimation network, and buffers for the mixture of all documents."""
        super().build(features, bits)
        self.membership = mlp((bits + 2, *self.estimation, self.components), "tanh", dropout=0.5)
        self.register_buffer("shares", torch.ones(self.components, dtype=torch.float64) / self.components)
        self.register_buffer("means", torch.zeros(self.components, bits + 2, dtype=torch.float64))
        self.register_buffer("factors", torch.eye(bits + 2, dtype=torch.float64).repeat(self.components, 1, 1))

    def learn(self, features: Features, bits: int, schedule: Schedule) -> None:
        """Train, then compute the mixture of all documents."""
        super().learn(features, bits, schedule)
        self.settle(features)

    def settle(self, features: Features) -> None:
        """Compute and store the mixture of these documents."""
        u = torch.from_numpy(self.over(features.input, lambda x: self.described(x)[0]))
        with torch.no_grad():
            self.shares, self.means, self.factors = self.mixture(u)

    def bottleneck(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, bits]
        """The logits."""
        return self.logits(x)

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """Reconstruction plus energy plus the penalty on small variances."""
        u, output = self.described(x)
        shares, means, factors = self.mixture(u)
        variances = factors.square().sum(2)  # [k, bits + 2]
        energy = energies(u, (shares, means, factors)).mean()
        return (
            self.reconstruction(output, x)
            + self.energy * energy
            + self.covariance_weight * variances.reciprocal().sum()
        )

    def described(self, x: Tensor) -> tuple[Tensor, Tensor]:  # [batch, *shape] -> [batch, bits + 2], [batch, dim]
        """Return u and the output of the decoder."""
        z = self.logits(x)
        output = self.decode(z)
        x, again = x.flatten(1), self.shown(output)
        if self.sparse:
            x = x / x.sum(1, keepdim=True).clamp_min(SHORTEST)  # for words, the decoder outputs shares
        error = (x - again).norm(dim=1) / x.norm(dim=1).clamp_min(SHORTEST)
        cosine = torch.cosine_similarity(x, again, eps=SHORTEST)
        return torch.cat([z, error[:, None], cosine[:, None]], 1), output

    def mixture(self, u: Tensor) -> Mixture:  # [n, bits + 2]
        """Return the mixture of documents, weighted by the estimation network; float64, for the Cholesky factors."""
        g = self.membership(u).double().softmax(1)  # [n, k]
        total, u = g.sum(0).clamp_min(SHORTEST), u.double()
        means = g.T @ u / total[:, None]
        apart = u - means[:, None]  # [k, n, bits + 2]
        covariances = (g.T[..., None] * apart).mT @ apart / total[:, None, None]
        ridge = RIDGE * torch.eye(u.shape[1], dtype=u.dtype, device=u.device)
        factors, _ = torch.linalg.cholesky_ex(covariances + ridge)
        return total / len(u), means, factors

    def objective(self, features: Features) -> float:
        """The mean energy."""
        return float(self.outlier_scores(features.input).mean(dtype=np.float64))

    def objectives(self, encoders: Sequence[Self], features: Features) -> list[float]:
        """Minus the mean rank correlation with the energies of the other starts; of two starts, the mean energy.

        Energies of different starts are not comparable, because they are densities of different codes; their order is.
        Energies below the median count as equal, because outliers are found by the order of the others.
        """
        if len(encoders) < 3:  # two starts agree equally well with each other
            return super().objectives(encoders, features)
        found = np.nan_to_num([encoder.outlier_scores(features.input) for encoder in encoders], nan=np.inf)
        correlations = rank_correlations(np.maximum(found, np.median(found, axis=1, keepdims=True)))
        return [float((own[place] - own.sum()) / (len(own) - 1)) for place, own in enumerate(correlations)]

    def outlier_scores(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n]: the energy."""
        mixture = self.shares, self.means, self.factors
        return self.over(x, lambda rows: energies(self.described(rows)[0], mixture).float())


def energies(u: Tensor, mixture: Mixture) -> Tensor:  # [n, dim] -> [n]
    """Return - log of the density of the mixture."""
    shares, means, factors = mixture
    apart = (u.double() - means[:, None]).mT  # [k, dim, n]
    distances: Tensor = torch.linalg.solve_triangular(factors, apart, upper=False).square().sum(1)  # [k, n]
    volumes = 2 * factors.diagonal(dim1=1, dim2=2).log().sum(1) + u.shape[1] * log(2 * pi)  # [k]
    densities = shares.log()[:, None] - (distances + volumes[:, None]) / 2
    return densities.logsumexp(0).neg()


def rank_correlations(values: Floats) -> Floats:
    """Return the rank correlation (Spearman) of each two rows: [m, n] -> [m, m]; 0 for constant rows."""
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(ranks, axis=1, keepdims=True)
    ranks /= np.where(lengths > 0, lengths, 1)
    return np.asarray(ranks @ ranks.T, np.float32)
