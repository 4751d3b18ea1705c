"""Source of IDX files, the format of MNIST: one file of images and one of labels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import IO, ClassVar

import numpy as np

from hashret.documents import Document
from hashret.errors import DataError, UsageError
from hashret.readers.base import USUAL, Fields, Source, no_fields, portable, shown
from hashret.readers.decode import head, open_bytes, reading

IMAGES, LABELS = b"\0\0\x08\x03", b"\0\0\x08\x01"
MAX_IMAGE = 32 * 2**20  # bytes
_BATCH = 256


class Idx(Source):
    """Images of equal size, uint8 [height, width], with labels from the matching file; `path` may be either file."""

    name: ClassVar[str] = "idx"
    summary: ClassVar[str] = "an IDX pair (the format of MNIST), plain or gzip: a file of images and a file of labels"

    def __init__(self, path: Path, fields: Fields = USUAL) -> None:
        no_fields(fields, f"an IDX pair ({shown(path.name)})")
        super().__init__(_images_file(path), fields)
        self.labels_path = _beside(self.path, "images", "labels", "idx3", "idx1")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the file starts with the IDX signature, or the folder contains such files."""
        return bool(_images_in(path)) if path.is_dir() else head(path)[:4] in (IMAGES, LABELS)

    @property
    def kind(self) -> str:
        """Always "image"."""
        return "image"

    def count(self) -> int:
        """Return the number of images given in the file header."""
        with reading(self.path), open_bytes(self.path) as stream:
            return _header(stream, self.path, IMAGES, 3)[0]

    def __iter__(self) -> Iterator[Document]:
        name = portable(self.path.name)
        labels = itertools.repeat(()) if self.labels_path is None else self._labels(self.labels_path)
        for number, (image, label) in enumerate(zip(self._images(), labels, strict=False), 1):
            yield Document(f"{name}:{number}", image, label)

    def _images(self) -> Iterator[np.ndarray[tuple[int, int], np.dtype[np.uint8]]]:
        with reading(self.path), open_bytes(self.path) as stream:
            count, height, width = _header(stream, self.path, IMAGES, 3)
            size = height * width
            if not 0 < size <= MAX_IMAGE:
                raise DataError(
                    f"{shown(self.path)} claims images of {height} x {width} pixels; allowed: 1 to {MAX_IMAGE} pixels"
                )
            for number in range(1, count + 1):
                raw = stream.read(size)
                if len(raw) < size:
                    raise DataError(f"{shown(self.path)} is cut short in image {number} of {count}; download it again")
                yield np.frombuffer(bytearray(raw), np.uint8).reshape(height, width)
            if stream.read(1):
                raise DataError(
                    f"{shown(self.path)} has more data after its {count} images; it is not a valid IDX file"
                )

    def _labels(self, path: Path) -> Iterator[tuple[str, ...]]:
        with reading(path), open_bytes(path) as stream:
            (count,) = _header(stream, path, LABELS, 1)
            if count != self.count():
                raise DataError(f"{shown(path)} has {count} labels, {shown(self.path.name)} {self.count()} images")
            read = 0
            while raw := stream.read(min(_BATCH, count - read)):
                yield from ((str(label),) for label in raw)
                read += len(raw)
            if read < count:
                raise DataError(f"{shown(path)} is cut short after label {read} of {count}; download it again")
        # one more item, so that zip asks for a further image and `_images` checks for trailing data
        yield ()


def _header(stream: IO[bytes], path: Path, mark: bytes, dimensions: int) -> tuple[int, ...]:
    raw = stream.read(4 + 4 * dimensions)
    if not raw.startswith(mark) or len(raw) < 4 + 4 * dimensions:
        raise DataError(f"{shown(path)} is not an IDX file of {'images' if mark == IMAGES else 'labels'}")
    return tuple(int.from_bytes(raw[at : at + 4], "big") for at in range(4, len(raw), 4))


def _images_file(path: Path) -> Path:
    """Return the file of images for a path to a folder or to either file of a pair."""
    if path.is_dir():
        files = _images_in(path)
        if len(files) != 1:
            named = ", ".join(shown(file) for file in files) or "none"
            raise UsageError(
                f"{shown(path)} must contain exactly one IDX pair; give the path of an image file: {named}"
            )
        return files[0]
    if head(path)[:4] != LABELS:
        return path
    images = _beside(path, "labels", "images", "idx1", "idx3")
    if images is None:
        raise DataError(f"{shown(path)} holds labels, but the matching file of images is missing")
    return images


def _beside(path: Path, *swaps: str) -> Path | None:
    """Return the other file of a pair, whose name has the words replaced, plain or gzip; None if there is none."""
    name = path.name
    for word, other in zip(swaps[::2], swaps[1::2], strict=True):
        name = name.replace(word, other)
    if name == path.name:
        return None
    plain = name.removesuffix(".gz")
    return next((file for file in (path.with_name(plain), path.with_name(plain + ".gz")) if file.is_file()), None)


def _images_in(folder: Path) -> list[Path]:
    try:
        files = sorted(file for file in itertools.islice(folder.iterdir(), 200) if file.is_file())
    except OSError:
        return []
    return [file for file in files if not file.name.startswith(".") and head(file)[:4] == IMAGES]
