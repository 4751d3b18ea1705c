"""Gaussians with diagonal covariance, given as mean and log variance [..., dim]; densities are [...]."""

from __future__ import annotations

from math import log, pi

import torch
from torch import Tensor


def drawn(mean: Tensor, spread: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return a sample of each, differentiable in mean and variance."""
    return mean + (spread / 2).exp() * torch.randn(mean.shape, generator=generator, device=mean.device)


def log_density(x: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    """Return log N(x; mean, exp spread)."""
    return -((x - mean).square() / spread.exp() + spread + log(2 * pi)).sum(-1) / 2


def divergence(mean: Tensor, spread: Tensor, other: Tensor, wide: Tensor) -> Tensor:
    """Return KL(N(mean, exp spread), N(other, exp wide))."""
    return (((mean - other).square() + spread.exp()) / wide.exp() + wide - spread - 1).sum(-1) / 2
