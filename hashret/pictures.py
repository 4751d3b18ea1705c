"""Pictures: files and arrays as Pillow sees them, checked before they are decoded."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hashret.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 100_000_000
MOST_BYTES = 1 << 29
LARGEST = 256  # pixels along the longer side of a picture as it is worked with
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")  # no others are opened: some start other programs
THUMBNAIL = 64  # pixels along the longer side


class TooLarge(DataError):
    """A picture that would fill the memory."""


def load(content: Path | npt.NDArray[Any] | bytes, name: str = "picture") -> Image:
    """A picture upright, of at most 256 pixels a side, in mode "L" or "RGB", transparency over white.

    DataError where it is none or is too large.
    """
    from PIL import Image, ImageOps

    if isinstance(content, np.ndarray):
        if content.dtype != np.uint8 or content.shape[2:] not in ((), (3,)) or content.ndim < 2 or not content.size:
            raise DataError(
                f"{name!r} must be uint8 [height, width] or [height, width, 3], got {content.dtype} {content.shape}"
            )
        return _small(Image.fromarray(np.ascontiguousarray(content)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(_bytes(content, name)), formats=FORMATS) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    raise TooLarge(f"{name!r} has {picture.width} x {picture.height} pixels, more than {MOST_PIXELS:,}")
                picture.draft(None, (LARGEST, LARGEST))  # JPEG is decoded at a fraction of its size
                return _small(_plain(ImageOps.exif_transpose(picture)))
    except FileNotFoundError:
        raise DataError(f"no picture at {name!r}") from None
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise TooLarge(f"{name!r} has more than {MOST_PIXELS:,} pixels") from error
    except _DAMAGE as error:
        raise DataError(f"{name!r} is no picture that can be read ({error})") from error


# what Pillow lets through of damaged files
_DAMAGE = (OSError, SyntaxError, ValueError, ArithmeticError, LookupError, TypeError, EOFError, struct.error)


def _bytes(content: Path | bytes, name: str) -> bytes:
    """A picture's bytes; from a file as it is, Pillow would ask for as many as a damaged one claims to have."""
    if isinstance(content, bytes):
        return content
    if content.stat().st_size > MOST_BYTES:
        raise TooLarge(f"{name!r} has {content.stat().st_size:,} bytes, more than {MOST_BYTES:,}")
    return content.read_bytes()


def _small(picture: Image) -> Image:
    if max(picture.size) > LARGEST:
        picture.thumbnail((LARGEST, LARGEST))
    return picture


def _plain(picture: Image) -> Image:
    """Mode "L" or "RGB"."""
    from PIL import Image

    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture, np.float64)
        top = 65535 if values.max(initial=0) > 255 else 255
        return Image.fromarray((values / top * 255).clip(0, 255).astype(np.uint8))
    plain = "L" if picture.mode in ("1", "L", "LA") else "RGB"
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        over = Image.new("RGBA", picture.size, "white")
        over.alpha_composite(picture.convert("RGBA"))
        picture = over
    return picture.convert(plain)


def thumbnail(picture: Image) -> bytes:
    """A small copy: exact (PNG) where the picture is small already, else JPEG of at most 64 pixels a side."""
    buffer = io.BytesIO()
    if max(picture.size) <= THUMBNAIL:
        picture.save(buffer, "PNG")
    else:
        small = picture.copy()
        small.thumbnail((THUMBNAIL, THUMBNAIL))
        small.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def is_grey(picture: Image) -> bool:
    """Whether all three channels are the same everywhere."""
    if picture.mode == "L":
        return True
    values = np.asarray(picture)
    return bool((values[..., :1] == values).all())
