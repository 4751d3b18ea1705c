"""Gaussians with a variance for each dimension, given as mean and logarithm of the variance [..., dim] -> [...]."""

from __future__ import annotations

from math import log, pi

import torch
from torch import Tensor


def drawn(mean: Tensor, spread: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """A draw from each, with the gradient of mean and variance."""
    return mean + (spread / 2).exp() * torch.randn(mean.shape, generator=generator, device=mean.device)


def log_density(x: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    """log N(x; mean, exp spread)."""
    return -((x - mean).square() / spread.exp() + spread + log(2 * pi)).sum(-1) / 2


def divergence(mean: Tensor, spread: Tensor, other: Tensor, wide: Tensor) -> Tensor:
    """KL(N(mean, exp spread), N(other, exp wide))."""
    return (((mean - other).square() + spread.exp()) / wide.exp() + wide - spread - 1).sum(-1) / 2
