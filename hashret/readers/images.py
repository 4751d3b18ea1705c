"""Source of a folder of images, detected by content."""

from __future__ import annotations

from pathlib import Path
from typing import IO, ClassVar

import numpy as np

from hashret.images import decoded, load
from hashret.readers.archives import container_kind
from hashret.readers.base import USUAL, Fields
from hashret.readers.decode import raw_head
from hashret.readers.folder import Folder, Found, Read, majority
from hashret.readers.magic import is_image
from hashret.readers.skip_report import Skip, SkipReport


class Images(Folder):
    """One image per file; the content of a document is its path. Of several frames or pages, the first is used."""

    name: ClassVar[str] = "images"
    summary: ClassVar[str] = (
        "a folder of images at any depth, one document per file: PNG, JPEG, GIF, BMP, WebP, TIFF, PPM, JPEG 2000, ICO, "
        "AVIF; with the extra `heic` also HEIC"
    )
    holds: ClassVar[str] = "image"
    head_bytes: ClassVar[int] = 1024

    def __init__(self, path: Path, fields: Fields = USUAL) -> None:
        super().__init__(path, fields)
        self._sound: dict[str, tuple[int, int]] = {}  # size and time of the files that were decoded successfully

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a folder or container has more images than texts, or the file is an image."""
        if path.is_dir() or container_kind(path) is not None:
            return majority(path) == "image"
        return is_image(raw_head(path))

    def entry(self, raw: bytes, found: Found, skips: SkipReport) -> Read:
        """Return an image of a container, decoded."""
        if not is_image(raw[:1024]):
            raise Skip("not an image")
        return np.asarray(load(raw, found.id)), {}

    def content(self, found: Found, start: bytes, stream: IO[bytes], skips: SkipReport) -> Read:
        """Return the path of an image. Decodes each file once to check it."""
        stamp = (found.bytes, found.modified)
        if self._sound.get(found.id) == stamp:
            return found.path, {}
        if not is_image(start):
            raise Skip("not an image")
        decoded(found.path)
        self._sound[found.id] = stamp
        return found.path, {}
