"""How much two small images are the same: their correlation, after one is laid over the other.

Copies of an image may be cropped or have a frame, so the pixels of two copies are not at the same places. Their
alignment is searched coarsely first: windows of one image against the whole other one, at 12 x 12 cells. The best
window is then moved and scaled by Gauss-Newton steps on the difference of the pixels (Lucas and Kanade 1981, in the
form of Baker and Matthews 2004), at up to 32 x 32 cells. Brightness and contrast do not matter, colours only where
both images have some.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hashret.image_sketch import brightness, digest, inner, is_flat

COARSE, FINE = 12, 32  # cells along each side while windows are compared, and for the final alignment
FEWEST = 8  # cells along each side of the smallest images
STEPS = 3
HOPELESS = 0.6  # correlation of the best window below which no step finds a match
CERTAIN = 0.98  # correlation above which the other way is not tried
CLOSE = 0.06  # difference of the two ways at coarse cells that does not show which is right
# Windows, by their share of a side: how many of each size lie along it. Their sizes and places differ by less than one
# coarse cell, so one of them is close enough for the steps. The smallest is what a crop of 20 % and some more leaves.
SHARES = ((1.0, 1), (0.94, 2), (0.88, 3), (0.82, 4), (0.76, 5))
FAINT = 8.0  # difference of colours, of 255, that compression makes
FADED = 0.8  # agreement of colours that compression, and more or less brightness, leave
STILL = 0.003  # moves of all edges, in shares of the window, after which no more steps are made

# Of edited copies of images of CIFAR-10, all were above `SIMILAR`: half the size, JPEG of quality 30, other brightness,
# framed, cropped by up to 20 %. Above `NEAR` were all but 4 % of the JPEG. Of the pairs of different images that their
# sketches propose, 0.6 % were above `SIMILAR`, 0.4 % above `NEAR`.
NEAR, SIMILAR = 0.95, 0.9

Floats = npt.NDArray[np.float32]
Window = tuple[float, float, float, float]  # top, bottom, left and right as shares of the sides
WHOLE: Window = (0.0, 1.0, 0.0, 1.0)


class Prepared:
    """An image ready to be compared with many others: uint8 [height, width] or [height, width, 3]."""

    def __init__(self, image: npt.NDArray[np.uint8]) -> None:
        self.image = image
        self.digest = digest(image)
        self.values: Floats = brightness(image)
        self.flat = is_flat(self.values)
        self.colours = _colours(image, self.values)
        self._targets: dict[tuple[Window, int], tuple[Floats, Floats]] = {}

    @cached_property
    def insides(self) -> list[Window]:
        """The whole image, and the part inside its frame if it has one."""
        (height, width), (rows, columns) = self.values.shape, inner(self.values)
        framed = (rows.start / height, rows.stop / height, columns.start / width, columns.stop / width)
        return [WHOLE] if framed == WHOLE else [WHOLE, framed]

    @cached_property
    def wholes(self) -> Floats:
        """The same at coarse cells, as unit vectors."""
        return _unit(np.stack([_sample(self.values, window, COARSE).ravel() for window in self.insides]))

    @cached_property
    def windows(self) -> Floats:
        """All windows at coarse cells, and what is inside a frame, as unit vectors [windows, cells]."""
        height, width = self.values.shape
        spans = len(_spans())
        down = _coarse(height).reshape(spans, COARSE, height)  # small products are not shared among threads, which wait
        means = np.asarray(down @ self.values @ _coarse(width).T, np.float32)
        cells = means.reshape(spans, COARSE, spans, COARSE)
        return np.concatenate([_unit(cells.swapaxes(1, 2).reshape(spans * spans, -1)), self.wholes[1:]])

    def target(self, part: Window, cells: int) -> tuple[Floats, Floats]:
        """A part as a unit vector [cells * cells], and the matrix of `_steps` for it."""
        if (part, cells) not in self._targets:
            values = _unit(_sample(self.values, part, cells).ravel())
            self._targets[part, cells] = values, _steps(values.reshape(cells, cells))
        return self._targets[part, cells]

    def window(self, number: int) -> Window:
        """Where a row of `windows` is."""
        down, across = divmod(number, len(_spans()))
        return self.insides[1] if down == len(_spans()) else (*_spans()[down], *_spans()[across])


def similarity(first: Prepared, second: Prepared) -> float:
    """Return how much two images are the same, from 0 to 1; it does not depend on their order.

    1 if their pixels are equal. 0 if they are not and one of them is flat, such as an all black image.
    """
    if first.digest == second.digest:
        return 1.0
    if first.flat or second.flat:
        return 0.0
    found = best_match(first, second)
    return max(0.0, min(found.correlation, _same_colours(found) / FADED, 1.0))


class Match(NamedTuple):
    """A window of one image that lies on a part of another one."""

    correlation: float
    inside: Prepared
    window: Window
    outside: Prepared
    part: Window


def best_match(first: Prepared, second: Prepared) -> Match:
    """Lay each image over the other, and return the better match.

    A crop is like a window of its original, while its original is like no window of the crop. Which is which shows
    at coarse cells, except for small crops: then both are refined.
    """
    ways = (_best_window(first, second), _best_window(second, first))
    better, worse = sorted(ways, key=lambda match: (match.correlation, match.inside.digest), reverse=True)
    if better.correlation < HOPELESS:
        return better
    refined = _refined(better)
    if refined.correlation < CERTAIN and worse.correlation > better.correlation - CLOSE:
        return max(refined, _refined(worse), key=lambda match: match.correlation)
    return refined


def _best_window(inside: Prepared, outside: Prepared) -> Match:
    """Compare all windows of one image with the whole other one, and with what is inside its frame."""
    correlations = inside.windows @ outside.wholes.T
    window, part = divmod(int(correlations.argmax()), len(outside.insides))
    return Match(float(correlations[window, part]), inside, inside.window(window), outside, outside.insides[part])


def _refined(match: Match) -> Match:
    """Move the edges of the window until it is most like the part of the other image."""
    inside, outside = match.inside.values, match.outside
    cells = max(FEWEST, min(FINE, *inside.shape, *outside.values.shape))
    target, solve = outside.target(match.part, cells)
    window, best = match.window, match._replace(correlation=-1.0)
    for _ in range(STEPS + 1):
        sampled = _unit(_sample(inside, window, cells).ravel())
        correlation = float(sampled @ target)
        if correlation > best.correlation:
            best = best._replace(correlation=correlation, window=window)
        moves = np.clip(solve @ (sampled - target), -0.06, 0.06).tolist()
        if max(map(abs, moves)) < STILL:
            break
        top, bottom, left, right = window
        high, wide = bottom - top, right - left
        window = (
            max(0.0, top - moves[0] * high),
            min(1.0, bottom - moves[1] * high),
            max(0.0, left - moves[2] * wide),
            min(1.0, right - moves[3] * wide),
        )
    return best


def _steps(target: Floats) -> Floats:
    """Return the matrix that turns a difference from the target into moves of its four edges, [4, cells * cells].

    It solves the least squares of the difference by the moves, and by a change of contrast and of brightness.
    """
    cells = len(target)
    padded = np.pad(target, 1, mode="edge")
    down, across = (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2, (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2
    place = (np.arange(cells, dtype=np.float32) + 0.5) / cells
    parts = [down * (1 - place[:, None]), down * place[:, None], across * (1 - place), across * place]
    slopes = np.stack([*(part * cells for part in parts), target, np.full_like(target, 1 / cells)]).reshape(6, -1)
    squares = slopes @ slopes.T
    squares += np.diag(np.diag(squares) * 1e-4 + 1e-9)
    return np.asarray(np.linalg.inv(squares)[:4] @ slopes, np.float32)


def _colours(image: npt.NDArray[np.uint8], values: Floats) -> list[Floats]:
    """Return how much red and blue differ from the brightness; nothing for a grey image."""
    if image.ndim == 2:
        return []
    differences = [image[..., channel] - values for channel in (0, 2)]
    return differences if max(float(np.abs(one).mean()) for one in differences) > FAINT / 4 else []


def _same_colours(match: Match) -> float:
    """Return 1 for equal colours, less for others, -1 for opposite ones; 1 if an image is grey."""
    if not match.inside.colours or not match.outside.colours:
        return 1.0
    own = np.stack([_sample(one, match.window, FEWEST) for one in match.inside.colours])
    other = np.stack([_sample(one, match.part, FEWEST) for one in match.outside.colours])
    faint = own.size * FAINT**2
    return float((2 * (own * other).sum() + faint) / ((own**2).sum() + (other**2).sum() + faint))


def _sample(values: Floats, window: Window, cells: int) -> Floats:
    """Return the means of a window at cells * cells places."""
    top, bottom, left, right = window
    down, across = _weights(values.shape[0], top, bottom, cells), _weights(values.shape[1], left, right, cells)
    return np.asarray(down @ values @ across.T, np.float32)


def _weights(pixels: int, start: float, stop: float, cells: int) -> Floats:
    """Return the share of each pixel in each cell, [cells, pixels]; a cell is at least as wide as a pixel."""
    step = (stop - start) * pixels / cells
    middles = np.float32(start * pixels + (0.5 * step - 0.5)) + _counted(cells) * np.float32(step)
    shares = np.float32((max(step, 1.0) + 1) / 2) - np.abs(_counted(pixels) - middles[:, None])
    np.clip(shares, 0, 1, out=shares)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float32)


@cache
def _counted(count: int) -> Floats:
    return np.arange(count, dtype=np.float32)


@cache
def _spans() -> list[tuple[float, float]]:
    """The starts and ends of windows along one side."""
    return [(float(s), float(s + share)) for share, count in SHARES for s in np.linspace(0, 1 - share, count)]


@cache
def _coarse(pixels: int) -> Floats:
    return np.concatenate([_weights(pixels, start, stop, COARSE) for start, stop in _spans()])


def _unit(rows: Floats) -> Floats:
    """Rows with mean 0 and length 1."""
    centred = rows - rows.mean(axis=-1, keepdims=True)
    lengths = np.sqrt(np.einsum("...i,...i->...", centred, centred))[..., None]
    return np.asarray(centred / np.maximum(lengths, 1e-6), np.float32)
