"""Descriptors of images: edges, brightness and colours on a coarse grid.

    edges       histograms of oriented gradients (Dalal & Triggs 2005): in each of 4 x 4 cells, the strength of the
                brightness gradient summed by direction in nine bins, ignoring its sign, and divided by the strength
                of the gradients around the cell. A pixel counts in the nearest cells and bins, more in the nearer
                ones. So a small shift changes little.
    layout      the mean of each of 4 x 4 cells (Kasutani & Yamada 2001): its brightness and, in images with colour,
                its place on two opponent axes, red against green and yellow against blue. Grey is 0 on both.

`describe` joins them with fixed weights. Images are [n, channels, height, width] with values from 0 to 1.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from hashret.features import Floats

CELLS, DIRECTIONS = 4, 9
EDGES = DIRECTIONS * CELLS**2  # values that describe the edges
FAINT = 0.05  # share of the mean strength added to the divisor, so that cells without edges are not amplified
NOISE = 0.5  # share of the mean gradient below which gradients are reduced, such as the noise of compression
OPPONENTS = np.array([[1 / 3, 1 / 3, 1 / 3], [1 / 2, -1 / 2, 0], [1 / 4, 1 / 4, -1 / 2]], np.float32)
# weights of the layout: in photographs, brightness and colour vary half as much as edges, in squares
BRIGHTNESS, COLOUR = 1.25, 3.4
AT_ONCE = 64  # images per chunk, which fit in the cache


def describe(images: Floats) -> Floats:
    """Return edges and weighted layout, float32 [n, described(channels)]; each row depends on its image only."""
    means = layout(images)
    weights = np.array([BRIGHTNESS, COLOUR, COLOUR][: means.shape[1]], np.float32)
    # a black image differs from one without features; the constant disappears with the mean
    means[:, 0] += 1
    return np.concatenate([edges(images), (means * weights[:, None]).reshape(len(images), -1)], axis=1)


def described(channels: int) -> int:
    """Return the number of values that describe an image with 1 or 3 channels."""
    return EDGES + channels * CELLS**2


def edges(images: Floats) -> Floats:
    """Return histograms of oriented gradients, float32 [n, 144]."""
    found = np.empty((len(images), EDGES), np.float32)
    for start in range(0, len(images), AT_ONCE):
        across, down = _gradients(_smoothed(images[start : start + AT_ONCE]))
        found[start : start + len(across)] = _histograms(across, down)
    return found


def layout(images: Floats) -> Floats:
    """Return brightness and, of images with colour, the two opponent axes, float32 [n, 1 or 3, 16]."""
    height, width = images.shape[2:]
    rows, columns = _cells(height), _cells(width)
    means = rows / rows.sum(axis=1, keepdims=True) @ images @ (columns / columns.sum(axis=1, keepdims=True)).T
    if images.shape[1] == 3:  # row by row, so that sums do not depend on the other images
        means = np.stack([sum(weight * means[:, c] for c, weight in enumerate(axis)) for axis in OPPONENTS], axis=1)
    return np.asarray(means, np.float32).reshape(*means.shape[:2], -1)


@cache
def _cells(size: int) -> Floats:
    """Return the weight of each pixel of a side in each cell, [4, size], which falls linearly from its centre."""
    place = (np.arange(size) + 0.5) * CELLS / size - 0.5  # in cells
    far = np.abs(np.clip(place, 0, CELLS - 1) - np.arange(CELLS)[:, None])
    return np.maximum(1 - far / max(1, CELLS / size), 0).astype(np.float32)


def _smoothed(images: Floats) -> Floats:
    """Weigh each pixel with its neighbours, 1 : 2 : 1 along both sides, so that sharp and scaled images are alike."""
    wide = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    tall = (wide[:, :, :-2] + 2 * wide[:, :, 1:-1] + wide[:, :, 2:]) / 4
    return np.asarray((tall[..., :-2] + 2 * tall[..., 1:-1] + tall[..., 2:]) / 4, np.float32)


def _gradients(images: Floats) -> tuple[Floats, Floats]:
    """Return horizontal and vertical gradients [n, height, width] of the steepest channel."""
    wide = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    across, down = wide[:, :, 1:-1, 2:] - wide[:, :, 1:-1, :-2], wide[:, :, 2:, 1:-1] - wide[:, :, :-2, 1:-1]
    if images.shape[1] == 1:
        return across[:, 0], down[:, 0]
    most = (across**2 + down**2).argmax(axis=1)[:, None]
    return np.take_along_axis(across, most, 1)[:, 0], np.take_along_axis(down, most, 1)[:, 0]


def _histograms(across: Floats, down: Floats) -> Floats:
    """Gradients [n, height, width] -> normalised histograms [n, 144]."""
    n, height, width = across.shape
    rows, columns = _cells(height), _cells(width).T
    squares = across**2 + down**2
    noise = NOISE**2 * squares.mean(axis=(1, 2), keepdims=True) + np.float32(1e-12)
    strength = squares * np.sqrt(squares) / (squares + noise)
    bins = np.arctan2(down, across) * np.float32(DIRECTIONS / np.pi)  # from -9 to 9; a turn by 9 is the same direction
    sums = np.empty((n, DIRECTIONS, CELLS, CELLS), np.float32)
    for direction in range(DIRECTIONS):
        far = np.abs(bins - direction)  # at most 17
        far = np.minimum(far, np.abs(far - DIRECTIONS))
        near = np.maximum(1 - np.minimum(far, np.abs(2 * DIRECTIONS - far)), 0)
        sums[:, direction] = rows @ (strength * near) @ columns
    around = np.pad((sums**2).sum(axis=1), ((0, 0), (1, 1), (1, 1)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(around, (3, 3), axis=(1, 2)).sum(axis=(3, 4))
    windows += FAINT * windows.mean(axis=(1, 2), keepdims=True) + np.float32(1e-6)
    return np.asarray(np.sqrt(sums / np.sqrt(windows)[:, None]).reshape(n, -1), np.float32)
