"""Decode images with Pillow to a small size. Runs in a worker, except for images too small to be harmful."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hashret.errors import need
from hashret.worker.frames import Refused

if TYPE_CHECKING:
    from PIL.Image import Image

# only these: Pillow reads others with other programs
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "ICO", "AVIF")
HEIC = "HEIF"  # the format of HEIC files, which Pillow reads with pi-heif
_FILE_TYPE = re.compile(rb"\0\0\0.ftyp", re.DOTALL)  # the first box of HEIC and AVIF, with its length
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
AT_ONCE, STRIP = 4 * 10**6, 10**6  # pixels; images larger than AT_ONCE are converted in strips of STRIP
_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}  # in Pillow's memory; other modes take 4


def decode(raw: bytes, largest: int, most: int, memory: int, path: str = "") -> tuple[Any, bytes]:
    """Return [mode, width, height] and the pixels of an image, from bytes or a path, at most `largest` pixels per side.

    The image is rotated upright and converted to mode "L" or "RGB", with a white background. Raises Refused if its
    header claims more than `most` pixels, or if decoding needs more than `memory` bytes, and MissingExtra for HEIC
    without pi-heif.

    Values of more than 8 bits are scaled linearly: 0, or the smallest value if it is negative, becomes black, and the
    largest value of the image white. NaN and infinity become black.
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
            opened = Image.open(io.BytesIO(raw), formats=_formats(raw))
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


def _formats(raw: bytes) -> tuple[str, ...]:
    """Return the formats that bytes may have; reading HEIC needs another package, which registers its format."""
    if not is_heic(raw):
        return FORMATS
    need("pi_heif", "heic", "reading HEIC images").register_heif_opener(thumbnails=False)
    return (HEIC,)


def is_avif(start: bytes) -> bool:
    """Whether it is an AVIF image, by its main brand."""
    return _FILE_TYPE.match(start) is not None and start[8:12] in (b"avif", b"avis")


def is_heic(start: bytes) -> bool:
    """Whether it is a HEIC image, by the brands at its start."""
    if _FILE_TYPE.match(start) is None:
        return False
    return any(start[at : at + 4] in _HEIC_BRANDS for at in (8, *range(16, start[3], 4)))


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
    levels = _levels(image)
    found: Image.Image | None = None
    for first in range(0, height, rows):
        strip = _plain(image.crop((0, first, width, min(first + rows, height))), levels).reduce(factor)
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


def _levels(image: Image) -> tuple[float, float]:
    """Return the values of black and white in a mode of more than 8 bits; (0, 255) for others."""
    if not _is_deep(image):
        return 0, 255
    low, high = 0.0, -np.inf
    for values in _strips(image):
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    return low, high if np.isfinite(high) else 255


def _strips(image: Image) -> Iterator[npt.NDArray[Any]]:
    """Yield the visible finite values of an image, a few rows at a time."""
    rows = max(1, STRIP // image.width)
    for first in range(0, image.height, rows):
        values = np.asarray(image.crop((0, first, image.width, min(first + rows, image.height))))
        yield values[np.isfinite(values) & (values != _transparent(image))]


def _is_deep(image: Image) -> bool:
    return image.mode.startswith("I") or image.mode == "F"


def _transparent(image: Image) -> float | None:
    """Return the value of transparent pixels of an image of more than 8 bits, or None if there are none."""
    value = image.info.get("transparency")
    return value if isinstance(value, int) else None


def _plain(image: Image, levels: tuple[float, float] | None = None) -> Image:
    """Convert to mode "L" or "RGB", with a white background."""
    from PIL import Image

    if _is_deep(image):
        low, high = levels or _levels(image)
        values = np.asarray(image)
        scaled = 255 * ((values.astype(np.float64) - low) / ((high - low) or 1.0))
        grey = np.nan_to_num(scaled, nan=0, posinf=0, neginf=0).clip(0, 255).round().astype(np.uint8)
        grey[values == _transparent(image)] = 255
        return Image.fromarray(grey)
    plain = "L" if image.mode in ("1", "L", "LA") else "RGB"
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        over = Image.new("RGBA", image.size, "white")
        over.alpha_composite(image.convert("RGBA"))
        image = over
    return image.convert(plain)
