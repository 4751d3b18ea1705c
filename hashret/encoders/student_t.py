"""The variational autoencoder with a heavy-tailed output distribution."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi, prod

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from hashret.encoders.nn.bodies import ACTIVATIONS, Standardize, mlp
from hashret.encoders.nn.gaussian import divergence, drawn
from hashret.encoders.nn.restarts import Restarted
from hashret.features import CSRMatrix, Features, Floats
from hashret.options import option

DRAWS = 16  # samples of the code to estimate the likelihood of a document
LEAST = 1e-3  # lower bound of precision and degrees of freedom, which keeps the density finite and smooth


@dataclass(kw_only=True, repr=False, eq=False)
class StudentT(Restarted):
    """Each value has a Student's t distribution with parameters from the decoder (Takahashi et al. 2018).

    q(z | x) = N(mean, exp(log variance)), p(z) = N(0, I), m, a, v = decoder(z): centre, precision, degrees of freedom
    log p(x | z) = sum_i lgamma((v + 1) / 2) - lgamma(v / 2) + log(a / pi v) / 2 - (v + 1) / 2 log(1 + a d^2 / v)
    with d = x_i - m; for a Gaussian output, log(a / 2 pi) / 2 - a d^2 / 2
    loss = - log p(x | z) + KL(q || p) = - log p(x | z) + sum_j (mean^2 + variance - log variance - 1) / 2
    The outlier score is - log p(x), estimated from DRAWS samples z of q: p(x) = mean of p(x | z) p(z) / q(z | x).
    All features are treated as real numbers. Bit j is 1 if the mean is above its median.
    """

    output: str = option("student-t", "output distribution", choices=("student-t", "gaussian"))
    hidden: tuple[int, ...] = option((256,), "units of the layers between input and code", low=1)
    activation: str = option("tanh", "activation between the layers", choices=tuple(ACTIVATIONS))

    usual = {
        "learning_rate": 1e-3,
        "min_steps": 1000,
        "max_steps": 1500,
    }  # with three outputs per word, texts take minutes
    name = "student-t"
    summary = "variational, with a heavy-tailed output distribution"

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """The layers to the mean, and back to three parameters per dimension."""
        dim = prod(shape)
        body = mlp((dim, *self.hidden, bits), self.activation, flatten=len(shape) > 1, sparse=self.sparse)
        return body, mlp((bits, *self.hidden[::-1], 3 * dim), self.activation)

    def build(self, features: Features, bits: int) -> None:
        """Create the layers, the head of the log variance, and fixed noise for likelihoods."""
        super().build(features, bits)
        self.spread = nn.Linear((prod(features.shape), *self.hidden)[-1], bits)
        self.register_buffer("noise", torch.randn(DRAWS, bits))

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """The negative evidence lower bound, from one sample; from the mean in validation."""
        mean, log_variance = self.posterior(x)
        z = drawn(mean, log_variance) if self.training else mean
        apart = divergence(mean, log_variance, torch.zeros_like(mean), torch.zeros_like(mean))
        return (apart - self.log_density(x, z)).mean()

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:  # [batch, *shape] -> [batch, bits] twice
        """Return mean and log variance of the code."""
        assert isinstance(self.body, nn.Sequential)
        h = self.body[:-1](self.input(x))  # the last hidden layer
        return self.body[-1](h), self.spread(h)

    def log_density(self, x: Tensor, z: Tensor) -> Tensor:  # [batch, *shape], [batch, bits] -> [batch]
        """Return log p(x | z)."""
        m, a, v = self.decoder(z).chunk(3, dim=1)  # [batch, dim] each
        a, v = softplus(a) + LEAST, softplus(v) + LEAST
        squares = (self.input(x).flatten(1) - m).square()
        return log_t(squares, a, v).sum(1) if self.output == "student-t" else log_gaussian(squares, a).sum(1)

    def log_likelihood(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch]
        """Return log p(x) of the standardised document, by importance sampling."""
        mean, log_variance = self.posterior(x)
        ratios = []
        for noise in self.get_buffer("noise"):  # [bits]
            z = mean + noise * (log_variance / 2).exp()
            prior = (noise.square() + log_variance - z.square()).sum(1) / 2  # log p(z) - log q(z | x)
            ratios.append(self.log_density(x, z) + prior)
        return torch.stack(ratios).logsumexp(0) - log(DRAWS)

    def objective(self, features: Features) -> float:
        """The mean of - log p(x)."""
        return float(self.outlier_scores(features.input).mean(dtype=np.float64))

    def outlier_scores(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n]: - log p(x)."""
        return self.over(x, lambda rows: -self.log_likelihood(rows))

    def bottleneck(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, bits]
        """The mean."""
        return self.logits(x)

    def decode(self, code: Tensor) -> Tensor:  # [batch, bits] -> [batch, dim]
        """Return the centres of the output distribution."""
        centres: Tensor = self.decoder(code).chunk(3, dim=1)[0]
        return centres

    def shown(self, output: Tensor) -> Tensor:  # [batch, dim] -> [batch, dim]
        """Return the centres in the original scale, with standardisation undone."""
        return self.input.undo(output) if isinstance(self.input, Standardize) else output

    def sample(self, count: int, seed: int = 0) -> Floats:
        """Return float32 [count, dim]: the output centres of codes sampled from the prior."""
        self.eval()
        with torch.no_grad():
            z = torch.randn(count, self.get_buffer("noise").shape[1], generator=torch.Generator().manual_seed(seed))
            return self.shown(self.decode(z)).numpy()


def log_t(squares: Tensor, a: Tensor, v: Tensor) -> Tensor:
    """Return the log density of Student's t with precision a and v degrees of freedom; `squares` is (x - m)^2."""
    level = torch.lgamma((v + 1) / 2) - torch.lgamma(v / 2) + (a / (pi * v)).log() / 2
    return level - (v + 1) / 2 * (a * squares / v).log1p()


def log_gaussian(squares: Tensor, a: Tensor) -> Tensor:
    """Return the log density of a Gaussian with precision a; `squares` is (x - m)^2."""
    return (a / (2 * pi)).log() / 2 - a * squares / 2
