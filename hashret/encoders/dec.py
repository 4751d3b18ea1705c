"""Deep embedded clustering."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from hashret.encoders.nn.bodies import Standardize, mirrored
from hashret.encoders.nn.clusters import k_means, sharpened, student_t
from hashret.encoders.nn.restarts import Restarted
from hashret.features import CSRMatrix, Features, Floats
from hashret.options import option
from hashret.training import Schedule, train


@dataclass(kw_only=True, repr=False, eq=False)
class DEC(Restarted):
    """Stacked denoising autoencoders; their codes z = body(x) are then pulled towards centres (Xie et al. 2016).

    each layer  |h - g(f(h'))|^2 with the input h of the layer and h' with some of it dropped (Vincent et al. 2010)
    all layers  reconstruction of x from z
    centres     mu_j, by k-means over z
    clusters    sum_ij p_ij log(p_ij / q_ij), minimised over body and centres,
                q_ij ~ 1 / (1 + |z_i - mu_j|^2), p_ij ~ q_ij^2 / sum_i q_ij, each row sums to 1,
                p is recomputed every `refresh` steps
    """

    hidden: tuple[int, ...] = option((500, 500, 2000), "units of the layers between input and code", low=1)
    clusters: int = option(10, "clusters to find", low=1)
    dropout: float = option(0.2, "share of the input of a layer that is dropped in pretraining", low=0.0, high=0.9)
    centre: bool = option(True, "subtract the mean (not of words); false, as published, suits images on black")
    refresh: int = option(140, "steps between updates of the target distribution", low=1)

    name = "dec"
    summary = "clustering: codes are pulled towards cluster centres"
    usual = {
        "epochs": 15,
        "batch_size": 256,
        "learning_rate": 1e-3,
        "min_steps": 400,
        "max_steps": 600,
        "validation_fraction": 0.0,
    }

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """The stack, with a linear code, and its mirror."""
        return mirrored(shape, self.hidden, bits, "relu", self.sparse)

    def scaling(self, x: Floats | CSRMatrix) -> nn.Module:
        """Standardisation, with or without subtracting the mean."""
        return Standardize.of(x, self.centre)

    def build(self, features: Features, bits: int) -> None:
        """Create the layers and the centres."""
        super().build(features, bits)
        self.centres = nn.Parameter(torch.zeros(self.clusters, bits))
        self.register_buffer("used", torch.ones(self.clusters))

    def learn(self, features: Features, bits: int, schedule: Schedule) -> None:
        """Run the phases, then train the decoder on the final codes."""
        self.pretrain(features, bits, schedule)
        self.gather(features, schedule)
        train(self, features, [(self.loss, self.decoder.parameters())], schedule.scaled(1 / 8), label="decoder")

    def pretrain(self, features: Features, bits: int, schedule: Schedule) -> None:
        """Train each layer for a quarter of the steps and all layers together for all steps, then find the centres."""
        self.build(features, bits)
        for number in range(len(self.hidden) + 1):
            pair = nn.ModuleList(self.pair(number)[1:])
            loss = partial(self.denoising, number)
            train(self, features, [(loss, pair.parameters())], schedule.scaled(1 / 4), label=f"layer {number + 1}")
        train(self, features, [(self.loss, self.parameters())], schedule)
        centres, self.used = k_means(self.over(features.input, self.logits), self.clusters, schedule.seed)
        self.centres.data = centres

    def gather(self, features: Features, schedule: Schedule) -> None:
        """Train body and centres on the clusters, with a tenth of the learning rate and half of the steps."""

        def refresh(done: int, steps: int) -> None:
            if done % self.refresh == 0:
                self.target = sharpened(torch.from_numpy(self.assign(features.input)))
                self.train()

        self.register_buffer("target", None)  # a buffer, so that a checkpoint holds it
        refresh(0, 0)
        learned = [*self.body.parameters(), self.centres]
        slow = replace(schedule.scaled(1 / 2), learning_rate=schedule.learning_rate / 10)
        train(self, features, [(self.divergence, learned)], slow, refresh, "clusters")
        del self.target

    def pair(self, number: int) -> tuple[nn.Module, nn.Module, nn.Module]:
        """Return the layers before a layer of the stack, the layer, and its counterpart in the decoder."""
        assert isinstance(self.body, nn.Sequential)
        assert isinstance(self.decoder, nn.Sequential)
        place = 2 * (len(self.hidden) - number)  # position in the decoder, and in the body counted from its end
        return self.body[: -1 - place], self.body[-1 - place], self.decoder[place]

    def denoising(self, number: int, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """Reconstruction of the input of a layer, with dropout on its input and its output."""
        before, forward, back = self.pair(number)
        with torch.no_grad():
            given = before(self.input(x))  # [batch, width before]
        inner = forward(dropout(given, self.dropout, self.training))  # [batch, width after]
        inner = inner if number == len(self.hidden) else inner.relu()
        output = back(dropout(inner, self.dropout, self.training))  # [batch, width before]
        return self.reconstruction(output, x) if number == 0 else (output.relu() - given).square().sum(1).mean()

    def divergence(self, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """KL(P, Q), averaged over documents."""
        target = self.get_buffer("target")
        p = target[rows.to(target.device)].to(x.device)  # [batch, clusters]
        return divergence(p, self.shares(x))

    def shares(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, clusters]
        """Return Q, the memberships of a batch."""
        return student_t(self.logits(x), self.centres, self.get_buffer("used"))

    def bottleneck(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, bits]
        """The code without an activation."""
        return self.logits(x)

    def objective(self, features: Features) -> float:
        """Reconstruction plus the divergence of the memberships from their target."""
        q = torch.from_numpy(self.assign(features.input))  # [n, clusters]
        return super().objective(features) + float(divergence(sharpened(q), q))

    def assign(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n, clusters], Q."""
        return self.over(x, self.shares)


def divergence(p: Tensor, q: Tensor) -> Tensor:  # [n, clusters] twice -> []
    """Return KL(P, Q), averaged over documents."""
    q = q.clamp_min(1e-12)  # q is 0 for unused centres
    return (torch.xlogy(p, p) - torch.xlogy(p, q)).sum(1).mean()
