"""`Stacked`, the base class of autoencoders with layers that are pretrained as restricted Boltzmann machines.

    features --RBM--> hidden 1 --RBM--> ... --RBM, linear--> logits

Each machine is trained on the outputs of those below it. Then their weights initialise body and decoder, which are
fine-tuned together with the loss of the subclass (Hinton & Salakhutdinov 2006).
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
    """Base class of autoencoders with pretrained sigmoid layers."""

    hidden: tuple[int, ...] = option((512, 256), "units of the layers between input and code", low=1)
    activation: str = option("sigmoid", "of the layers; only sigmoid layers are pretrained", choices=tuple(ACTIVATIONS))
    pretraining: float = option(
        0.33, "pretraining steps of each layer, as a share of all steps; 0: no pretraining", low=0.0
    )

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """The stack and its mirror."""
        return mirrored(shape, self.hidden, bits, self.activation, self.sparse)

    def scaling(self, x: Floats | CSRMatrix) -> nn.Module:
        """Values from 0 to 1 are not scaled, because they are probabilities of binary units."""
        return super().scaling(x) if self.feature_type == "real" else nn.Identity()

    def learn(self, features: Features, bits: int, schedule: Schedule) -> None:
        """Pretrain the layers from the bottom up, then train all of them together."""
        self.build(features, bits)
        counted = louder(self.body, features)  # the learning rates of the machines are tuned for counts
        steps = int(schedule.steps(len(features)) * self.pretraining)
        if steps and self.activation == "sigmoid":
            stack = self.machines(prod(features.shape), bits)
            pretrain(stack, counted, schedule, steps, self.input)
            self.unroll(stack)
        train(self, features, [(self.loss, self.parameters())], self.fine_tuning(schedule))
        settle(self.body)

    def fine_tuning(self, schedule: Schedule) -> Schedule:
        """Return the schedule of the training of all layers together."""
        return schedule

    def machines(self, dim: int, bits: int) -> list[RBM]:
        """Return untrained machines, from the input to the code."""
        bottom = "words" if self.sparse else "real" if self.feature_type == "real" else "binary"
        widths = list(pairwise((dim, *self.hidden, bits)))
        return [
            RBM(below, above, bottom if level == 0 else "binary", linear=level == len(widths) - 1)
            for level, (below, above) in enumerate(widths)
        ]

    def unroll(self, stack: list[RBM]) -> None:
        """Copy the weights of the machines to body and decoder."""
        down = [layer for layer in self.body.modules() if isinstance(layer, nn.Linear | SparseLinear)]
        up = [layer for layer in self.decoder.modules() if isinstance(layer, nn.Linear)]
        with torch.no_grad():
            for layer, mirror, machine in zip(down, up[::-1], stack, strict=True):
                held = layer.by_word if isinstance(layer, SparseLinear) else layer.weight
                held.copy_(machine.weight if isinstance(layer, SparseLinear) else machine.weight.T)
                layer.bias.copy_(machine.above)
                mirror.weight.copy_(machine.weight)
                mirror.bias.copy_(machine.below)
