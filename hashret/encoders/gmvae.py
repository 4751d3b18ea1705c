"""The variational autoencoder with a Gaussian mixture prior."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, prod

import numpy as np
import torch
from torch import Tensor, nn

from hashret.encoders.nn.bodies import mirrored, mlp
from hashret.encoders.nn.clusters import k_means, student_t
from hashret.encoders.nn.gaussian import divergence, drawn, log_density
from hashret.encoders.nn.restarts import Restarted
from hashret.features import CSRMatrix, Features, Floats
from hashret.options import option
from hashret.training import Schedule, train

EXTREME = 8.0  # bound of log variances


@dataclass(kw_only=True, repr=False, eq=False)
class GMVAE(Restarted):
    """Clusters as a latent variable (Dilokthanakul et al. 2016); y and x in the paper are x and v here.

    p: w ~ N(0, I), z ~ 1 / K, v ~ N(m_z(w), s_z(w)), x from decoder(v)
    q: v ~ N(body(x), ...), w ~ N(...), and z by Bayes' rule, q(z|x) ~ N(v; m_z(w), s_z(w))
    first  reconstruction of x from the mean of v; clusters are then initialised with the centres of k-means over it,
           because otherwise most clusters soon become unused (as in Jiang et al. 2017)
    then   reconstruction + sum_z q(z|x) KL(q(v|x), p(v|w,z)) + KL(q(w|x), p(w)) + max(least, KL(q(z|x), p(z)))
           + cv H(q(z|x)); the last two terms make the clusters differ
    """

    hidden: tuple[int, ...] = option((500,), "units of the layers between input and code", low=1)
    clusters: int = option(16, "K, maximum number of clusters", low=1)
    style: int = option(150, "dimensions of w, which determines the clusters", low=1)
    least: float = option(0.5, "part of KL(q(z|x), p(z)) that is not penalised", low=0.0)
    cv: float = option(0.4, "weight of the entropy of the cluster memberships", low=0.0)

    name = "gmvae"
    summary = "clusters as a latent variable: clustering and new documents"
    usual = {
        "epochs": 25,
        "batch_size": 100,
        "learning_rate": 1e-3,
        "min_steps": 1000,
        "max_steps": 3000,
        "validation_fraction": 0.0,
    }

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """The layers from the input to the mean of v, and from v to the output."""
        return mirrored(shape, self.hidden, bits, "relu", self.sparse)

    def build(self, features: Features, bits: int) -> None:
        """Create the layers, the heads of the other parameters of q, and the layers from w to the clusters."""
        super().build(features, bits)
        last = (prod(features.shape), *self.hidden)[-1]
        self.spread = nn.Linear(last, bits)
        self.of_style = nn.Linear(last, 2 * self.style)
        self.prior = mlp((self.style, 500, 2 * self.clusters * bits), "tanh")

    def learn(self, features: Features, bits: int, schedule: Schedule) -> None:
        """Use a quarter of the steps for the first phase and all steps for the second."""
        self.build(features, bits)
        train(self, features, [(self.plain, self.parameters())], schedule.scaled(1 / 4), label="first layers")
        self.place(self.over(features.input, self.logits), schedule.seed)
        train(self, features, [(self.loss, self.parameters())], schedule)

    def plain(self, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """Reconstruction from the mean of v."""
        return self.reconstruction(self.decode(self.logits(x)), x)

    def place(self, v: Floats, seed: int) -> None:
        """Initialise the clusters with the k-means centres of v [n, bits] and the variance of v around them."""
        centres, used = k_means(v, self.clusters, seed)
        points = torch.from_numpy(v)
        near = centres[student_t(points, centres, used).argmax(1)]
        wide = (points - near).square().mean(0).clamp_min(1e-4).log()  # [bits]
        last = self.prior[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            mean, spread = last.bias.view(2, self.clusters, -1)
            mean[used > 0], spread[used > 0] = centres[used > 0], wide

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # [batch, *shape] -> [batch, ...] each
        """Mean and log variance of v, [batch, bits], and of w, [batch, style]."""
        assert isinstance(self.body, nn.Sequential)
        inner = self.body[:-1](self.input(x))
        w, w_spread = self.of_style(inner).chunk(2, 1)
        return self.body[-1](inner), _bounded(self.spread(inner)), w, _bounded(w_spread)

    def components(self, w: Tensor) -> tuple[Tensor, Tensor]:  # [batch, style] -> [batch, clusters, bits] each
        """Mean and log variance of each cluster."""
        mean, spread = self.prior(w).unflatten(1, (2, self.clusters, -1)).unbind(1)
        return mean, _bounded(spread)

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """The five terms of the second phase."""
        v, v_spread, w, w_spread = self.posterior(x)
        code = drawn(v, v_spread) if self.training else v
        mean, spread = self.components(drawn(w, w_spread) if self.training else w)
        log_q = log_density(code[:, None], mean, spread).log_softmax(1)  # [batch, clusters]
        q = log_q.exp()
        v_cost = (q * divergence(v[:, None], v_spread[:, None], mean, spread)).sum(1).mean()
        w_cost = divergence(w, w_spread, torch.zeros_like(w), torch.zeros_like(w)).mean()
        entropy = -(q * log_q).sum(1).mean()
        z_cost = (log(self.clusters) - entropy).clamp_min(self.least)
        return self.surprise(self.decode(code), x) + v_cost + w_cost + z_cost + self.cv * entropy

    def bottleneck(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, bits]
        """The mean of v."""
        return self.logits(x)

    def assign(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n, clusters], q(z|x) at the means of v and w."""
        return self.over(x, self.shares)

    def shares(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, clusters]
        """Return the memberships q(z|x) of a batch."""
        v, _, w, _ = self.posterior(x)
        return log_density(v[:, None], *self.components(w)).softmax(1)

    def sample(self, count: int, seed: int = 0) -> Floats:
        """Return float32 [count, dim], decoded from samples of uniformly chosen clusters."""
        generator = torch.Generator().manual_seed(seed)
        z = torch.randint(self.clusters, (count,), generator=generator)
        with torch.no_grad():
            mean, spread = self.components(torch.randn(count, self.style, generator=generator))
            v = drawn(mean[torch.arange(count), z], spread[torch.arange(count), z], generator)
            return np.asarray(self.shown(self.decode(v)).numpy(), np.float32)


def _bounded(spread: Tensor) -> Tensor:
    return EXTREME * (spread / EXTREME).tanh()
