"""A folder of images, known by what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from hashret.images import decoded
from hashret.readers.base import USUAL, Fields
from hashret.readers.decode import raw_head
from hashret.readers.folder import Folder, Found, majority
from hashret.readers.magic import is_image
from hashret.readers.skip_report import SkipReport


class Images(Folder):
    """An image a file, as its path; of an animated one the first frame is meant."""

    name: ClassVar[str] = "images"
    summary: ClassVar[str] = "a folder of images at any depth (PNG, JPEG, GIF, BMP, WebP, TIFF, PPM): a document a file"
    holds: ClassVar[str] = "image"

    def __init__(self, path: Path, fields: Fields = USUAL) -> None:
        super().__init__(path, fields)
        self._sound: dict[str, tuple[int, int]] = {}  # size and time of the files that were decoded once

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A folder with more images than texts, or one image."""
        return majority(path) == "image" if path.is_dir() else is_image(raw_head(path))

    def content(self, found: Found, skips: SkipReport) -> Path | None:
        """The image's path, or None where it is none; each is decoded once, whole."""
        stamp = (found.bytes, found.modified)
        if self._sound.get(found.id) == stamp:
            return found.path
        with found.path.open("rb") as stream:
            start = stream.read(1024)
        if not is_image(start):
            skips.skip(found.path, "are not images")
            return None
        decoded(found.path)
        self._sound[found.id] = stamp
        return found.path
