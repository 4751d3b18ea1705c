"""The autoencoder trained on a nearest-neighbour graph: the default encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from hashret.descriptors import describe, described
from hashret.encoders.nn.binarize import straight_through
from hashret.encoders.nn.bodies import Describe, Standardize, is_large, mlp
from hashret.encoders.nn.net import BernoulliAutoencoder
from hashret.encoders.nn.noise import moved
from hashret.features import CSRMatrix, Features, Floats, take
from hashret.graph import neighbors
from hashret.options import option
from hashret.training import Schedule, train

MANY = 10_000  # images; of fewer, the batches are smaller in proportion
SMALLEST_BATCH, FEWEST_STEPS = 128, 300
FINEST = 64  # minimum bits in all rounds but the last
GREY_WALK = 6  # grey images of one kind form long chains of small changes, whose ends are not neighbours


@dataclass(kw_only=True, repr=False, eq=False)
class Neighborhood(BernoulliAutoencoder):
    """Similar codes for neighbours, with balanced and decorrelated bits.

    For documents x and neighbours y sampled from a graph of the corpus, with p = sigmoid(body(.)), bits z = 2 b - 1,
    b ~ Bernoulli(p) with the straight-through gradient, means m = 2 p - 1, and N bits,

        agreement       - log softmax_j(z_x z_y^j / N t) at the true neighbour, both ways (van den Oord et al. 2018)
        decorrelation   sum over i != j of cov(m_i, m_j)^2 / N^2                                  (Zbontar et al. 2021)
        balance         sum over j of mean(m_j)^2 / N^2                                           (Weiss et al. 2008)
        reconstruction  of the input from z

        loss = agreement + e (decorrelation + balance) + r reconstruction

    The codes then describe the corpus better than the views from which the graph was built, so a second graph uses
    their logits as an additional view, and a new network is trained on it. All rounds but the last use at least FINEST
    bits, so that short codes benefit from long ones.

    Of images of 16 pixels or more, the network reads edges and colours, see `descriptors.py`; it reconstructs pixels.
    """

    hidden: tuple[int, ...] = option((1024,), "units of the layers between input and code", low=1)
    neighbors: int = option(20, "neighbours per document in the graph", low=1)
    body_kind: str = option(
        "auto",
        "kind of layers; auto: MLP, over edges and colours of images of 16 pixels or more",
        choices=("auto", "mlp", "conv"),
    )
    walk: int = option(
        None, "steps in the graph from a document to its partner; auto: 6 for grey images, else 1", low=1
    )
    rounds: int = option(2, "rounds of building a graph and training a network on it", low=1, high=10)
    temperature: float = option(None, "t, temperature of the agreement; auto: .2 for up to 8 bits, else .1", low=0.0)
    decorrelation_weight: float = option(32.0, "e, weight of decorrelation and balance", low=0.0)
    reconstruction_weight: float = option(0.001, "r, weight of the reconstruction", low=0.0)

    name = "neighborhood"
    summary = "similar codes for neighbours (the default)"
    accepted_types = ("real", "unit", "counts")
    # no documents are held out: training on them improves P@100 by .01 more than early stopping
    usual = {
        "epochs": 25,
        "batch_size": 512,
        "learning_rate": 2e-3,
        "min_steps": 500,
        "max_steps": 600,
        "validation_fraction": 0.0,
    }

    def usual_for(self, features: Features) -> Mapping[str, float]:
        """Return the defaults of the schedule: batches of few images are smaller, so that training takes less.

        Texts keep the usual ones: of 1,400 abstracts, R@100 of codes fell from .751 to .735 with smaller batches.
        """
        if len(features) >= MANY or len(features.shape) != 3:
            return self.usual
        batch = max(SMALLEST_BATCH, round(self.usual["batch_size"] * len(features) / MANY))
        return {**self.usual, "batch_size": batch, "min_steps": FEWEST_STEPS}

    def scaling(self, x: Floats | CSRMatrix) -> nn.Module:
        """Return what precedes the body: the scaling and, for large enough images, their edges and layout before it."""
        if not self._described:
            return super().scaling(x)
        images = np.asarray(x, np.float32).reshape(len(x), *self.shape)
        return nn.Sequential(Describe(), Standardize.of(describe(images)))

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """Return a body, which reads edges and layout if they precede it, and a decoder of the pixels or features."""
        if not self._described:
            return super().layers(shape, bits)
        body = super().layers((described(shape[0]),), bits)[0]
        return body, mlp((bits, prod(shape)), "relu")

    @property
    def _described(self) -> bool:
        """Whether the body reads edges and layout."""
        return self.body_kind == "auto" and is_large(self.shape) and self.shape[0] in (1, 3)

    def learn(self, features: Features, bits: int, schedule: Schedule) -> None:
        """Run the rounds; all but the last take half of the steps."""
        views = features.views or (features.input,)
        self.features = features
        for left in reversed(range(self.rounds)):
            self.graph = torch.from_numpy(neighbors(views, self.neighbors))
            length = max(bits, FINEST) if left else bits
            self.build(features, length)
            train(self, features, [(self.loss, self.parameters())], schedule.scaled(1 / 2) if left else schedule)
            if left:
                self.threshold = np.zeros(length, np.float32)
                views = (*views[: len(features.views) or 1], self.program().logits(features.input))
        del self.features, self.graph

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """The weighted sum of the four terms."""
        both = torch.cat([x, self.drawn(rows).to(x.device).reshape(x.shape)])
        if self.training and len(self.shape) == 3:
            both = moved(both)
        p = self.encode_soft(both)  # [2 batch, bits]
        z, means = 2 * straight_through(p, sample=self.training) - 1, 2 * p - 1
        bits = p.shape[1]
        near = z[: len(x)] @ z[len(x) :].T / (bits * (self.temperature or (0.2 if bits <= 8 else 0.1)))
        own = torch.arange(len(x), device=x.device)
        agreement = (cross_entropy(near, own) + cross_entropy(near.T, own)) / 2
        shared = torch.cov(means.T, correction=0).reshape(bits, bits)
        decorrelation = (shared.square().sum() - shared.diagonal().square().sum()) / bits**2
        balance = means.mean(0).square().sum() / bits**2
        even = self.decorrelation_weight * (decorrelation + balance)
        return agreement + even + self.reconstruction_weight * self.reconstruction(self.decode(z), both)

    def drawn(self, rows: Tensor) -> Tensor:  # [batch] -> [batch, dim]
        """Return a partner of each document: the end of a random walk in training, else the nearest neighbour."""
        rows = rows.cpu()
        usual = GREY_WALK if len(self.shape) == 3 and self.shape[0] == 1 else 1
        steps = (self.walk or usual) if self.training else 1
        for _ in range(steps):
            edge = torch.randint(self.graph.shape[1], rows.shape) if self.training else torch.zeros_like(rows)
            rows = self.graph[rows, edge]
        return torch.from_numpy(take(self.features.input, rows.numpy()))
