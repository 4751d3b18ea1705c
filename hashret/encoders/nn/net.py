"""Autoencoder: the base of every encoder that is a net.

    features x --body--> logits --> code --decoder--> output, compared with x

A variant writes its loss, and other layers or phases only where it has them.
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
from hashret.training import Schedule, batch, seeded, train

AT_ONCE = 1000  # documents that pass through a net together, once it is trained


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
        """What is minimised; unless a variant says otherwise, the reconstruction of the input from the bottleneck."""
        return self.reconstruction(self.decode(self.bottleneck(x)), x)

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
        self.sparse = isinstance(features.input, CSRMatrix)
        self.feature_type = features.feature_type
        self.words = len(features.input.data) / len(features) if isinstance(features.input, CSRMatrix) else 1.0
        self.body, self.decoder = self.layers(features.shape, bits)
        self.input = nn.Identity() if self.sparse else self.scaling(features.input)

    def scaling(self, x: Floats | CSRMatrix) -> nn.Module:
        """What features that are not words [n, dim] pass before the body."""
        return Standardize.of(x)

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
        """How far the output is from the input, a mean over documents."""
        return self.distance(output, x).mean()

    def surprise(self, output: Tensor, x: Tensor) -> Tensor:  # [batch, dim], [batch, *shape] -> []
        """- log p(x | output) but for a constant: the reconstruction; of words, of as many as documents have."""
        return self.words * self.reconstruction(output, x)

    def distance(self, output: Tensor, x: Tensor) -> Tensor:  # [batch, dim], [batch, *shape] -> [batch]
        """How far each output is from its input:

        sparse words: - sum_w p_w log softmax(output)_w, p the document's weights as a distribution,
        values 0 to 1: the cross-entropy of sigmoid(output), summed over dimensions,
        any numbers: the squared error, summed over dimensions.
        """
        target: Tensor = (self.input(x) if self.feature_type == "real" else x).flatten(1)
        if self.sparse:
            p = target / target.sum(1, keepdim=True).clamp_min(1e-12)
            return (-p * output.log_softmax(1)).sum(1)
        if self.feature_type == "unit":
            return (nn.functional.softplus(output) - target * output).sum(1)
        return (output - target).pow(2).sum(1)

    def shown(self, output: Tensor) -> Tensor:  # [batch, dim] -> [batch, dim]
        """The output as the input it stands for; of sparse words, their shares of a document."""
        if self.sparse:
            return output.softmax(1)
        if self.feature_type == "unit":
            return output.sigmoid()
        return self.input.undo(output) if isinstance(self.input, Standardize) else output

    def bottleneck(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, bits]
        """What the decoder is given of a document; the soft code, unless a variant says otherwise."""
        return self.encode_soft(x)

    def reconstruct(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n, dim], made again from the bottleneck; of sparse words their shares."""
        return self.over(x, lambda rows: self.shown(self.decode(self.bottleneck(rows))))

    def outlier_scores(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n]: how badly each is reconstructed."""
        return self.over(x, lambda rows: self.distance(self.decode(self.bottleneck(rows)), rows))

    def over(self, x: Floats | CSRMatrix, compute: Callable[[Tensor], Tensor]) -> Floats:
        """What `compute` gives of the features [n, dim], a batch at a time, nothing random in it: float32 [n, ...]."""
        features, rows = Features(x, self.shape, self.feature_type), np.arange(len(x))
        device = next(self.parameters()).device  # not the CPU in the midst of training
        self.eval()
        with torch.no_grad():
            parts = np.array_split(rows, max(1, -(-len(rows) // AT_ONCE)))
            given = [compute(batch(features, part, device)[0]) for part in parts]
        return torch.cat(given).cpu().numpy()

    def state(self) -> Mapping[str, Floats]:
        """Weights and buffers."""
        return {name: value.detach().cpu().numpy() for name, value in self.state_dict().items()}

    def restore(self, like: Features, bits: int, state: Mapping[str, Floats]) -> Self:
        """Make the layers and take up their weights."""
        dim = prod(like.shape)
        one = CSRMatrix(np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(2, np.int64), dim)
        with seeded(0):  # layers are made with random weights, which no fit in another thread may notice
            self.build(
                Features(one if isinstance(like.input, CSRMatrix) else one.dense(), like.shape, like.feature_type), bits
            )
        tensors = {name: torch.from_numpy(np.array(value)) for name, value in state.items()}
        for name, _ in [*self.named_buffers()]:  # what depends on the documents has no size before they are seen
            owner, _, own = name.rpartition(".")
            if name in tensors:
                setattr(self.get_submodule(owner), own, tensors[name])
        self.load_state_dict(tensors)
        self.eval()
        return self

    def program(self) -> Program:
        """The input's scaling, the body and the thresholds."""
        return program(nn.Sequential(self.input, self.body), self.threshold, self.shape)


@dataclass(kw_only=True, repr=False, eq=False)
class BernoulliAutoencoder(Autoencoder):
    """The base of those whose bits are Bernoulli variables: bit j is 1 with the chance sigmoid(logit_j)."""

    hidden: tuple[int, ...] = option((512,), "units of the layers between input and code", low=1)
    dropout: float = option(0.1, "share of hidden units left out at each step", low=0.0, high=0.9)
    body_kind: str = option(
        "auto", "layers; auto: convolutional where that serves images of this kind", choices=("auto", "mlp", "conv")
    )

    def bottleneck(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, bits]
        """The bits themselves, each -1 or 1."""
        return 2 * straight_through(self.encode_soft(x), sample=False) - 1

    convolved: ClassVar[tuple[int, ...]] = (3,)  # channels of the images whose body is convolutional

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """A body that suits the input, its logits normalised so that no bit dies; one linear layer back."""
        body = suited(shape, self.hidden, bits, self.dropout, self.body_kind, self.sparse, self.convolved)
        return nn.Sequential(body, nn.BatchNorm1d(bits, affine=False)), mlp((bits, prod(shape)), "relu")

    def thresholds(self, logits: Floats) -> Floats:
        """A bit is 1 where it is more likely 1 than 0."""
        return np.zeros(logits.shape[1], np.float32)
