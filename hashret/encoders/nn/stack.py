"""Stacked: the base of those whose layers are first trained one by one, as restricted Boltzmann machines.

    features --RBM--> hidden 1 --RBM--> ... --RBM, linear--> logits

Each machine is trained on what those below it make of the documents; then all are unrolled, body down and decoder up
with the same weights, and fine-tuned together by the variant's loss (Hinton & Salakhutdinov 2006).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod

import torch
from torch import nn

from hashret.encoders.nn.bodies import ACTIVATIONS, SparseLinear, louder, mirrored, settle
from hashret.encoders.nn.net import Autoencoder
from hashret.encoders.nn.rbm import RBM, pretrain
from hashret.features import CSRMatrix, Features, Floats
from hashret.options import option
from hashret.training import Schedule, train


@dataclass(kw_only=True, repr=False, eq=False)
class Stacked(Autoencoder):
    """Layers of sigmoid units, pretrained."""

    hidden: tuple[int, ...] = option((512, 256), "units of the layers between input and code", low=1)
    activation: str = option("sigmoid", "between the layers; pretraining is for sigmoid", choices=tuple(ACTIVATIONS))
    pretraining: float = option(
        0.33, "steps that each layer is trained alone, as a share of all; 0: start at random", low=0.0
    )

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """The stack and its mirror."""
        return mirrored(shape, self.hidden, bits, self.activation, self.sparse)

    def scaling(self, x: Floats | CSRMatrix) -> nn.Module:
        """Values of 0 to 1 go in as they are: they are the chances of binary units."""
        return super().scaling(x) if self.feature_type == "real" else nn.Identity()

    def learn(self, features: Features, bits: int, schedule: Schedule) -> None:
        """One machine a layer, from below; then all together."""
        self.build(features, bits)
        counted = louder(self.body, features)  # what the machines' rates are made for
        steps = int(schedule.steps(len(features)) * self.pretraining)
        if steps and self.activation == "sigmoid":
            stack = self.machines(prod(features.shape), bits)
            pretrain(stack, counted, schedule, steps, self.input)
            self.unroll(stack)
        train(self, features, [(self.loss, self.parameters())], schedule)
        settle(self.body)

    def machines(self, dim: int, bits: int) -> list[RBM]:
        """Untrained, from the input to the code."""
        bottom = "words" if self.sparse else "real" if self.feature_type == "real" else "binary"
        widths = list(pairwise((dim, *self.hidden, bits)))
        return [
            RBM(below, above, bottom if level == 0 else "binary", linear=level == len(widths) - 1)
            for level, (below, above) in enumerate(widths)
        ]

    def unroll(self, stack: list[RBM]) -> None:
        """Give body and decoder the machines' weights."""
        down = [layer for layer in self.body.modules() if isinstance(layer, nn.Linear | SparseLinear)]
        up = [layer for layer in self.decoder.modules() if isinstance(layer, nn.Linear)]
        with torch.no_grad():
            for layer, mirror, machine in zip(down, up[::-1], stack, strict=True):
                held = layer.by_word if isinstance(layer, SparseLinear) else layer.weight
                held.copy_(machine.weight if isinstance(layer, SparseLinear) else machine.weight.T)
                layer.bias.copy_(machine.above)
                mirror.weight.copy_(machine.weight)
                mirror.bias.copy_(machine.below)
