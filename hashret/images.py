"""Load images from files, bytes and arrays, by default at a small size."""

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
from hashret.worker.image import decode, is_heic

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 100_000_000
MOST_BYTES = 1 << 29
LARGEST = 256  # pixels along the longer side of a loaded image, unless a caller wants more
OWN_SIZE = 4096  # the same for models, which scale images themselves
OWN_MEMORY = 1 << 30  # bytes allowed in addition for images at their own size: 100 million pixels twice
THUMBNAIL = 64  # pixels along the longer side of a thumbnail

SECONDS_PER_MIB = 2.0  # CPU time; a JPEG takes 0.1
START = 256  # bytes that tell the format
SENT = 1 << 20  # bytes; files up to this size are read here and sent to the worker

# PNG and JPEG within these limits are decoded in this process: at most 16 passes over 65,536 pixels, a few ms. Sending
# one to a worker takes 0.1 ms, which would double the time of reading a folder of 32 x 32 images.
SMALL_BYTES, SMALL_PIXELS, FEW_SCANS = 1 << 16, 1 << 16, 16

_DECODE = "hashret.worker.image:decode"


def load(content: Path | npt.NDArray[Any] | bytes, name: str = "image", largest: int = LARGEST) -> Image:
    """Return an upright image of at most `largest` pixels per side, in mode "L" or "RGB", with a white background.

    Files and bytes are decoded in a worker process; `name` is used in messages. Raises DataError if the content is not
    a valid image or exceeds the limits.
    """
    from PIL import Image

    if isinstance(content, np.ndarray):
        if content.dtype != np.uint8 or content.shape[2:] not in ((), (3,)) or content.ndim < 2 or not content.size:
            raise DataError(
                f"{name!r} must be uint8 [height, width] or [height, width, 3], got {content.dtype} {content.shape}"
            )
        image = Image.fromarray(np.ascontiguousarray(content))
        if max(image.size) > largest:
            image.thumbnail((largest, largest))
        return image
    try:
        (mode, width, height), pixels = decoded(content, largest)
    except FileNotFoundError:
        raise DataError(f"image not found: {name!r}") from None
    except (OSError, worker.Unreadable) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DataError(f"{name!r} is not a readable image ({reason})") from error
    return Image.frombytes(mode, (width, height), pixels)


def decoded(content: Path | bytes, largest: int = LARGEST) -> tuple[Any, bytes]:
    """Return [mode, width, height] and the pixels of a decoded image, from a file or bytes.

    Raises OSError if the file cannot be read, worker.Unreadable, a DataError, if it is not a valid image or exceeds the
    limits, and MissingExtra for HEIC without pi-heif.
    """
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    if size > MOST_BYTES:
        raise worker.Unreadable(f"{size:,} bytes, more than {MOST_BYTES:,}")
    limits = worker.limits_for(size, seconds_per_mib=SECONDS_PER_MIB)
    if largest > LARGEST:
        limits = limits._replace(memory=limits.memory + OWN_MEMORY, answer=limits.answer + 3 * largest * largest)
    arguments: dict[str, Any] = {"largest": largest, "most": MOST_PIXELS, "memory": limits.memory}
    if not isinstance(content, bytes) and size > SENT:
        with content.open("rb") as stream:
            _check_extra(stream.read(START))
        return worker.call(_DECODE, size, b"", limits, path=worker.real(content), **arguments)
    raw = content if isinstance(content, bytes) else content.read_bytes()
    _check_extra(raw[:START])
    if _harmless(raw):
        # on any error, let the worker decode it again: it reports the reason
        with contextlib.suppress(OSError, SyntaxError, ValueError, ArithmeticError, LookupError, TypeError):
            return decode(raw, largest, min(SMALL_PIXELS, MOST_PIXELS), limits.memory)
    return worker.call(_DECODE, size, raw, limits, **arguments)


def _check_extra(start: bytes) -> None:
    if is_heic(start):
        worker.require("pi_heif", "heic", "reading HEIC images")


def _harmless(raw: bytes) -> bool:
    """Whether an image is so small, by its size in bytes and by its header, that decoding it cannot take long."""
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
    """Return width and height from the first frame header of a JPEG; zeros if there is none."""
    at = 2
    while at + 9 <= len(raw) and raw[at] == 0xFF:
        kind, length = raw[at + 1], int.from_bytes(raw[at + 2 : at + 4], "big")
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(raw[at + 7 : at + 9], "big"), int.from_bytes(raw[at + 5 : at + 7], "big")
        at += 2 + length
    return 0, 0


def thumbnail(image: Image) -> bytes:
    """Return a small copy: a lossless PNG if the image is at most 64 pixels per side, otherwise a JPEG of that size."""
    buffer = io.BytesIO()
    if max(image.size) <= THUMBNAIL:
        image.save(buffer, "PNG")
    else:
        small = image.copy()
        small.thumbnail((THUMBNAIL, THUMBNAIL))
        small.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def is_grey(image: Image) -> bool:
    """Whether the image is grey: mode "L", or equal channels in all pixels."""
    if image.mode == "L":
        return True
    values = np.asarray(image)
    return bool((values[..., :1] == values).all())
