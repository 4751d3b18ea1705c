"""Small images and edited copies of them, as an index keeps them."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from hashret.images import load, thumbnail

Pixels = npt.NDArray[np.uint8]
EDITS = (
    *("half the size", "twice the size", "JPEG 90", "JPEG 30", "grey", "brighter", "darker", "black frame"),
    *("white frame", "cropped by 2 %", "cropped by 5 %", "cropped by 10 %"),
)
CONTRAST = 25  # standard deviation of the pixels
TILE = 106  # pixels along each side of the parts of photographs


@cache
def originals() -> list[Pixels]:
    """Parts of scikit-learn's two photographs in mixed order, without those that show little but sky."""
    from sklearn.datasets import load_sample_images

    tiles = [
        photograph[y : y + TILE, x : x + TILE]
        for photograph in load_sample_images().images
        for y in range(0, photograph.shape[0] - TILE + 1, TILE)
        for x in range(0, photograph.shape[1] - TILE + 1, TILE)
    ]
    tiles = [tile for tile in tiles if tile.std() > CONTRAST]
    return [tiles[i] for i in np.random.default_rng(0).permutation(len(tiles))]


def kept(image: Pixels) -> Pixels:
    """The small copy of an image that an index keeps."""
    return np.asarray(load(thumbnail(load(image))))


def photographs(count: int) -> list[Pixels]:
    """Small copies of parts of photographs."""
    return [kept(tile) for tile in originals()[:count]]


def edited(original: Pixels, edit: str) -> Pixels:
    """A small copy of an edited image."""
    image = Image.fromarray(original)
    width, height = image.size
    if edit == "half the size":
        image = image.resize((width // 2, height // 2))
    elif edit == "twice the size":
        image = image.resize((width * 2, height * 2))
    elif edit.startswith("JPEG"):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=int(edit.removeprefix("JPEG ")))
        image = Image.open(io.BytesIO(buffer.getvalue()))
    elif edit == "grey":
        image = image.convert("L")
    elif edit in ("brighter", "darker"):
        factor = 1.2 if edit == "brighter" else 0.8
        image = Image.fromarray(np.clip(original * factor, 0, 255).astype(np.uint8))
    elif edit.endswith("frame"):
        image = ImageOps.expand(image, width // 12, fill=edit.split()[0])
    else:
        removed = int(edit.split()[-2]) / 100
        rng = np.random.default_rng(int(original[:8].sum()))
        left, top = (int(rng.integers(0, round(side * removed) + 1)) for side in image.size)
        image = image.crop((left, top, left + round(width * (1 - removed)), top + round(height * (1 - removed))))
    return kept(np.asarray(image))
