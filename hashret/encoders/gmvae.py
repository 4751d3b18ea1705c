"""The variational autoencoder whose prior is a mixture of Gaussians."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, prod

import numpy as np
import torch
from torch import Tensor, nn

from hashret.encoders.nn.bodies import mirrored, mlp
from hashret.encoders.nn.clusters import k_means, student_t
from hashret.encoders.nn.gaussian import divergence, drawn, log_density
from hashret.encoders.nn.net import Autoencoder
from hashret.features import CSRMatrix, Features, Floats
from hashret.options import option
from hashret.training import Schedule, train

EXTREME = 8.0  # of a variance's logarithm


@dataclass(kw_only=True, repr=False, eq=False)
class GMVAE(Autoencoder):
    """Clusters as a latent variable (Dilokthanakul et al. 2016); the paper's y and x are x and v here.

    p: w ~ N(0, I), z ~ 1 / K, v ~ N(m_z(w), s_z(w)), x from decoder(v)
    q: v ~ N(body(x), ...), w ~ N(...), and z by Bayes' rule, q(z|x) ~ N(v; m_z(w), s_z(w))
    first  reconstruction of x from the mean of v alone, and clusters about the centres of k-means over it, without
           which all documents soon share a few (so Jiang et al. 2017)
    then   reconstruction + sum_z q(z|x) KL(q(v|x), p(v|w,z)) + KL(q(w|x), p(w)) + max(least, KL(q(z|x), p(z)))
           + cv H(q(z|x)), whose information, at least, and entropy make the clusters differ
    """

    hidden: tuple[int, ...] = option((500,), "units of the layers between input and code", low=1)
    clusters: int = option(16, "K, clusters at most", low=1)
    style: int = option(150, "dimensions of w, which says how the clusters lie", low=1)
    least: float = option(0.5, "of KL(q(z|x), p(z)), what costs nothing", low=0.0)
    cv: float = option(0.4, "weight of the entropy of a document's clusters", low=0.0)

    name = "gmvae"
    summary = "clusters as a latent variable: finds them, and makes new documents"
    usual = {
        "epochs": 25,
        "batch_size": 100,
        "learning_rate": 1e-3,
        "min_steps": 1000,
        "max_steps": 3000,
        "validation_fraction": 0.0,
    }

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """The layers to the mean of v, and from v back."""
        return mirrored(shape, self.hidden, bits, "relu", self.sparse)

    def build(self, features: Features, bits: int) -> None:
        """The layers, those to the other figures of q, and those from w to the clusters."""
        super().build(features, bits)
        last = (prod(features.shape), *self.hidden)[-1]
        self.spread = nn.Linear(last, bits)
        self.of_style = nn.Linear(last, 2 * self.style)
        self.prior = mlp((self.style, 500, 2 * self.clusters * bits), "tanh")

    def learn(self, features: Features, bits: int, schedule: Schedule) -> None:
        """A quarter of the steps for the first phase, all of them for the second."""
        self.build(features, bits)
        train(self, features, [(self.plain, self.parameters())], schedule.scaled(1 / 4), label="first layers")
        self.place(self.over(features.input, self.logits), schedule.seed)
        train(self, features, [(self.loss, self.parameters())], schedule)

    def plain(self, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """Reconstruction from the mean of v."""
        return self.reconstruction(self.decode(self.logits(x)), x)

    def place(self, v: Floats, seed: int) -> None:
        """Have the clusters begin at the centres of v [n, bits], as wide as documents lie about those."""
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
        """The five terms."""
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
        """The same of a batch."""
        v, _, w, _ = self.posterior(x)
        return log_density(v[:, None], *self.components(w)).softmax(1)

    def sample(self, count: int, seed: int = 0) -> Floats:
        """float32 [count, dim], each from a cluster drawn evenly."""
        generator = torch.Generator().manual_seed(seed)
        z = torch.randint(self.clusters, (count,), generator=generator)
        with torch.no_grad():
            mean, spread = self.components(torch.randn(count, self.style, generator=generator))
            v = drawn(mean[torch.arange(count), z], spread[torch.arange(count), z], generator)
            return np.asarray(self.shown(self.decode(v)).numpy(), np.float32)


def _bounded(spread: Tensor) -> Tensor:
    return EXTREME * (spread / EXTREME).tanh()
