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
    """One hidden layer of sigmoid units and a linear output layer (Rumelhart, Hinton & Williams 1986).

    code = sigmoid(W x + b), output = V code + c; bit j is 1 if unit j is above its median. With linear units,
    code = W x + b, the optimum of the squared error spans the principal components (Baldi & Hornik 1989).
    """

    units: str = option("sigmoid", "activation of the code", choices=("sigmoid", "linear"))

    name = "autoencoder"
    summary = "one hidden layer: the basic autoencoder"

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """One linear layer in the encoder and one in the decoder."""
        dim = prod(shape)
        return mlp((dim, bits), "sigmoid", flatten=len(shape) > 1, sparse=self.sparse), mlp((bits, dim), "sigmoid")

    def bottleneck(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, bits]
        """The code, with linear or sigmoid units."""
        return self.logits(x) if self.units == "linear" else self.encode_soft(x)
