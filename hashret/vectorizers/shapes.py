"""Shapes: the edges of an image, independent of colour and lighting.

Histograms of oriented gradients (Dalal & Triggs 2005): an image is divided into 4 x 4 cells. In each cell, the strength
of the brightness gradient is summed by direction in nine bins, ignoring its sign. The sums of a cell are divided by the
strength of the gradients around it.
"""

from __future__ import annotations

import numpy as np

from hashret.features import Floats
from hashret.progress import report

CELLS, DIRECTIONS = 4, 9
FAINT = 0.05  # share of the mean strength added to the divisor, so that cells without edges are not amplified
AT_ONCE = 1000  # images per chunk


def shapes(images: Floats, shape: tuple[int, ...]) -> Floats:
    """Return the edge histograms of images [n, channels * height * width] with this shape, float32 [n, 144]."""
    found = np.empty((len(images), DIRECTIONS * CELLS * CELLS), np.float32)
    for start in range(0, len(images), AT_ONCE):
        some = images[start : start + AT_ONCE]
        found[start : start + len(some)] = _histograms(*_gradients(some.reshape(len(some), *shape)))
        report("finding edges", start + len(some), len(images))
    return found


def _gradients(images: Floats) -> tuple[Floats, Floats]:
    """[n, channels, height, width] -> horizontal and vertical gradients [n, height, width] of the steepest channel."""
    wide = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    across, down = wide[:, :, 1:-1, 2:] - wide[:, :, 1:-1, :-2], wide[:, :, 2:, 1:-1] - wide[:, :, :-2, 1:-1]
    most = (across**2 + down**2).argmax(axis=1)[:, None]
    return np.take_along_axis(across, most, 1)[:, 0], np.take_along_axis(down, most, 1)[:, 0]


def _histograms(across: Floats, down: Floats) -> Floats:
    """Gradients [n, height, width] -> normalised histograms [n, 144]."""
    n, height, width = across.shape
    strength = np.sqrt(across**2 + down**2) + np.float32(1e-6)
    sums = np.empty((n, DIRECTIONS, CELLS, CELLS), np.float32)
    for direction in range(DIRECTIONS):
        angle = np.pi * direction / DIRECTIONS
        along = (across * np.float32(np.cos(angle)) + down * np.float32(np.sin(angle))) ** 2 / strength
        rows = np.add.reduceat(along, np.arange(CELLS) * height // CELLS, axis=1)
        sums[:, direction] = np.add.reduceat(rows, np.arange(CELLS) * width // CELLS, axis=2)
    around = np.pad((sums**2).sum(axis=1), ((0, 0), (1, 1), (1, 1)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(around, (3, 3), axis=(1, 2)).sum(axis=(3, 4))
    windows += FAINT * windows.mean(axis=(1, 2), keepdims=True) + np.float32(1e-6)
    return np.asarray(np.sqrt(sums / np.sqrt(windows)[:, None]).reshape(n, -1), np.float32)
