"""Images of an index for pages: never the files themselves, always encoded again."""

from __future__ import annotations

import io
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np

from hashret.errors import DataError
from hashret.images import load
from hashret.index import Index
from hashret.server.errors import Refused

LARGEST = 256  # pixels along the longer side
_decoding = threading.Semaphore(2)  # images decoded at once, because each may need much memory


def picture(index: Index, id: str) -> tuple[bytes, str]:
    """The image of a document and its type: from the original file if that can be read, or else the thumbnail."""
    if index.hasher.document_type != "image":
        raise Refused(404, "this index holds no images")
    content = index.document(id).content
    with suppress(DataError), _decoding:
        if isinstance(content, Path) and content.is_file():
            return _encoded(load(content, "the image", LARGEST))
    return _encoded(load(index.thumbnail(id), "the thumbnail", LARGEST))


def _encoded(image: object) -> tuple[bytes, str]:
    """An image as PNG if it is small, otherwise as JPEG."""
    from PIL import Image

    drawn = Image.fromarray(np.asarray(image))
    out, kind = io.BytesIO(), "PNG" if max(drawn.size) <= 64 else "JPEG"
    drawn.save(out, kind, quality=85)
    return out.getvalue(), f"image/{kind.lower()}"
