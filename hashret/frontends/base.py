"""The base class `Model`: a vectorizer whose features are the embeddings of a model trained elsewhere."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from hashret.documents import Document, check_kind
from hashret.errors import DataError, StoreError, UsageError
from hashret.features import CSRMatrix, Features, Floats, unit
from hashret.frontends.embeddings import Cache, keys
from hashret.frontends.folders import checksum, model_path
from hashret.options import option
from hashret.progress import report
from hashret.vectorizers.base import State, Vectorizer

AT_ONCE = 256  # documents embedded between two reports of progress and writes to the cache

Role = Literal["document", "query"]


@dataclass(kw_only=True, repr=False, eq=False)
class Model(Vectorizer):
    """Features are embeddings, scaled to length 1. Loads the model when the first document is embedded."""

    model: str = option("", "path or name of the model")
    batch_size: int = option(32, "documents that the model embeds at once", low=1)

    extra: ClassVar[str]  # the extra that has the packages of the front end
    keyed: ClassVar[tuple[str, ...]]  # names of the facts that the embeddings of documents depend on
    feature_type = "real"
    pretrained = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.device = "auto"
        self.cache = Cache(None)
        self.facts: dict[str, Any] = {}
        self._path: Path | None = None

    def use(self, device: str, cache: Path | None) -> None:
        """Set the device, and the file of the cache of embeddings."""
        self.device, self.cache = device, Cache(cache)

    def find(self) -> None:
        """Raise UsageError if the model is not found. A model of the hub is downloaded."""
        model_path(self.model, self.extra)

    def fit(self, documents: Sequence[Document]) -> Features:
        """Load the model and embed the documents. Raises UsageError if the model is not found or cannot be used."""
        check_kind(documents, self.document_type, self.name)
        self._path = model_path(self.model, self.extra)
        if Path(self.model).expanduser().exists():
            self.model = str(self._path)  # absolute, so that it is found from other folders
        self.facts = {"checksum": checksum(self._path), **self.load(self._path, documents)}
        values = self._embedded(documents, "document")
        self.facts["dim"] = values.shape[1]
        if len(values) > 1 and (values == values[0]).all():
            raise DataError(f"all {len(values):,} embeddings are equal; {self.model!r} cannot tell the documents apart")
        return Features(values, (self.dim,), self.feature_type)

    @property
    def dim(self) -> int:
        """Dimensions of an embedding."""
        return int(self.facts["dim"])

    def transform(self, documents: Sequence[Document]) -> Features:
        """Return the embeddings of documents, float32 [n, dim]; a row of zeros for a document without content."""
        check_kind(documents, self.document_type, self.name)
        return Features(self._embedded(documents, "document"), (self.dim,), self.feature_type)

    def transform_queries(self, documents: Sequence[Document]) -> Features:
        """Return the embeddings of queries, float32 [n, dim], as the model embeds queries."""
        return Features(self._embedded(documents, "query"), (self.dim,), self.feature_type)

    def _embedded(self, documents: Sequence[Document], role: Role) -> Floats:
        """Embed documents, from the cache where it has them, or queries."""
        if not documents:
            return np.zeros((0, self.dim), np.float32)
        self._check_model()
        if role == "query":
            return self._checked(documents, role)
        names = keys(self._space(), documents)
        found = self.cache.find(names, self.facts.get("dim"))
        missing = [place for place, name in enumerate(names) if name not in found]
        for start in range(0, len(missing), AT_ONCE):
            places = missing[start : start + AT_ONCE]
            rows = self._checked([documents[place] for place in places], role)
            own = [names[place] for place in places]
            self.cache.keep(own, rows)
            found |= zip(own, rows, strict=True)
            if len(missing) > AT_ONCE:
                report("embedding", start + len(places), len(missing))
        return np.stack([found[name] for name in names])

    def _checked(self, documents: Sequence[Document], role: Role) -> Floats:
        """Embed documents; those without content are rows of zeros. Raises DataError for NaN or infinity."""
        full = [place for place, document in enumerate(documents) if not _is_blank(document)]
        embedded = self.embed([documents[place] for place in full], role) if full else None
        if embedded is None:
            return np.zeros((len(documents), self.facts.get("dim") or self.width()), np.float32)
        if not np.isfinite(embedded).all():
            bad = full[int(np.flatnonzero(~np.isfinite(embedded).all(axis=1))[0])]
            raise DataError(f"the embedding of {documents[bad].id!r} by {self.model!r} holds NaN or infinity")
        values = np.zeros((len(documents), embedded.shape[1]), np.float32)
        values[full] = unit(np.asarray(embedded, np.float32))
        return values

    def _check_model(self) -> None:
        """Load the model if it is not loaded. Raises UsageError if it has changed since the hasher was fitted."""
        if self._path is not None:
            return
        path = model_path(self.model, self.extra, download=False)
        if (now := checksum(path)) != self.facts["checksum"]:
            raise UsageError(
                f"the model {self.model!r} has changed: its checksum is {now}, but the index was made with "
                f"{self.facts['checksum']}; restore the model or create the index again",
                model=self.model,
            )
        self.load(path, ())
        self._path = path

    @abstractmethod
    def load(self, path: Path, documents: Sequence[Document]) -> dict[str, Any]:
        """Load the model and return facts about it, JSON-serializable; `documents` are those of a fit."""

    @abstractmethod
    def embed(self, documents: Sequence[Document], role: Role) -> npt.NDArray[np.floating[Any]]:
        """Return the embeddings of documents or queries that have content, [n, dim]."""

    @abstractmethod
    def width(self) -> int:
        """Return the dimensions of an embedding, from the loaded model."""

    def _space(self) -> str:
        """Return everything that the embedding of a document depends on except its content."""
        return json.dumps([self.facts.get(name) for name in ("checksum", *self.keyed)], sort_keys=True)

    def knows(self, features: Floats | CSRMatrix) -> npt.NDArray[np.bool_]:
        """Return which documents have content, bool [n]."""
        return np.asarray(np.asarray(features)[:, : self.dim].any(axis=1), bool)

    def state(self) -> State:
        """Return the facts about the model; the model itself is not stored."""
        return State(facts=self.facts)

    def restore(self, state: State) -> None:
        """Load the facts about the model. Raises StoreError if they are invalid."""
        facts: Mapping[str, Any] = state.facts
        dim = facts.get("dim")
        if not isinstance(dim, int) or not 0 < dim <= 1 << 24 or not isinstance(facts.get("checksum"), str):
            raise StoreError(f"the facts about the model {self.model!r} lack its checksum or dimensions")
        self.facts = dict(facts)


def _is_blank(document: Document) -> bool:
    return isinstance(document.content, str) and not document.content.strip()
