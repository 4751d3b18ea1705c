"""Noise: inputs corrupted on purpose while training."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, normalize


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


TURN, GROW, SHIFT = 0.2, 0.1, 0.1  # radians, share of the size, share of half a side
LIGHT = 0.2  # of a colour image's brightness and contrast


def moved(x: Tensor) -> Tensor:
    """Images [batch, channels, height, width], each turned, scaled and shifted a little.

    Colour ones are mirrored half of the time and their light changed as well; writing would become other writing.
    """
    n, channels = x.shape[:2]
    angle, size, shift = (torch.rand(n, d, device=x.device) * 2 - 1 for d in (1, 1, 2))
    turn, grow = angle[:, 0] * TURN, 1 + size[:, 0] * GROW
    flip = torch.where(torch.rand(n, device=x.device) < 0.5, -1.0, 1.0) if channels == 3 else torch.ones_like(turn)
    across = torch.stack([flip * grow * turn.cos(), -grow * turn.sin(), shift[:, 0] * SHIFT], 1)
    down = torch.stack([flip * grow * turn.sin(), grow * turn.cos(), shift[:, 1] * SHIFT], 1)
    grid = affine_grid(torch.stack([across, down], 1), list(x.shape), align_corners=False)
    copies = grid_sample(x, grid, padding_mode="border" if channels == 3 else "zeros", align_corners=False)
    if channels == 3:
        light = torch.rand(2, n, 1, 1, 1, device=x.device) * 2 - 1
        middle = copies.mean((1, 2, 3), keepdim=True)
        copies = ((copies - middle) * (1 + light[0] * LIGHT) + middle + light[1] * LIGHT / 2).clamp(0, 1)
    return copies


def masked(x: Tensor, amount: float) -> Tensor:  # [batch, ...] -> [batch, ...]
    """Each value 0 with the chance `amount`."""
    return x * (torch.rand_like(x) >= amount)


def gaussian(x: Tensor, amount: float) -> Tensor:  # [batch, ...] -> [batch, ...]
    """Normal noise, `amount` times as wide as the values are."""
    return x + torch.randn_like(x) * (amount * x.std())


def salted(x: Tensor, amount: float) -> Tensor:  # [batch, ...] -> [batch, ...]
    """Each value the lowest or the highest there is, with the chance `amount`."""
    extreme = torch.where(torch.rand_like(x) < 0.5, x.min(), x.max())
    return torch.where(torch.rand_like(x) < amount, extreme, x)


CORRUPTIONS: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    "masking": masked,
    "gaussian": gaussian,
    "salt-and-pepper": salted,
}
