"""Vectorizer of images: the embeddings of a model trained elsewhere, which may read texts too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hashret.documents import Document, check_kind
from hashret.errors import StoreError, UsageError
from hashret.features import Features, Floats, mean_of
from hashret.frontends.base import Model, Role
from hashret.frontends.captions import CAPTIONS
from hashret.frontends.image_models import BACKENDS, ImageModel, backend_of
from hashret.frontends.preprocessing import FILTERS, NEEDED, Preprocessing
from hashret.images import OWN_SIZE, load
from hashret.options import option
from hashret.vectorizers.base import State


@dataclass(kw_only=True, repr=False, eq=False)
class Image(Model):
    """Embeds images with a model in ONNX format, of timm or of transformers, from a file, a folder or the hub.

    `image:MODEL` names the model. A model in ONNX format needs no torch. The size and the constants of its images come
    from the model's own files; an option replaces one of them. If a model of transformers reads texts too, such as
    CLIP (Radford et al. 2021), a query may be a text. Embeddings of texts and of images differ by a constant (Liang et
    al. 2022), so each is taken less its own mean.
    """

    backend: str = option("auto", "auto: ONNX, timm or transformers, by the files", choices=("auto", *BACKENDS))
    size: int = option(None, "pixels per side that the model reads; auto: that of the model", low=1, high=8192)
    crop: float = option(
        None, "share of the shorter side that the model sees; auto: that of the model", low=0.01, high=1
    )
    filter: str = option(None, f"filter of resizing: {', '.join(FILTERS)}; auto: that of the model")
    mean: tuple[float, ...] = option(None, "mean of each channel, of values from 0 to 1; auto: that of the model")
    std: tuple[float, ...] = option(None, "standard deviation of each channel; auto: that of the model")
    layout: str = option(None, "order of the input, NCHW or NHWC; auto: that of the model")
    pooling: str = option("auto", "auto: that of the model, else of its tokens", choices=("auto", "cls", "mean"))

    name = "image"
    summary = "embeddings of a model of images, image:MODEL (a path, or a name on the hub)"
    document_type = "image"
    centred = True
    extra: ClassVar[str] = "image-models"
    keyed: ClassVar[tuple[str, ...]] = ("backend", "preprocessing", "pooling", "precision")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._means: dict[str, Floats] = {}  # of the embeddings of images and of texts, if the model reads texts

    @property
    def query_types(self) -> tuple[str, ...]:
        """The types of documents that can be queries."""
        return ("image", "text") if self._means else ("image",)

    def fit(self, documents: Sequence[Document]) -> Features:
        """Load the model and embed the documents. Raises UsageError if the model is not found or cannot be used."""
        features = super().fit(documents)
        self._means = {}
        if self._model.reads_texts:
            captions = [Document(caption, caption) for caption in CAPTIONS]
            texts = self._embedded(captions, "document")
            if texts.shape[1] == self.dim:
                self._means = {"images": mean_of(features.input), "texts": mean_of(texts)}
        return features

    def transform_queries(self, documents: Sequence[Document]) -> Features:
        """Return the features of queries: images as documents, texts at the place of such an image."""
        asked = np.array([document.kind == "text" and bool(self._means) for document in documents], bool)
        images = [document for document, yes in zip(documents, asked, strict=True) if not yes]
        check_kind(images, self.document_type, self.name)
        values = np.zeros((len(documents), self.dim), np.float32)
        values[~asked] = self._embedded(images, "query")
        values[asked] = self._placed([document for document, yes in zip(documents, asked, strict=True) if yes])
        return Features(values, (self.dim,), self.feature_type)

    def _placed(self, texts: Sequence[Document]) -> Floats:
        """Return the embeddings of texts, moved from the mean of texts to that of images; zeros for an empty text."""
        embedded = self._embedded(texts, "query")
        moved = embedded - self._means["texts"] + self._means["images"] if len(texts) else embedded
        return np.asarray(np.where(self.knows(embedded)[:, None], moved, 0), np.float32)

    def load(self, path: Path, documents: Sequence[Document]) -> dict[str, Any]:
        """Load the model; one loaded for queries keeps the constants that the index was made with."""
        backend = backend_of(path, self.backend) if documents else str(self.facts.get("backend"))
        self._model: ImageModel = BACKENDS[backend](path, self.device, self.pooling)
        if documents:
            names = (*NEEDED, "layout")
            self._how = self._model.constants({name: getattr(self, name) for name in names})
        else:
            self._how = Preprocessing.from_facts(self.facts["preprocessing"])
        return {
            "backend": backend,
            "preprocessing": self._how.facts(),
            "pooling": self.pooling,
            "precision": "float32",
        }

    def embed(self, documents: Sequence[Document], role: Role) -> npt.NDArray[np.floating[Any]]:
        """Return the embeddings of images, or of texts, [n, dim]."""
        size = self._model.most or self.batch_size
        batches = [documents[start : start + size] for start in range(0, len(documents), size)]
        return np.concatenate([self._batch(batch) for batch in batches])

    def _batch(self, documents: Sequence[Document]) -> npt.NDArray[np.floating[Any]]:
        texts = [document.content for document in documents if isinstance(document.content, str)]
        pixels = None if texts else np.stack([self._pixels(document) for document in documents])
        try:
            return self._model.encode_texts(texts) if pixels is None else self._model.encode(pixels)
        except UsageError:
            raise
        except Exception as error:  # of onnxruntime or torch, which have their own classes
            raise UsageError(f"the model {self.model!r} cannot embed these documents ({str(error)[:200]})") from error

    def _pixels(self, document: Document) -> Floats:
        """Return what the model reads of an image."""
        content: Any = document.content
        image = load(content if isinstance(content, np.ndarray) else Path(content), document.id, OWN_SIZE)
        return self._how.apply(image)

    def width(self) -> int:
        """Return the dimensions of an embedding."""
        empty = np.zeros((*self._how.crop, 3), np.uint8)
        return int(self.embed([Document("empty", empty)], "document").shape[1])

    def state(self) -> State:
        """Return the facts about the model, and the means of texts and images; the model itself is not stored."""
        return State(self.facts, self._means)

    def restore(self, state: State) -> None:
        """Load the facts about the model. Raises StoreError if they are invalid."""
        super().restore(state)
        try:
            Preprocessing.from_facts(self.facts["preprocessing"])
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"the facts about the model {self.model!r} lack its preprocessing") from error
        self._means = dict(state.tensors)
        names = {name for name, mean in self._means.items() if mean.shape == (self.dim,) and np.isfinite(mean).all()}
        if self.facts.get("backend") not in BACKENDS or (self._means and names != {"images", "texts"}):
            raise StoreError(f"the facts about the model {self.model!r} do not fit together")
