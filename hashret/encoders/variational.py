"""The variational autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, prod

import numpy as np
import torch
from torch import Tensor, nn

from hashret.encoders.nn.bodies import mlp
from hashret.encoders.nn.gaussian import divergence, drawn, log_density
from hashret.encoders.nn.net import Autoencoder
from hashret.features import CSRMatrix, Floats
from hashret.options import option


@dataclass(kw_only=True, repr=False, eq=False)
class Variational(Autoencoder):
    """The code of a document is a normal distribution (Kingma & Welling 2013).

    q(z | x) = N(mu, s^2), mu and ln s^2 linear in the last hidden layer, z = mu + s e with e ~ N(0, I)
    loss = - E ln p(x | z) + beta KL(q || N(0, I)),  KL = 1/2 sum_j (mu_j^2 + s_j^2 - 1 - ln s_j^2)

    Bit j is the sign of mu_j. With `dynamic`, values from 0 to 1 are sampled as 0 or 1 at each step.
    """

    hidden: tuple[int, ...] = option((400,), "units of the layers between input and code, at least one", low=1)
    beta: float = option(1.0, "weight of the divergence from the prior", low=0.0)
    dynamic: bool = option(False, "sample pixels as 0 or 1, with their values as probabilities")

    usual = {"learning_rate": 1e-3}
    name = "variational"
    summary = "codes sampled from a Gaussian: can generate new documents"

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """Hidden layers to mu and mirrored layers back; `spread` computes ln s^2."""
        widths = (prod(shape), *(self.hidden or (400,)), bits)
        self.spread = nn.Linear(widths[-2], bits)
        return mlp(widths, "relu", flatten=len(shape) > 1, sparse=self.sparse), mlp(widths[::-1], "relu")

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:  # [batch, *shape] -> two of [batch, bits]
        """Return mu and ln s^2."""
        hidden = self.body[:-1](self.input(x))  # type: ignore[index]
        return self.body[-1](hidden), self.spread(hidden).clamp(-15, 15)  # type: ignore[index]

    def bottleneck(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, bits]
        """The mean mu."""
        return self.logits(x)

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """The negative evidence lower bound."""
        if self.dynamic and self.feature_type == "unit" and self.training:
            x = torch.bernoulli(x)
        mu, spread = self.posterior(x)
        z = drawn(mu, spread) if self.training else mu
        apart = divergence(mu, spread, torch.zeros_like(mu), torch.zeros_like(mu))
        return self.surprise(self.decode(z), x) + self.beta * apart.mean()

    def thresholds(self, logits: Floats) -> Floats:
        """Zeros: a bit is the sign of mu."""
        return np.zeros(logits.shape[1], np.float32)

    def sample(self, count: int, seed: int = 0) -> Floats:
        """Return float32 [count, dim], decoded from samples of the prior."""
        bits = self.spread.out_features
        z = torch.randn(count, bits, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            return np.asarray(self.shown(self.decode(z)).numpy(), np.float32)

    def log_likelihood(self, x: Floats | CSRMatrix, draws: int = 200, seed: int = 0) -> Floats:
        """Return ln p(x) of values 0 or 1, [n, dim] -> float32 [n], by importance sampling (Burda et al. 2016)."""
        generator = torch.Generator().manual_seed(seed)

        def estimate(rows: Tensor) -> Tensor:
            mu, spread = self.posterior(rows)
            found = []
            for _ in range(draws):
                z = drawn(mu, spread, generator)
                prior = log_density(z, torch.zeros_like(z), torch.zeros_like(z))
                found.append(prior - log_density(z, mu, spread) - self.distance(self.decode(z), rows))
            return torch.stack(found).logsumexp(0) - log(draws)

        return self.over(x, estimate)
