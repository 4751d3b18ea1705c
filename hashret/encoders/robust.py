"""The robust autoencoder, which separates noise or outliers from the documents."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from hashret.encoders.nn.bodies import ACTIVATIONS, mirrored
from hashret.encoders.nn.net import AT_ONCE, Autoencoder
from hashret.features import CSRMatrix, Features, Floats, take
from hashret.options import option
from hashret.training import Schedule, train

NO_END = 10**9  # steps, unlimited


@dataclass(kw_only=True, repr=False, eq=False)
class Robust(Autoencoder):
    """Splits the documents, X = L + S: L is reconstructed and S is sparse (Zhou & Paffenroth 2017).

    min  reconstruction of L + level |S|_1  (entries: noise)  or  + level |S|_2,1  (rows: outlier documents)

    Alternates training on L = X - S and S = shrink(X - X'), X' the reconstruction from L, with
    entries   shrink(r) = sign(r) max(|r| - level, 0), of each number
    rows      shrink(r) = r max(1 - level / |r|, 0), of each document
    level = lam times the root mean square of the entries or rows of X - X', recomputed in each turn.
    L is between X and X', so it has the feature type of X. For sparse words, X' has the row sums of X, and S is nonzero
    only for words that occur.
    """

    shrink: str = option("rows", "what is sparse in S: documents or single values", choices=("rows", "entries"))
    lam: float = option(1.5, "threshold of S, as a multiple of the root mean square error", low=0.0)
    outer: int = option(4, "alternations of training and shrinking", low=1)
    inner: int = option(None, "passes over the documents per turn; auto: those of the schedule, divided", low=1)
    hidden: tuple[int, ...] = option((256,), "units of the layers between input and code", low=1)
    activation: str = option("relu", "activation between the layers", choices=tuple(ACTIVATIONS))

    usual = {"learning_rate": 2e-3, "batch_size": 256, "min_steps": 1000, "max_steps": 1200}
    name = "robust"
    summary = "separates noise or outliers from the documents"

    def layers(self, shape: tuple[int, ...], bits: int) -> tuple[nn.Module, nn.Module]:
        """The stack and its mirror."""
        return mirrored(shape, self.hidden, bits, self.activation, self.sparse)

    def build(self, features: Features, bits: int) -> None:
        """Create the layers and the level."""
        super().build(features, bits)
        self.register_buffer("level", torch.zeros(1))

    def learn(self, features: Features, bits: int, schedule: Schedule) -> None:
        """Alternate training on L and shrinking X - X'."""
        self.build(features, bits)
        low = features  # L
        for _ in range(self.outer):
            low = self.turn(features, low, self.turn_of(schedule))

    def turn(self, features: Features, low: Features, schedule: Schedule) -> Features:
        """Run one turn on X and the current L; return the next L."""
        train(self, low, [(self.loss, self.parameters())], schedule)
        self.level = torch.tensor([self.lam * self.usual_error(features)])
        return replace(features, input=self.without_rest(features.input, low.input))

    def turn_of(self, schedule: Schedule) -> Schedule:
        """Return the schedule of one turn."""
        if self.inner:
            return replace(schedule, epochs=self.inner, min_steps=1, max_steps=NO_END)
        shared = ("epochs", "min_steps", "max_steps")
        return replace(schedule, **{name: max(1, getattr(schedule, name) // self.outer) for name in shared})

    def residual(self, x: Tensor, low: Tensor) -> Tensor:  # [batch, *shape] twice -> [batch, dim]
        """Return x - x', with x' reconstructed from the rows `low` of L."""
        again, x = self.shown(self.decode(self.bottleneck(low))), x.flatten(1)
        return (x - again * x.sum(1, keepdim=True)) * (x != 0) if self.sparse else x - again

    def usual_error(self, features: Features) -> float:
        """Return the root mean square of the entries or rows of the residuals."""
        squares = self.over(features.input, lambda x: self.residual(x, x).square().sum(1)).mean(dtype=np.float64)
        if self.shrink == "rows":
            return float(squares**0.5)
        x = features.input
        return float((squares * len(x) / max(1, x.data.size if isinstance(x, CSRMatrix) else x.size)) ** 0.5)

    def without_rest(self, x: Floats | CSRMatrix, low: Floats | CSRMatrix) -> Floats | CSRMatrix:
        """Return the next L = X - S, from X and the current L, [n, dim] each."""
        parts = []
        for rows in np.array_split(np.arange(len(x)), -(-len(x) // AT_ONCE)):
            given, before = (torch.from_numpy(take(matrix, rows)).reshape(-1, *self.shape) for matrix in (x, low))
            with torch.no_grad():
                rest = SHRINK[self.shrink](self.residual(given, before), self.level)
            part = (given.flatten(1) - rest).numpy()
            parts.append(part[_occurring(x.take(rows))] if isinstance(x, CSRMatrix) else part)
        whole = np.concatenate(parts)
        return CSRMatrix(whole, x.indices, x.offsets, x.width) if isinstance(x, CSRMatrix) else whole

    def outlier_scores(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n]: the norm of S, or if it is 0, the residual minus the level (negative)."""
        return self.over(x, lambda rows: self.excess(self.residual(rows, rows)))

    def excess(self, r: Tensor) -> Tensor:  # [batch, dim] -> [batch]
        """Return the norm of shrink(r), or if it is 0, the size of r minus the level (negative)."""
        rest = SHRINK[self.shrink](r, self.level).norm(dim=1)
        largest = r.norm(dim=1) if self.shrink == "rows" else r.abs().amax(1)
        return torch.where(rest > 0, rest, largest - self.level)


def shrunk_entries(r: Tensor, level: Tensor) -> Tensor:  # [n, dim] -> [n, dim]
    """argmin_S |r - S|^2 / 2 + level |S|_1."""
    return r.sign() * (r.abs() - level).clamp_min(0)


def shrunk_rows(r: Tensor, level: Tensor) -> Tensor:  # [n, dim] -> [n, dim]
    """argmin_S |r - S|^2 / 2 + level sum_i |S_i|, S_i its rows."""
    lengths: Tensor = torch.linalg.vector_norm(r, dim=1, keepdim=True)
    return r * (1 - level / lengths.clamp_min(1e-12)).clamp_min(0)


SHRINK = {"rows": shrunk_rows, "entries": shrunk_entries}


def _occurring(rows: CSRMatrix) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column numbers of the values of sparse rows."""
    return np.repeat(np.arange(len(rows)), np.diff(rows.offsets)), rows.indices
