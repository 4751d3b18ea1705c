"""Decode images with Pillow to a small size. Runs in a worker, except for images too small to be harmful."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hashret.worker.frames import Refused

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")  # only these: Pillow reads others with other programs
AT_ONCE, STRIP = 4 * 10**6, 10**6  # pixels; images larger than AT_ONCE are converted in strips of STRIP
_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}  # in Pillow's memory; other modes take 4


def decode(raw: bytes, largest: int, most: int, memory: int, path: str = "") -> tuple[Any, bytes]:
    """Return [mode, width, height] and the pixels of an image, from bytes or a path, at most `largest` pixels per side.

    The image is rotated upright and converted to mode "L" or "RGB", with a white background. Raises Refused if its
    header claims more than `most` pixels, or if decoding needs more than `memory` bytes.
    """
    # read the bytes here: from a file object, Pillow would allocate any size that a damaged file claims
    image = shrunk(Path(path).read_bytes() if path else raw, largest, most, memory)
    return [image.mode, *image.size], image.tobytes()


def shrunk(raw: bytes, largest: int, most: int, memory: int) -> Image:
    """Do the work of `decode`; return a Pillow image."""
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            opened = Image.open(io.BytesIO(raw), formats=FORMATS)
        except Image.DecompressionBombError:
            raise Refused(f"more than {most:,} pixels") from None
        with opened as image:
            if image.width * image.height > most:
                raise Refused(f"{image.width} x {image.height} pixels, more than {most:,}")
            image.draft(None, (largest, largest))  # decode a JPEG at a reduced size
            needed = image.width * image.height * _PIXEL_BYTES.get(image.mode, 4)
            if needed > memory:
                raise Refused(f"needs {needed >> 20} MiB of memory, more than {memory >> 20}")
            if image.width * image.height > AT_ONCE:
                return _small(_upright(_reduced(image, largest), image.getexif().get(0x0112, 1)), largest)
            return _small(_plain(ImageOps.exif_transpose(image)), largest)


def _small(image: Image, largest: int) -> Image:
    if max(image.size) > largest:
        image.thumbnail((largest, largest))
    return image


def _reduced(image: Image, largest: int) -> Image:
    """Reduce a large image to 2 to 3 times its final size, in strips, to avoid a second copy in memory."""
    from PIL import Image

    width, height = image.size
    factor = max(1, max(width, height) // (2 * largest))
    rows = factor * max(1, STRIP // (width * factor))
    top = _brightest(image)
    found: Image.Image | None = None
    for first in range(0, height, rows):
        strip = _plain(image.crop((0, first, width, min(first + rows, height))), top).reduce(factor)
        if found is None:
            found = Image.new(strip.mode, (strip.width, -(-height // factor)))
        found.paste(strip, (0, first // factor))
    assert found is not None
    return found


def _upright(image: Image, orientation: int) -> Image:
    """Rotate or flip an image according to its EXIF orientation."""
    from PIL.Image import Transpose

    turn = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(orientation)
    return image if turn is None else image.transpose(turn)


def _brightest(image: Image) -> float:
    """Return the value of white in a mode of more than 8 bits."""
    if not (image.mode.startswith("I") or image.mode == "F"):
        return 255
    highest = image.getextrema()[1]
    return 65535 if isinstance(highest, int | float) and highest > 255 else 255


def _plain(image: Image, top: float | None = None) -> Image:
    """Convert to mode "L" or "RGB", with a white background."""
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        import numpy as np

        values = np.asarray(image, np.float64)
        top = _brightest(image) if top is None else top
        return Image.fromarray((values / top * 255).clip(0, 255).astype(np.uint8))
    plain = "L" if image.mode in ("1", "L", "LA") else "RGB"
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        over = Image.new("RGBA", image.size, "white")
        over.alpha_composite(image.convert("RGBA"))
        image = over
    return image.convert(plain)
