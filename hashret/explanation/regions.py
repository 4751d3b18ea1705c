"""Images by regions: brightness, names, and copies in which a region is blank."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hashret.documents import Document
from hashret.images import load
from hashret.loops import Doubles

GRID = 8  # regions along each side of an image


def pixels(document: Document) -> npt.NDArray[np.uint8]:
    """The pixels of an image, uint8 [height, width] or [height, width, 3]."""
    content: Any = document.content
    image = load(content if isinstance(content, np.ndarray) else Path(content), document.id)
    return np.asarray(image, np.uint8)


def grey_grid(document: Document) -> Doubles:
    """The mean brightness of the regions of an image, from 0 to 1: [GRID, GRID]."""
    from PIL import Image

    image = Image.fromarray(pixels(document)).convert("L").resize((GRID, GRID), Image.Resampling.BOX)
    return np.asarray(image, np.float64) / 255


def region(place: int) -> str:
    """The name of a region by its number, in rows from the top left."""
    return f"row {place // GRID + 1}, column {place % GRID + 1}"


def occlusion(document: Document, value: Callable[[list[Document]], Doubles]) -> Doubles:
    """How much a value of an image falls when a region takes on the mean colour of the image, [GRID, GRID].

    `value` returns the values [m] of images; the first is the image itself (Zeiler & Fergus 2014).
    """
    image = pixels(document)
    mean = image.reshape(-1, *image.shape[2:]).mean(axis=0).astype(np.uint8)
    rows, columns = (np.linspace(0, side, GRID + 1).round().astype(int) for side in image.shape[:2])
    variants = [Document(document.id, image)]
    for y in range(GRID):
        for x in range(GRID):
            blank = image.copy()
            blank[rows[y] : rows[y + 1], columns[x] : columns[x + 1]] = mean
            variants.append(Document(document.id, blank))
    values = value(variants)
    return np.asarray((values[0] - values[1:]).reshape(GRID, GRID))
