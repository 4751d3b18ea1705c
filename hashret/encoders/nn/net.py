"""`Autoencoder`, the base class of all neural encoders.

    features x --body--> logits --> code --decoder--> output, compared with x

A subclass defines its layers and its loss, and overrides other methods only if needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from hashret.encoders.base import Encoder
from hashret.encoders.nn.binarize import medians, straight_through
from hashret.encoders.nn.bodies import Standardize, mlp, program, suited
from hashret.features import CSRMatrix, Features, Floats
from hashret.options import Options, option
from hashret.runtime import Program
from hashret.training import Schedule, batch, fitting, seeded, train

AT_ONCE = 1000  # documents per batch after training


@dataclass(kw_only=True, repr=False, eq=False)
class Autoencoder(nn.Module, Encoder):
    """A network that computes a code from its input and reconstructs the input from the code."""

    usual: ClassVar[Mapping[str, float]] = {}  # defaults of the schedule for this encoder

    def __post_init__(self) -> None:
        nn.Module.__init__(self)
        Options.__post_init__(self)

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """Return the body, [n, *shape] -> logits [n, bits], and the decoder, code [n, bits] -> [n, dim]."""
        raise TypeError(f"{type(self).__name__} must implement layers")

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """Return the loss to minimise; by default, the reconstruction error from the bottleneck."""
        return self.reconstruction(self.decode(self.bottleneck(x)), x)

    def thresholds(self, logits: Floats) -> Floats:
        """Return the thresholds of the bits from the logits [n, bits] of the training documents; by default medians."""
        return medians(logits)

    def fit(self, features: Features, bits: int, schedule: Schedule) -> Self:
        """Train on the features, then set the thresholds."""
        schedule = schedule.completed(self.usual_for(features))
        with fitting(self.name, self.params(), features, bits, schedule):
            self.start(features, bits, schedule)
        self.threshold = np.zeros(bits, np.float32)
        self.threshold = self.thresholds(self.program().logits(features.input))
        return self

    def start(self, features: Features, bits: int, schedule: Schedule) -> None:
        """Learn, from the random numbers of the schedule's seed; `Restarted` chooses one of several seeds."""
        self.learn(features, bits, schedule)

    def usual_for(self, features: Features) -> Mapping[str, float]:
        """Return the defaults of the schedule for these features."""
        return self.usual

    def learn(self, features: Features, bits: int, schedule: Schedule) -> None:
        """Create and train the layers; subclasses may add training phases."""
        self.build(features, bits)
        train(self, features, [(self.loss, self.parameters())], schedule)

    def build(self, features: Features, bits: int) -> None:
        """Create the layers for features of this shape and type."""
        self.shape = features.shape
        self.sparse = isinstance(features.input, CSRMatrix)
        self.feature_type = features.feature_type
        self.words = len(features.input.data) / len(features) if isinstance(features.input, CSRMatrix) else 1.0
        self.body, self.decoder = self.layers(features.shape, bits)
        self.input = nn.Identity() if self.sparse else self.scaling(features.input)

    def scaling(self, x: Floats | CSRMatrix) -> nn.Module:
        """Return the module that scales dense features [n, dim] before the body."""
        return Standardize.of(x)

    def logits(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, bits]
        """Return the logits, which the thresholds turn into bits."""
        out: Tensor = self.body(self.input(x))
        return out

    def encode_soft(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, bits], each 0 to 1
        """Return the sigmoid of the logits."""
        return torch.sigmoid(self.logits(x))

    def decode(self, code: Tensor) -> Tensor:  # [batch, bits] -> [batch, dim]
        """Return the output of the decoder, which `reconstruction` compares with the input."""
        out: Tensor = self.decoder(code)
        return out

    def reconstruction(self, output: Tensor, x: Tensor) -> Tensor:  # [batch, dim], [batch, *shape] -> []
        """Return the reconstruction error, averaged over documents."""
        return self.distance(output, x).mean()

    def surprise(self, output: Tensor, x: Tensor) -> Tensor:  # [batch, dim], [batch, *shape] -> []
        """Return - log p(x | output) up to a constant; for words, reconstruction times the mean words per document."""
        return self.words * self.reconstruction(output, x)

    def distance(self, output: Tensor, x: Tensor) -> Tensor:  # [batch, dim], [batch, *shape] -> [batch]
        """Return the reconstruction error of each document:

        sparse words: - sum_w p_w log softmax(output)_w, p the word weights of the document as a distribution,
        values from 0 to 1: the cross-entropy of sigmoid(output), summed over dimensions,
        real numbers: the squared error, summed over dimensions.
        """
        target: Tensor = (self.input(x) if self.feature_type == "real" else x).flatten(1)
        if self.sparse:
            p = target / target.sum(1, keepdim=True).clamp_min(1e-12)
            return (-p * output.log_softmax(1)).sum(1)
        if self.feature_type == "unit":
            return (nn.functional.softplus(output) - target * output).sum(1)
        return (output - target).pow(2).sum(1)

    def shown(self, output: Tensor) -> Tensor:  # [batch, dim] -> [batch, dim]
        """Convert the decoder output to the scale of the input; for sparse words, to their shares in a document."""
        if self.sparse:
            return output.softmax(1)
        if self.feature_type == "unit":
            return output.sigmoid()
        return self.input.undo(output) if isinstance(self.input, Standardize) else output

    def bottleneck(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, bits]
        """Return the input of the decoder; by default the soft code."""
        return self.encode_soft(x)

    def reconstruct(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n, dim], decoded from the bottleneck; for sparse words, their shares."""
        return self.over(x, lambda rows: self.shown(self.decode(self.bottleneck(rows))))

    def outlier_scores(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n]: the reconstruction error."""
        return self.over(x, lambda rows: self.distance(self.decode(self.bottleneck(rows)), rows))

    def over(self, x: Floats | CSRMatrix, compute: Callable[[Tensor], Tensor]) -> Floats:
        """Apply `compute` to the features [n, dim] in batches, in eval mode and without gradients: float32 [n, ...]."""
        features, rows = Features(x, self.shape, self.feature_type), np.arange(len(x))
        device = next(self.parameters()).device  # may be a GPU during training
        self.eval()
        with torch.no_grad():
            parts = np.array_split(rows, max(1, -(-len(rows) // AT_ONCE)))
            given = [compute(batch(features, part, device)[0]) for part in parts]
        return torch.cat(given).cpu().numpy()

    def state(self) -> Mapping[str, Floats]:
        """Return weights and buffers."""
        return {name: value.detach().cpu().numpy() for name, value in self.state_dict().items()}

    def restore(self, like: Features, bits: int, state: Mapping[str, Floats]) -> Self:
        """Create the layers and load their weights."""
        dim = prod(like.shape)
        one = CSRMatrix(np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(2, np.int64), dim)
        with seeded(0):  # random initial weights must not affect the random state of a fit in another thread
            self.build(
                Features(one if isinstance(like.input, CSRMatrix) else one.dense(), like.shape, like.feature_type), bits
            )
        tensors = {name: torch.from_numpy(np.array(value)) for name, value in state.items()}
        for name, _ in [*self.named_buffers()]:  # the sizes of some buffers depend on the training documents
            owner, _, own = name.rpartition(".")
            if name in tensors:
                setattr(self.get_submodule(owner), own, tensors[name])
        self.load_state_dict(tensors)
        self.eval()
        return self

    def program(self) -> Program:
        """Return a program with the scaling, the body and the thresholds."""
        return program(nn.Sequential(self.input, self.body), self.threshold, self.shape)


@dataclass(kw_only=True, repr=False, eq=False)
class BernoulliAutoencoder(Autoencoder):
    """Base class of encoders with Bernoulli bits: bit j is 1 with probability sigmoid(logit_j)."""

    hidden: tuple[int, ...] = option((512,), "units of the layers between input and code", low=1)
    dropout: float = option(0.1, "share of hidden units dropped at each step", low=0.0, high=0.9)
    body_kind: str = option(
        "auto", "kind of layers; auto: convolutional for suitable images, else MLP", choices=("auto", "mlp", "conv")
    )

    def bottleneck(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, bits]
        """Return the bits, each -1 or 1."""
        return 2 * straight_through(self.encode_soft(x), sample=False) - 1

    convolved: ClassVar[tuple[int, ...]] = (3,)  # numbers of image channels with a convolutional body

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """A body that suits the input, with batch-normalised logits to avoid constant bits, and a linear decoder."""
        body = suited(shape, self.hidden, bits, self.dropout, self.body_kind, self.sparse, self.convolved)
        return nn.Sequential(body, nn.BatchNorm1d(bits, affine=False)), mlp((bits, prod(shape)), "relu")

    def thresholds(self, logits: Floats) -> Floats:
        """Zeros: a bit is 1 if its probability is above one half."""
        return np.zeros(logits.shape[1], np.float32)
