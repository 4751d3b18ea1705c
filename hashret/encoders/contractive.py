"""The contractive autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from hashret.encoders.nn.bodies import SparseLinear, Tied, louder, mlp
from hashret.encoders.nn.net import Autoencoder
from hashret.features import Features
from hashret.options import option


@dataclass(kw_only=True, repr=False, eq=False)
class Contractive(Autoencoder):
    """A code that small changes of the input hardly affect (Rifai et al. 2011).

    loss = reconstruction + lam |J|^2, J = d code / d x, code = sigmoid(f(x))
    one layer, code = sigmoid(W x + b):  |J|^2 = sum_j (code_j (1 - code_j))^2 sum_i W_ji^2, and the decoder is W^T
    several layers:  |J|^2 = E |u J|^2 over random signs u, one sample per step (Hutchinson 1990)
    """

    lam: float = option(0.1, "weight of the squared norm of the Jacobian", low=0.0)
    hidden: tuple[int, ...] = option((), "units of the layers between input and code; empty: one, tied weights", low=1)

    usual = {"learning_rate": 2e-3}
    name = "contractive"
    summary = "codes that small changes hardly affect: near-duplicates share a bucket"

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """One layer and its transpose, or several layers in encoder and decoder."""
        widths = (prod(shape), *self.hidden, bits)
        body = mlp(widths, "sigmoid", flatten=len(shape) > 1, sparse=self.sparse)
        return body, mlp(widths[::-1], "sigmoid") if self.hidden else Tied(body[-1])  # type: ignore[arg-type]

    def build(self, features: Features, bits: int) -> None:
        """Create the layers; scale word weights up to the size of counts, which tied layers need to learn."""
        super().build(features, bits)
        louder(self.body, features)

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """Reconstruction plus the contraction penalty."""
        x = x.requires_grad_(bool(self.hidden) and torch.is_grad_enabled())
        code = self.encode_soft(x)
        norm = self.estimated(code, x) if self.hidden else self.closed(code)
        return self.surprise(self.decode(code), x) + self.lam * norm.mean()

    def closed(self, code: Tensor) -> Tensor:  # [batch, bits] -> [batch]
        """|J|^2 of one sigmoid layer, with J relative to the input of the layer."""
        layer = self.body[-1]  # type: ignore[index]
        squared = layer.by_word.square().sum(0) if isinstance(layer, SparseLinear) else layer.weight.square().sum(1)
        return (code * (1 - code)).square() @ squared

    def estimated(self, code: Tensor, x: Tensor) -> Tensor:  # [batch, bits], [batch, *shape] -> [batch]
        """Estimate |J|^2 with random signs; returns 0 during validation, when there are no gradients."""
        if not x.requires_grad:
            return torch.zeros(len(x))
        signs = torch.randint_like(code, 2) * 2 - 1
        (turned,) = torch.autograd.grad(code, x, signs, create_graph=True)
        lowest = self.body[0]  # type: ignore[index]
        gain = lowest.get_buffer("gain") if isinstance(lowest, SparseLinear) else 1.0  # J relative to the scaled words
        return (turned / gain).flatten(1).square().sum(1)
