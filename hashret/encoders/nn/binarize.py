"""Binarize: from real values to bits, while training and after."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hashret.features import Floats


def straight_through(probability: Tensor, sample: bool) -> Tensor:
    """Bits 0 or 1 with the gradient of their probability (Bengio et al. 2013): drawn while training, else rounded."""
    cut = torch.rand_like(probability) if sample else torch.full_like(probability, 0.5)
    bits = (probability > cut).to(probability.dtype)
    return bits + probability - probability.detach()


def category(probability: Tensor, sample: bool) -> Tensor:  # [n, k] -> [n, k]
    """One 1 a row with the gradient of the probabilities: drawn while training, else where they are highest."""
    place = torch.multinomial(probability, 1) if sample else probability.argmax(1, keepdim=True)
    return torch.zeros_like(probability).scatter_(1, place, 1.0) + probability - probability.detach()


def medians(logits: Floats) -> Floats:
    """The threshold that halves each bit, or comes nearest to it: [n, bits] -> float32 [bits].

    It lies half-way between two logits that clearly differ, so that no bit of a training document hangs on the last
    digit of a sum, and equal documents fall on one side. Where all logits are the same, it lies above them.
    """
    ordered = np.sort(logits.astype(np.float64), axis=0)
    size = np.abs(ordered).max(axis=0)
    size = np.maximum(size, size.max() / 10)  # the last digit of a sum is that of its terms, however small the sum
    ordered = np.concatenate([ordered, ordered[-1:] + 2 * size + 1])  # [n + 1, bits]
    clear = np.diff(ordered, axis=0) > 1e-5 * (ordered[-2] - ordered[0]) + 1e-6 * size
    off_centre = np.abs(np.arange(1, len(ordered)) - len(logits) / 2)[:, None]
    cut = np.where(clear, off_centre, np.inf).argmin(axis=0)
    columns = np.arange(logits.shape[1])
    return np.asarray((ordered[cut, columns] + ordered[cut + 1, columns]) / 2, np.float32)
