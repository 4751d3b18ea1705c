"""The basic autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from torch import nn

from hashret.encoders.net import Autoencoder
from hashret.parts.bodies import mlp


@dataclass(kw_only=True, repr=False, eq=False)
class Shallow(Autoencoder):
    """One layer of sigmoid units and one back (Rumelhart, Hinton & Williams 1986).

    code = sigmoid(W x + b), output = V code + c; bit j is unit j above its median.
    """

    name = "autoencoder"
    summary = "one hidden layer: the basic autoencoder"

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """One linear layer each way."""
        dim = prod(shape)
        return mlp((dim, bits), "sigmoid", flatten=len(shape) > 1, sparse=self.sparse), mlp((bits, dim), "sigmoid")
