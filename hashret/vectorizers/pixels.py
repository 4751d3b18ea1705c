"""Vectorizer of images: pixel values on a fixed grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from hashret.descriptors import EDGES, describe, described
from hashret.documents import Document, check_kind
from hashret.errors import StoreError
from hashret.features import CSRMatrix, Features, Floats, mean_of
from hashret.images import is_grey, load
from hashret.options import option
from hashret.progress import report, track
from hashret.vectorizers.base import State, Vectorizer

if TYPE_CHECKING:
    from PIL.Image import Image

LARGEST = 32  # largest number of pixels per side, unless the option `size` is set
VIEW = 64  # principal components of the pixels in the view for the neighbour graph
LOOKED_AT = 200  # images examined to choose size and mode
AT_ONCE = 1000  # images described between two reports of progress


@dataclass(kw_only=True, repr=False, eq=False)
class Pixels(Vectorizer):
    """Resizes images to one size and mode; features are values from 0 to 1, [channels, height, width]."""

    size: int = option(
        None, "pixels per side; auto: the size of the images if equal and at most 32, else 32", low=1, high=256
    )
    mode: str = option("auto", "auto: colour if any image has colour", choices=("auto", "grey", "colour"))

    name = "pixels"
    summary = "images as pixel values on a fixed grid, grey or colour"
    document_type = "image"
    centred = True
    feature_type = "unit"

    def fit(self, documents: Sequence[Document]) -> Features:
        """Choose size and mode from evenly spaced images; the views are principal components of pixels, and shapes."""
        from hashret.projection import principal

        check_kind(documents, self.document_type, "pixels")
        step = -(-len(documents) // LOOKED_AT)
        looked_at = [_image(document) for document in documents[::step]]
        sizes = {image.size for image in looked_at}
        across, height = sizes.pop() if len(sizes) == 1 else (LARGEST, LARGEST)
        if self.size or max(across, height) > LARGEST:
            across = height = self.size or LARGEST
        grey = all(is_grey(image) for image in looked_at) if self.mode == "auto" else self.mode == "grey"
        self.shape = (1 if grey else 3, height, across)
        values = self._matrix(track(documents, "reading images", len(documents)), len(documents))
        plain = Features(values, self.shape, self.feature_type)
        if len(values) < 2:
            return plain  # a single image has no neighbours
        mean, directions = principal(plain, VIEW, 0)
        views = ((values - mean) @ directions.T, *self._seen(values))
        return replace(plain, views=tuple(np.asarray(view, np.float32) for view in views))

    def transform(self, documents: Sequence[Document]) -> Features:
        """Return dense features [n, channels * height * width]. Raises DataError for documents other than images."""
        check_kind(documents, self.document_type, "pixels")
        return Features(self._matrix(documents, len(documents)), self.shape, self.feature_type)

    def for_vectors(self, features: Floats | CSRMatrix) -> Floats:
        """Return the edges and the layout of images, float32 [n, 160 for grey images, else 192]; see `descriptors.py`.

        They find an image at another size, crop or compression more often than pixels do.
        """
        return describe(np.asarray(features, np.float32).reshape(len(features), *self.shape))

    def _seen(self, values: Floats) -> tuple[Floats, ...]:
        """Return the descriptions of images [n, dim], less their mean, edges and layout apart."""
        found = np.empty((len(values), described(self.shape[0])), np.float32)
        for start in range(0, len(values), AT_ONCE):
            some = self.for_vectors(values[start : start + AT_ONCE])
            found[start : start + len(some)] = some
            report("finding edges", start + len(some), len(values))
        found -= mean_of(found)
        # of grey images, the layout is that of the pixels, which are a view already
        return (found[:, :EDGES], found[:, EDGES:]) if self.shape[0] == 3 else (found[:, :EDGES],)

    def _matrix(self, documents: Iterable[Document], count: int) -> Floats:
        channels, height, across = self.shape
        values = np.empty((count, channels * height * across), np.float32)
        for row, document in zip(values, documents, strict=True):
            row[:] = self._values(_image(document)).reshape(-1)
        return values

    def _values(self, image: Image) -> Floats:
        channels, height, across = self.shape
        image = image.convert("L" if channels == 1 else "RGB")
        if image.size != (across, height):
            image = image.resize((across, height), resample=5)  # PIL.Image.HAMMING: sharp, without aliasing
        values = np.asarray(image, np.float32) / 255
        return np.asarray(values.reshape(height, across, channels).transpose(2, 0, 1), np.float32)

    def state(self) -> State:
        """Return the shape."""
        return State(facts={"shape": list(self.shape)})

    def restore(self, state: State) -> None:
        """Load the shape. Raises StoreError if it is invalid."""
        shape = tuple(state.facts.get("shape", ()))
        if len(shape) != 3 or shape[0] not in (1, 3) or not all(isinstance(s, int) and 0 < s <= 4096 for s in shape):
            raise StoreError(f"the shape of images must be 1 or 3 channels of at most 4096 x 4096 pixels, got {shape}")
        self.shape = cast("tuple[int, int, int]", shape)


def _image(document: Document) -> Image:
    content: Any = document.content
    return load(content if isinstance(content, np.ndarray) else Path(content), document.id)
