"""Vectorizer of documents that are already vectors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hashret.documents import Document, check_kind
from hashret.errors import DataError, StoreError
from hashret.features import Features, Floats, not_normalized
from hashret.vectorizers.base import State, Vectorizer

log = logging.getLogger("hashret")


@dataclass(kw_only=True, repr=False, eq=False)
class Precomputed(Vectorizer):
    """Uses vectors of equal length unchanged."""

    name = "precomputed"
    summary = "vectors computed elsewhere, unchanged"
    document_type = "vector"
    feature_type = "real"
    pretrained = True

    def fit(self, documents: Sequence[Document]) -> Features:
        """Take the length from the first vector. Raises DataError if a vector is empty or invalid."""
        check_kind(documents, self.document_type, "precomputed")
        self.dim = len(np.asarray(documents[0].content))
        if not self.dim:
            raise DataError(f"{documents[0].id!r} has no dimensions; a vector needs at least one")
        features = self.transform(documents)
        _warn(np.asarray(features.input))
        return features

    def transform(self, documents: Sequence[Document]) -> Features:
        """Return dense features [n, dim]. Raises DataError for another length, NaN or infinity."""
        check_kind(documents, self.document_type, "precomputed")
        values = np.empty((len(documents), self.dim), np.float32)
        for row, document in zip(values, documents, strict=True):
            vector = np.asarray(document.content)
            if vector.dtype.kind not in "biuf":
                raise DataError(f"{document.id!r} holds {vector.dtype}; a vector must be of real numbers")
            if len(vector) != self.dim:
                raise DataError(f"{document.id!r} has {len(vector)} dimensions, all must have {self.dim}")
            with np.errstate(over="ignore"):  # values beyond float32 become infinite, which raises below
                row[:] = vector
        if not np.isfinite(values).all():
            bad = documents[int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])]
            raise DataError(f"{bad.id!r} holds NaN or infinity; all values must be finite; fix or remove it")
        return Features(values, (self.dim,), self.feature_type)

    def state(self) -> State:
        """Return the length."""
        return State(facts={"dim": self.dim})

    def restore(self, state: State) -> None:
        """Load the length. Raises StoreError if it is invalid."""
        dim = state.facts.get("dim")
        if not isinstance(dim, int) or not 0 < dim <= 1 << 24:
            raise StoreError(f"the length of vectors must be a whole number, 1 to {1 << 24}, got {dim!r}")
        self.dim = dim


def _warn(values: Floats) -> None:
    """Warn about vectors that are all equal, and about some that are not normalized although most are."""
    if len(values) > 1 and (values == values[0]).all():
        log.warning("all %d vectors are equal; codes cannot tell the documents apart", len(values))
    if (others := not_normalized(np.linalg.norm(values, axis=1))) is not None:
        log.warning(
            "%d of %d vectors are not of length 1, but the others are; codes depend on lengths: normalize all or none",
            *(others.sum(), len(values)),
        )
