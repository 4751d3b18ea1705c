"""The autoencoder with codes that preserve the subspaces of the documents."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from hashret.encoders.nn.bodies import mirrored
from hashret.encoders.nn.expression import self_expression, spectral
from hashret.encoders.nn.restarts import Restarted
from hashret.features import CSRMatrix, Features, Floats, take
from hashret.options import option
from hashret.training import Schedule, train

log = logging.getLogger("hashret")


@dataclass(kw_only=True, repr=False, eq=False)
class Subspace(Restarted):
    """Codes that express each other like the documents do (Peng et al. 2018; Elhamifar & Vidal 2013).

    c_i     minimises |x_i - X c|^2 / 2 + penalty |c|_1, c_ii = 0, X the sampled documents scaled to length 1
    loss    reconstruction + structure |z_i - Z c_i / |c_i|_1|^2, z = body(x) with mean 0 and variance 1 per bit
    The sample is clustered by spectral clustering of |C| + |C|^T. Any other document is assigned to the cluster of the
    sampled document with the nearest z, because a subspace has no centre.
    """

    hidden: tuple[int, ...] = option((512,), "units of the layers between input and code", low=1)
    clusters: int = option(20, "clusters to find", low=1)
    penalty: float = option(0.3, "penalty on coefficients, relative to the largest useful one", low=0.0, high=1.0)
    structure: float = option(1.0, "weight of the self-expression of the codes", low=0.0)
    sampled: int = option(4000, "maximum number of documents to learn from; the time grows with its cube", low=1)

    name = "subspace"
    summary = "clustering by subspaces: codes express each other like the documents do"
    usual = {
        "epochs": 30,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "min_steps": 400,
        "max_steps": 800,
        "validation_fraction": 0.0,
    }

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """The stack and its mirror; codes are batch-normalised, because small codes would have a small loss."""
        body, decoder = mirrored(shape, self.hidden, bits, "relu", self.sparse)
        return nn.Sequential(body, nn.BatchNorm1d(bits, affine=False)), decoder

    def build(self, features: Features, bits: int) -> None:
        """Create the layers, and buffers for the codes [n, bits] and clusters [n, clusters] of the sample."""
        super().build(features, bits)
        self.register_buffer("known", torch.zeros(1, bits))
        self.register_buffer("member", torch.zeros(1, self.clusters))

    def learn(self, features: Features, bits: int, schedule: Schedule) -> None:
        """Compute the self-expression, train the network, then find the clusters."""
        sample = self.drawn(features, schedule.seed)
        self.build(sample, bits)
        self.near, self.share = self_expression(sample.input, self.penalty)
        self.sample = sample.input
        train(self, sample, [(self.loss, self.parameters())], schedule)
        self.known = torch.from_numpy(self.over(sample.input, self.logits))
        found = spectral(self.near, self.share, self.clusters, schedule.seed)
        self.member = one_hot(torch.from_numpy(found), self.clusters).float()
        del self.near, self.share, self.sample

    def drawn(self, features: Features, seed: int) -> Features:
        """Return the documents to learn from; logs a warning if they are a sample."""
        if len(features) <= self.sampled:
            return features
        log.warning("learning from %d of %d documents, drawn at random", self.sampled, len(features))
        rows = np.sort(np.random.default_rng(seed).choice(len(features), self.sampled, replace=False))
        return features.take(rows)

    def loss(self, x: Tensor, rows: Tensor) -> Tensor:  # [batch, *shape], [batch] -> []
        """Reconstruction plus self-expression error."""
        near, share = self.near[rows.cpu().numpy()], self.share[rows.cpu().numpy()]  # [batch, k]
        others = torch.from_numpy(take(self.sample, near.ravel())).to(x.device)  # [batch k, dim]
        z = self.logits(torch.cat([x, others.reshape(-1, *x.shape[1:])]))
        own, others = z[: len(x)], z[len(x) :].reshape(*near.shape, -1)  # [batch, bits], [batch, k, bits]
        expressed = (torch.from_numpy(share).to(x.device)[..., None] * others).sum(1)  # [batch, bits]
        return self.reconstruction(self.decode(own), x) + self.structure * (own - expressed).square().sum(1).mean()

    def bottleneck(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, bits]
        """The code without an activation."""
        return self.logits(x)

    def objective(self, features: Features) -> float:
        """The reconstruction error."""
        return float(self.outlier_scores(features.input).mean(dtype=np.float64))

    def assign(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n, clusters]: 1 for the cluster of the document, else 0."""
        return self.over(x, self.nearest)

    def nearest(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, clusters]
        """Return the clusters of the nearest documents in the sample."""
        known = self.get_buffer("known")
        # computed from differences: the rounding errors of products are too large to rank near documents
        far = torch.cdist(self.logits(x), known, compute_mode="donot_use_mm_for_euclid_dist")
        return self.get_buffer("member")[far.argmin(1)]
