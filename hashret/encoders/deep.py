"""The deep autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from torch import nn

from hashret.encoders.net import Autoencoder
from hashret.options import option
from hashret.parts.bodies import ACTIVATIONS, mlp


@dataclass(kw_only=True, repr=False, eq=False)
class Deep(Autoencoder):
    """Several layers down to the code and the same back (Hinton & Salakhutdinov 2006), trained from random weights.

    code = sigmoid(f_L(... f_1(x))), output = g_1(... g_L(code)); bit j is unit j above its median.
    """

    hidden: tuple[int, ...] = option((512, 256), "units of the layers between input and code", low=1)
    activation: str = option("relu", "between the layers", choices=tuple(ACTIVATIONS))

    usual = {"rate": 2e-3}
    name = "deep"
    summary = "several layers each way: the deep autoencoder"

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """The stack and its mirror."""
        widths = (prod(shape), *self.hidden, bits)
        return mlp(widths, self.activation, flatten=len(shape) > 1, sparse=self.sparse), mlp(
            widths[::-1], self.activation
        )
