"""Images: files, bytes and arrays as small images."""

from __future__ import annotations

import contextlib
import io
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hashret import worker
from hashret.errors import DataError
from hashret.worker.image import decode

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 100_000_000
MOST_BYTES = 1 << 29
LARGEST = 256  # pixels along the longer side of an image as it is worked with
THUMBNAIL = 64  # pixels along the longer side

SECONDS_PER_MIB = 2.0  # of processor time; a JPEG takes 0.1
SENT = 1 << 20  # bytes; a smaller file is read here and sent to the worker

# PNG and JPEG within these bounds are decoded in this process: at most 16 passes over 65,536 pixels, a few ms.
# A trip to the worker costs 0.1 ms, which would double the time of reading a folder of images of 32 x 32.
SMALL_BYTES, SMALL_PIXELS, FEW_SCANS = 1 << 16, 1 << 16, 16

_DECODE = "hashret.worker.image:decode"


def load(content: Path | npt.NDArray[Any] | bytes, name: str = "image") -> Image:
    """An image upright, of at most 256 pixels a side, in mode "L" or "RGB", transparency over white.

    Files and bytes are decoded in a worker process. DataError where that finds no image or needs too much.
    """
    from PIL import Image

    if isinstance(content, np.ndarray):
        if content.dtype != np.uint8 or content.shape[2:] not in ((), (3,)) or content.ndim < 2 or not content.size:
            raise DataError(
                f"{name!r} must be uint8 [height, width] or [height, width, 3], got {content.dtype} {content.shape}"
            )
        image = Image.fromarray(np.ascontiguousarray(content))
        if max(image.size) > LARGEST:
            image.thumbnail((LARGEST, LARGEST))
        return image
    try:
        (mode, width, height), pixels = decoded(content)
    except FileNotFoundError:
        raise DataError(f"no image at {name!r}") from None
    except (OSError, worker.Unreadable) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"{name!r} is not an image that can be read ({reason})") from error
    return Image.frombytes(mode, (width, height), pixels)


def decoded(content: Path | bytes) -> tuple[Any, bytes]:
    """[mode, width, height] and pixels of the image that `load` makes of a file or bytes.

    OSError where the file cannot be read; worker.Unreadable, a DataError, where it is no image or needs too much.
    """
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    if size > MOST_BYTES:
        raise worker.Unreadable(f"{size:,} bytes, more than {MOST_BYTES:,}")
    limits = worker.limits_for(size, seconds_per_mib=SECONDS_PER_MIB)
    arguments: dict[str, Any] = {"largest": LARGEST, "most": MOST_PIXELS, "memory": limits.memory}
    if not isinstance(content, bytes) and size > SENT:
        return worker.call(_DECODE, size, b"", limits, path=worker.real(content), **arguments)
    raw = content if isinstance(content, bytes) else content.read_bytes()
    if _harmless(raw):
        # what goes wrong here is found again by the worker, which knows how to say it
        with contextlib.suppress(OSError, SyntaxError, ValueError, ArithmeticError, LookupError, TypeError):
            return decode(raw, LARGEST, min(SMALL_PIXELS, MOST_PIXELS), limits.memory)
    return worker.call(_DECODE, size, raw, limits, **arguments)


def _harmless(raw: bytes) -> bool:
    """Whether an image is so small, by its bytes and by what its header claims, that decoding it cannot take long."""
    if len(raw) > SMALL_BYTES:
        return False
    if raw.startswith(b"\x89PNG\r\n\x1a\n"):
        width, height = struct.unpack_from(">II", raw.ljust(24, b"\0"), 16)
    elif raw.startswith(b"\xff\xd8\xff") and raw.count(b"\xff\xda") <= FEW_SCANS:
        width, height = _jpeg_size(raw)
    else:
        return False
    return bool(0 < width * height <= SMALL_PIXELS)


def _jpeg_size(raw: bytes) -> tuple[int, int]:
    """Width and height from the first frame header of a JPEG; zeros where there is none."""
    at = 2
    while at + 9 <= len(raw) and raw[at] == 0xFF:
        kind, length = raw[at + 1], int.from_bytes(raw[at + 2 : at + 4], "big")
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(raw[at + 7 : at + 9], "big"), int.from_bytes(raw[at + 5 : at + 7], "big")
        at += 2 + length
    return 0, 0


def thumbnail(image: Image) -> bytes:
    """A small copy: exact (PNG) where the image is small already, else JPEG of at most 64 pixels a side."""
    buffer = io.BytesIO()
    if max(image.size) <= THUMBNAIL:
        image.save(buffer, "PNG")
    else:
        small = image.copy()
        small.thumbnail((THUMBNAIL, THUMBNAIL))
        small.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def is_grey(image: Image) -> bool:
    """Whether all three channels are the same everywhere."""
    if image.mode == "L":
        return True
    values = np.asarray(image)
    return bool((values[..., :1] == values).all())
