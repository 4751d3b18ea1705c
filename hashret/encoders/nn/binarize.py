"""Binarization of real values, in training and afterwards."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hashret.features import Floats


def straight_through(probability: Tensor, sample: bool) -> Tensor:
    """Return bits 0 or 1 with the gradient of their probability (Bengio et al. 2013); sampled or rounded."""
    cut = torch.rand_like(probability) if sample else torch.full_like(probability, 0.5)
    bits = (probability > cut).to(probability.dtype)
    return bits + probability - probability.detach()


def category(probability: Tensor, sample: bool) -> Tensor:  # [n, k] -> [n, k]
    """Return one-hot rows with the gradient of the probabilities; sampled, or the most likely category."""
    place = torch.multinomial(probability, 1) if sample else probability.argmax(1, keepdim=True)
    return torch.zeros_like(probability).scatter_(1, place, 1.0) + probability - probability.detach()


def medians(logits: Floats) -> Floats:
    """Return the thresholds that split each bit most evenly: [n, bits] -> float32 [bits].

    A threshold is halfway between two clearly different logits, so that rounding errors do not change the bits of
    training documents, and equal documents get equal bits. If all logits are equal, it is above them.
    """
    ordered = np.sort(logits.astype(np.float64), axis=0)
    size = np.abs(ordered).max(axis=0)
    size = np.maximum(size, size.max() / 10)  # rounding errors of a small sum are as large as those of its terms
    ordered = np.concatenate([ordered, ordered[-1:] + 2 * size + 1])  # [n + 1, bits]
    clear = np.diff(ordered, axis=0) > 1e-5 * (ordered[-2] - ordered[0]) + 1e-6 * size
    off_centre = np.abs(np.arange(1, len(ordered)) - len(logits) / 2)[:, None]
    cut = np.where(clear, off_centre, np.inf).argmin(axis=0)
    columns = np.arange(logits.shape[1])
    return np.asarray((ordered[cut, columns] + ordered[cut + 1, columns]) / 2, np.float32)
