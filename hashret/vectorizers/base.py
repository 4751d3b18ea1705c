"""The base class `Vectorizer`, which converts documents to features; needs only NumPy once fitted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hashret.documents import Document
from hashret.features import CSRMatrix, Features, Floats
from hashret.options import Options


@dataclass(frozen=True)
class State:
    """The state of a fitted vectorizer: facts, tensors and a vocabulary, which are saved separately."""

    facts: Mapping[str, Any] = field(default_factory=dict)  # JSON-serializable
    tensors: Mapping[str, Floats] = field(default_factory=dict)
    vocabulary: tuple[str, ...] = ()


@dataclass(kw_only=True, repr=False, eq=False)
class Vectorizer(Options, ABC):
    """Base class of vectorizers, which convert documents of one kind to features."""

    name: ClassVar[str]
    summary: ClassVar[str]
    document_type: ClassVar[str]  # of documents.KINDS
    feature_type: ClassVar[str]  # of features.FEATURE_TYPES
    pretrained: ClassVar[bool] = False  # whether features come from a model that was trained elsewhere
    centred: ClassVar[bool] = False  # whether similarity is that of features less their mean, as for pixels

    @property
    def query_types(self) -> tuple[str, ...]:
        """The types of documents that can be queries: that of the documents, and more if a model reads others too."""
        return (self.document_type,)

    @abstractmethod
    def fit(self, documents: Sequence[Document]) -> Features:
        """Learn from the documents and return their features. Raises DataError for documents of another kind."""

    @abstractmethod
    def transform(self, documents: Sequence[Document]) -> Features:
        """Return the features of documents, one row each. Raises DataError for documents of another kind."""

    def transform_queries(self, documents: Sequence[Document]) -> Features:
        """Return the features of queries; they differ from those of documents if a model embeds queries differently."""
        return self.transform(documents)

    def use(self, device: str, cache: Path | None) -> None:
        """Set the device of a model ("auto", "cpu" or "cuda") and the file in which its embeddings are cached."""

    def find(self) -> None:
        """Raise UsageError if a model that `fit` needs is not found, before documents are read."""

    def for_vectors(self, features: Floats | CSRMatrix) -> Floats | CSRMatrix:
        """Return what the part `vectors` of an index is made of, [n, any dim], given features [n, dim]."""
        return features

    def knows(self, features: Floats | CSRMatrix) -> npt.NDArray[np.bool_]:
        """Return which documents have known content, such as known words, from their features [n, dim]: bool [n]."""
        return np.ones(len(features), bool)

    @abstractmethod
    def state(self) -> State:
        """Return the learned state."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Load a learned state. Raises StoreError if it is inconsistent."""
