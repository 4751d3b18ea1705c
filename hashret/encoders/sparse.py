"""The sparse autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, prod

import torch
from torch import Tensor, nn

from hashret.encoders.nn.bodies import mlp
from hashret.encoders.nn.net import Autoencoder
from hashret.options import option


@dataclass(kw_only=True, repr=False, eq=False)
class Sparse(Autoencoder):
    """Sigmoid units of which few are active at a time, so that each one is interpretable.

    kl        loss = reconstruction + beta sum_j KL(rho || mean activation of unit j) + decay / 2 |W|^2   (Ng 2011)
    logistic  loss = reconstruction + beta sum_j log(1 + code_j^2) + decay / 2 |W|^2        (Ranzato et al. 2007)
    """

    rho: float = option(0.1, "target mean activation", low=1e-4, high=0.9999)
    beta: float = option(0.1, "weight of the sparsity penalty", low=0.0)
    decay: float = option(3e-5, "weight of the squared weights", low=0.0)
    penalty: str = option(
        "kl", "what is sparse: each unit over documents, or the code of each document", choices=("kl", "logistic")
    )

    # no documents are held out: mean activations of few documents are inaccurate, more so for sparser codes
    usual = {"learning_rate": 2e-3, "validation_fraction": 0.0}
    name = "sparse"
    summary = "few units active at a time: interpretable bits"

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """One linear layer in encoder and decoder; the initial mean activation is about `rho`."""
        dim = prod(shape)
        body = mlp((dim, bits), "sigmoid", flatten=len(shape) > 1, sparse=self.sparse)
        nn.init.constant_(body[-1].get_parameter("bias"), log(self.rho / (1 - self.rho)))
        return body, mlp((bits, dim), "sigmoid")

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """Reconstruction plus sparsity penalty plus weight decay."""
        code = self.encode_soft(x)
        squared = sum(p.square().sum() for name, p in self.named_parameters() if not name.endswith("bias"))
        return self.surprise(self.decode(code), x) + self.beta * self.sparsity(code) + self.decay / 2 * squared

    def sparsity(self, code: Tensor) -> Tensor:  # [batch, bits] -> []
        """Return the sparsity penalty of a code."""
        if self.penalty == "logistic":
            return code.square().log1p().sum(1).mean()
        q = code.mean(0).clamp(1e-6, 1 - 1e-6)
        rho = torch.full_like(q, self.rho)
        return (rho * (rho / q).log() + (1 - rho) * ((1 - rho) / (1 - q)).log()).sum()
