"""Sketches of images: 128 bits that differ little between copies of one image.

A bit is the sign of a coefficient of the discrete cosine transform of the brightness: the 128 of the lowest
frequencies, without the mean. A uniform frame around the image is removed first. Copies that were scaled,
compressed, turned grey or made brighter keep most signs.

A crop moves the whole pattern, and so changes many signs. `image_views` therefore also sketches windows of an image:
a crop is near one of the windows of its original. Two images are candidates if a pair of views in `JOINS` is within
`RADIUS` bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

BITS = 128
SIDE = 16  # frequencies along each side, of which the 128 lowest are taken
SMALLEST = 4  # pixels along each side that removing a frame leaves
FLAT = 2.0  # standard deviation of the brightness, of 255, below which nothing of an image can be compared
FRAME = (
    24.0  # a frame's pixels differ from its median by at most this much brightness, of 255; JPEG changes them so far
)

# Of pairs of different images of CIFAR-10, 1 in 10,000 is within this many bits in some pair of views, 1 in 100,000 in
# the first views. Of copies, over all edits that `deduplication/images.py` accepts, 97 % are; by the first views 76 %.
RADIUS = 36

WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)  # brightness of red, green and blue, ITU-R BT.601

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

# Windows of 91 and 83 % of each side: one of them is within 5 % of any crop that leaves at least 80 %.
_SPANS = ((0.0, 1.0), (0.0, 0.91), (0.045, 0.955), (0.09, 1.0), (0.0, 0.83), (0.085, 0.915), (0.17, 1.0))
_WINDOWS = (
    *((1, 1), (1, 3), (2, 2), (3, 1), (3, 3)),
    *((down, across) for down in (4, 5, 6) for across in (4, 5, 6)),
)
_DOWN, _ACROSS = np.array(_WINDOWS).T
VIEWS = 2 + len(_WINDOWS)  # without its frame, whole, and windows without the frame
JOINS = ((1, 1), *((0, view) for view in range(VIEWS)))  # views of one image to compare with views of the other


def image_sketches(images: Sequence[Image]) -> npt.NDArray[np.uint8]:
    """Return 128 bits an image, uint8 [n, 16]. Images are uint8 [height, width] or [height, width, 3].

    A flat image, such as an all black one, has a digest of its pixels instead: it is near equal images only.
    """
    return _sketches(images, 1)[:, 0]


def image_views(images: Sequence[Image]) -> npt.NDArray[np.uint8]:
    """Return the sketches of all views, uint8 [n, VIEWS, 16]; the first is that of `image_sketches`."""
    return _sketches(images, VIEWS)


def brightness(image: Image) -> Floats:
    """Return the brightness of the pixels, float32 [height, width], from 0 to 255."""
    values = image.astype(np.float32)
    return values if values.ndim == 2 else values @ WEIGHTS


def inner(values: Floats) -> tuple[slice, slice]:
    """Return the rows and columns inside a uniform frame, and inside a second one within the first."""
    rows, columns = slice(0, values.shape[0]), slice(0, values.shape[1])
    for _ in range(2):
        part = values[rows, columns]
        edge = np.concatenate([part[0], part[-1], part[1:-1, 0], part[1:-1, -1]])
        differs = np.abs(part - np.median(edge)) > FRAME
        down, across = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
        if not len(down) or down[-1] - down[0] < SMALLEST or across[-1] - across[0] < SMALLEST:
            break
        rows = slice(rows.start + int(down[0]), rows.start + int(down[-1]) + 1)
        columns = slice(columns.start + int(across[0]), columns.start + int(across[-1]) + 1)
    if values[rows, columns].std() < FLAT:
        return slice(0, values.shape[0]), slice(0, values.shape[1])
    return rows, columns


def is_flat(values: Floats) -> bool:
    """Whether an image has too little contrast to be compared: it is the same as equal images only."""
    return bool(values.std() < FLAT)


def digest(image: Image) -> bytes:
    """Return 16 bytes, equal for equal pixels; grey pixels are equal whether they have one channel or three."""
    if image.ndim == 3 and (image == image[..., :1]).all():
        image = image[..., 0]
    return hashlib.blake2b(repr(image.shape).encode() + image.tobytes(), digest_size=16).digest()


def _sketches(images: Sequence[Image], views: int) -> npt.NDArray[np.uint8]:
    found = np.empty((len(images), views, BITS // 8), np.uint8)
    for row, image in zip(found, images, strict=True):
        values = brightness(image)
        if is_flat(values):
            row[:] = np.frombuffer(digest(image), np.uint8)
            continue
        inside = values[inner(values)]
        row[0] = _signs(_transform(inside, 1)[0, 0])
        if views > 1:
            row[1] = _signs(_transform(values, 1)[0, 0])
            row[2:] = _signs(_transform(inside, len(_SPANS))[_DOWN, _ACROSS])
    return found


def _signs(transformed: Floats) -> npt.NDArray[np.uint8]:
    """Return packed signs of the lowest frequencies, without the mean. [..., SIDE, SIDE] -> [..., 16]."""
    down, across = _order()
    return np.packbits(transformed[..., down, across] > 0, axis=-1)


@cache
def _order() -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The frequencies down and across of each bit, the lowest first."""
    down, across = np.divmod(np.arange(1, SIDE * SIDE), SIDE)
    lowest = np.argsort(down**2 + across**2, kind="stable")[:BITS]
    return down[lowest], across[lowest]


def _transform(values: Floats, spans: int) -> Floats:
    """The discrete cosine transforms of windows, [spans down, spans across, SIDE, SIDE]."""
    down = _waves(values.shape[0], spans).reshape(spans, SIDE, -1)  # small products are not shared among threads
    products = down @ values @ _waves(values.shape[1], spans).T
    return np.asarray(products, np.float32).reshape(spans, SIDE, spans, SIDE).swapaxes(1, 2)


@cache
def _waves(pixels: int, spans: int) -> Floats:
    """Cosines over the first spans, each averaged over the area of a pixel, [spans * SIDE, pixels]."""
    starts, stops = np.array(_SPANS[:spans]).T[..., None]
    edges = np.clip((np.arange(pixels + 1) / pixels - starts) / (stops - starts), 0, 1)
    angles = np.pi * np.arange(1, SIDE)[:, None] * edges[:, None]
    rising = np.concatenate([edges[:, None], np.sin(angles) / (np.pi * np.arange(1, SIDE)[:, None])], axis=1)
    return np.diff(rising, axis=-1).reshape(spans * SIDE, pixels).astype(np.float32)
