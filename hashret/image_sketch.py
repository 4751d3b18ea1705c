"""Sketches of images: the signs of the lowest frequencies of their brightness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hashret.codes import Codes, pack

SIDE, KEPT = 32, (8, 16)


def image_sketches(images: Sequence[npt.NDArray[np.uint8]]) -> Codes:
    """Return the sketches of images, uint8 [n, 16]."""
    from PIL import Image

    waves = np.cos(np.pi / SIDE * np.outer(np.arange(17), np.arange(SIDE) + 0.5))
    grey = [np.asarray(Image.fromarray(own).convert("L").resize((SIDE, SIDE), 4), float) for own in images]
    waved = waves[1 : KEPT[0] + 1] @ np.stack(grey) @ waves[1:].T if grey else np.zeros((0, *KEPT))
    return pack((waved > 0).reshape(len(images), -1))
