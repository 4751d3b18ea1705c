"""Precomputed: documents that are vectors already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hashret.documents import Document, check_kind
from hashret.errors import DataError, StoreError
from hashret.features import Features
from hashret.vectorizers.base import State, Vectorizer


@dataclass(kw_only=True, repr=False, eq=False)
class Precomputed(Vectorizer):
    """Vectors of one length, as they are."""

    name = "precomputed"
    summary = "vectors made elsewhere, as they are"
    document_type = "vector"
    feature_type = "real"

    def fit(self, documents: Sequence[Document]) -> Features:
        """Settle the length by the first vector."""
        check_kind(documents, self.document_type, "precomputed")
        self.dim = len(np.asarray(documents[0].content))
        if not self.dim:
            raise DataError(f"{documents[0].id!r} has no dimensions; a vector needs at least one")
        return self.transform(documents)

    def transform(self, documents: Sequence[Document]) -> Features:
        """Dense rows [n, dim]; DataError for another length, NaN or infinity."""
        check_kind(documents, self.document_type, "precomputed")
        values = np.empty((len(documents), self.dim), np.float32)
        for row, document in zip(values, documents, strict=True):
            vector = np.asarray(document.content)
            if vector.dtype.kind not in "biuf":
                raise DataError(f"{document.id!r} holds {vector.dtype}; a vector must be of real numbers")
            if len(vector) != self.dim:
                raise DataError(f"{document.id!r} has {len(vector)} dimensions, all must have {self.dim}")
            with np.errstate(over="ignore"):  # beyond float32 is infinite, which is refused below
                row[:] = vector
        if not np.isfinite(values).all():
            bad = documents[int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])]
            raise DataError(f"{bad.id!r} holds NaN or infinity; every value must be a finite number: mend or drop it")
        return Features(values, (self.dim,), self.feature_type)

    def state(self) -> State:
        """The length."""
        return State(facts={"dim": self.dim})

    def restore(self, state: State) -> None:
        """Take up the length."""
        dim = state.facts.get("dim")
        if not isinstance(dim, int) or not 0 < dim <= 1 << 24:
            raise StoreError(f"the vectors' length must be a whole number from 1 up, got {dim!r}")
        self.dim = dim
