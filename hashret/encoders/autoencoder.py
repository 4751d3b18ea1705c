"""The basic autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from torch import Tensor, nn

from hashret.encoders.nn.bodies import mlp
from hashret.encoders.nn.net import Autoencoder
from hashret.options import option


@dataclass(kw_only=True, repr=False, eq=False)
class Shallow(Autoencoder):
    """One layer of sigmoid units and one back (Rumelhart, Hinton & Williams 1986).

    code = sigmoid(W x + b), output = V code + c; bit j is unit j above its median. With linear units,
    code = W x + b, the best that squared error allows are the principal components (Baldi & Hornik 1989).
    """

    units: str = option("sigmoid", "of the code", choices=("sigmoid", "linear"))

    name = "autoencoder"
    summary = "one hidden layer: the basic autoencoder"

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """One linear layer each way."""
        dim = prod(shape)
        return mlp((dim, bits), "sigmoid", flatten=len(shape) > 1, sparse=self.sparse), mlp((bits, dim), "sigmoid")

    def bottleneck(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, bits]
        """The code of either kind of units."""
        return self.logits(x) if self.units == "linear" else self.encode_soft(x)
