"""Noise: inputs corrupted on purpose while training."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


def hide_words(x: Tensor, most: float) -> Tensor:
    """Texts with some of their words gone, as short questions are: x [batch, words] -> the same, rows of length 1.

    Of each text a share is hidden, drawn evenly from 0 to `most`.
    """
    row, word = x.nonzero(as_tuple=True)
    share = torch.rand(len(x), device=x.device) * most
    kept = torch.rand(len(row), device=x.device) >= share[row]
    hidden = torch.zeros_like(x)
    hidden[row[kept], word[kept]] = x[row[kept], word[kept]]
    return normalize(hidden, dim=1)
