"""Vectorizer: documents -> features, with numpy alone once fitted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hashret.documents import Document
from hashret.features import CSRMatrix, Features, Floats
from hashret.options import Options


@dataclass(frozen=True)
class State:
    """What a fitted vectorizer has learned, in the three forms that are saved."""

    facts: Mapping[str, Any] = field(default_factory=dict)  # JSON
    tensors: Mapping[str, Floats] = field(default_factory=dict)
    vocabulary: tuple[str, ...] = ()


@dataclass(kw_only=True, repr=False, eq=False)
class Vectorizer(Options, ABC):
    """Turns documents of one kind into numbers."""

    name: ClassVar[str]
    summary: ClassVar[str]
    document_type: ClassVar[str]  # of documents.KINDS
    feature_type: ClassVar[str]  # of features.FEATURE_TYPES
    centred: ClassVar[bool] = False  # whether similarity is that of features less their mean, as for pixels

    @abstractmethod
    def fit(self, documents: Sequence[Document]) -> Features:
        """Learn from the documents; their features."""

    @abstractmethod
    def transform(self, documents: Sequence[Document]) -> Features:
        """Features of any documents, one row each; DataError where one is of another kind."""

    def knows(self, features: Floats | CSRMatrix) -> npt.NDArray[np.bool_]:
        """Of which documents, given their features [n, dim], it knows anything at all, bool [n]."""
        return np.ones(len(features), bool)

    @abstractmethod
    def state(self) -> State:
        """What was learned."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Take up what was learned before; StoreError where it does not hang together."""
