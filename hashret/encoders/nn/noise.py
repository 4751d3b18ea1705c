"""Random corruption of inputs during training."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, normalize


def hide_words(x: Tensor, most: float) -> Tensor:
    """Hide random words of texts, to resemble short queries: x [batch, words] -> [batch, words], rows of length 1.

    The hidden share of each text is uniform from 0 to `most`.
    """
    row, word = x.nonzero(as_tuple=True)
    share = torch.rand(len(x), device=x.device) * most
    kept = torch.rand(len(row), device=x.device) >= share[row]
    hidden = torch.zeros_like(x)
    hidden[row[kept], word[kept]] = x[row[kept], word[kept]]
    return normalize(hidden, dim=1)


TURN, GROW, SHIFT = 0.2, 0.1, 0.1  # limits in radians, share of the size, share of half a side
LIGHT = 0.2  # limit of changes of brightness and contrast of colour images


def moved(x: Tensor) -> Tensor:
    """Rotate, scale and shift images [batch, channels, height, width] slightly.

    Colour images are also mirrored half of the time and change in brightness and contrast. Grey ones are not,
    because mirrored writing would have another meaning.
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
    """Set each value to 0 with probability `amount`."""
    return x * (torch.rand_like(x) >= amount)


def gaussian(x: Tensor, amount: float) -> Tensor:  # [batch, ...] -> [batch, ...]
    """Add normal noise with `amount` times the standard deviation of the values."""
    return x + torch.randn_like(x) * (amount * x.std())


def salted(x: Tensor, amount: float) -> Tensor:  # [batch, ...] -> [batch, ...]
    """Set each value to the minimum or maximum of the batch with probability `amount`."""
    extreme = torch.where(torch.rand_like(x) < 0.5, x.min(), x.max())
    return torch.where(torch.rand_like(x) < amount, extreme, x)


CORRUPTIONS: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    "masking": masked,
    "gaussian": gaussian,
    "salt-and-pepper": salted,
}
