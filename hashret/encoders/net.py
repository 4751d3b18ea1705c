"""Autoencoder: the base of every encoder that is a net.

    features x --body--> logits --> code --decoder--> output, compared with x

A variant writes its loss, and other layers or phases only where it has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from hashret.encoders.base import Encoder
from hashret.features import Features, Floats, Rows
from hashret.options import Options, option
from hashret.parts.binarize import medians
from hashret.parts.bodies import Standardize, mlp, program, suited
from hashret.runtime import Program
from hashret.training import Schedule, seeded, train


@dataclass(kw_only=True, repr=False, eq=False)
class Autoencoder(nn.Module, Encoder):
    """A net that makes a code of its input and the input of its code."""

    usual: ClassVar[Mapping[str, float]] = {}  # of the schedule, where it says nothing else

    def __post_init__(self) -> None:
        nn.Module.__init__(self)
        Options.__post_init__(self)

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """The body, [n, *shape] -> logits [n, bits], and the decoder, code [n, bits] -> [n, dim]."""
        raise TypeError(f"{type(self).__name__} must say its layers")

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """What is minimised; unless a variant says otherwise, the reconstruction of the input from the soft code."""
        return self.reconstruction(self.decode(self.encode_soft(x)), x)

    def thresholds(self, logits: Floats) -> Floats:
        """Where each bit is cut, given the training documents' logits [n, bits]; unless overridden, in half."""
        return medians(logits)

    def fit(self, features: Features, bits: int, schedule: Schedule) -> Self:
        """Train on the features, then cut the bits."""
        with seeded(schedule.seed):
            self.learn(features, bits, schedule.completed(self.usual))
        self.threshold = np.zeros(bits, np.float32)
        self.threshold = self.thresholds(self.program().logits(features.input))
        return self

    def learn(self, features: Features, bits: int, schedule: Schedule) -> None:
        """Make the layers and train them; more phases where a variant has them."""
        self.build(features, bits)
        train(self, features, [(self.loss, self.parameters())], schedule)

    def build(self, features: Features, bits: int) -> None:
        """Make the layers for features of this shape and kind."""
        self.shape = features.shape
        self.sparse = isinstance(features.input, Rows)
        self.gives = features.gives
        self.body, self.decoder = self.layers(features.shape, bits)
        self.input = nn.Identity() if self.sparse else Standardize.of(features.input)

    def logits(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, bits]
        """What is cut into bits."""
        out: Tensor = self.body(self.input(x))
        return out

    def encode_soft(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, bits], each 0 to 1
        """The code before it is cut."""
        return torch.sigmoid(self.logits(x))

    def decode(self, code: Tensor) -> Tensor:  # [batch, bits] -> [batch, dim]
        """The output that `reconstruction` compares with the input."""
        out: Tensor = self.decoder(code)
        return out

    def reconstruction(self, output: Tensor, x: Tensor) -> Tensor:  # [batch, dim], [batch, *shape] -> []
        """How far the output is from the input, a mean over documents of

        sparse words: - sum_w p_w log softmax(output)_w, p the document's weights as a distribution,
        values 0 to 1: the cross-entropy of sigmoid(output), summed over dimensions,
        any numbers: the squared error, summed over dimensions.
        """
        target: Tensor = (self.input(x) if self.gives == "real" else x).flatten(1)
        if self.sparse:
            p = target / target.sum(1, keepdim=True).clamp_min(1e-12)
            distance = -p * output.log_softmax(1)
        elif self.gives == "unit":
            distance = nn.functional.softplus(output) - target * output
        else:
            distance = (output - target).pow(2)
        return distance.sum(1).mean()

    def program(self) -> Program:
        """The input's scaling, the body and the thresholds."""
        return program(nn.Sequential(self.input, self.body), self.threshold, self.shape)


@dataclass(kw_only=True, repr=False, eq=False)
class Coins(Autoencoder):
    """The base of those whose bits are Bernoulli variables: bit j is 1 with the chance sigmoid(logit_j)."""

    hidden: tuple[int, ...] = option((512,), "units of the layers between input and code", low=1)
    dropout: float = option(0.1, "share of hidden units left out at each step", low=0.0, high=0.9)
    body_kind: str = option(
        "auto", "layers; auto: convolutional where that serves pictures of this kind", choices=("auto", "mlp", "conv")
    )

    convolved: ClassVar[tuple[int, ...]] = (3,)  # channels of the pictures whose body is convolutional

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """A body that suits the input, its logits normalised so that no bit dies; one linear layer back."""
        body = suited(shape, self.hidden, bits, self.dropout, self.body_kind, self.sparse, self.convolved)
        return nn.Sequential(body, nn.BatchNorm1d(bits, affine=False)), mlp((bits, prod(shape)), "relu")

    def thresholds(self, logits: Floats) -> Floats:
        """A bit is 1 where it is more likely 1 than 0."""
        return np.zeros(logits.shape[1], np.float32)
