"""Vectors: the cosine of a question's features and what the documents' vectors stand for.

The question is not quantized. With the codebooks C_j of `quantizer.py` a document is the sum of an entry of each, so

    cosine = sum_j q C_j[code_j] / (|q| |sum_j C_j[code_j]|)

where the products of q with all entries are computed once, and the norm is stored with the vector.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from hashret import loops
from hashret.features import Floats, Vectors
from hashret.loops import Doubles, Mask
from hashret.quantizer import Additive, Quantizer
from hashret.ranking.tables import nibble_table

STEPS = 1 << 20  # whole numbers that a question's values are rounded to, either side of zero


@dataclass(frozen=True)
class Originals:
    """The features of n documents on disk, as a quantizer stores them; `read` returns those of some positions."""

    quantizer: Quantizer
    read: Callable[[npt.NDArray[np.int64]], npt.NDArray[Any]]

    def cosines(self, features: Floats, positions: npt.NDArray[np.int64]) -> Doubles:
        """The cosines of a question's features [dim] with the documents at these positions."""
        values = self.read(positions)
        norms = np.linalg.norm(values.astype(np.float32), axis=1)
        return QuantizedVectors(Vectors(values, norms), self.quantizer).cosines(features)


@dataclass(frozen=True)
class QuantizedVectors:
    """The part `vectors`: n vectors, and the quantizer that made them."""

    vectors: Vectors
    quantizer: Quantizer
    originals: Originals | None = None

    @cached_property
    def absent(self) -> Mask | None:
        """Which documents have no features, bool [n]; None if all have some."""
        absent = np.asarray(self.vectors.norms <= 0, bool)
        return absent if absent.any() else None

    def cosines(self, features: Floats) -> Doubles:
        """The cosines [n] of a question's features [dim] with all vectors; 0 for documents without features."""
        query = self.quantizer.prepared(features[None])[0].astype(np.float64)
        if isinstance(self.quantizer, Additive):
            table, step = nibble_table(self.quantizer.codebooks @ query)
            return loops.table_scores(self.vectors.values, table, step, 0.0, self.vectors.norms)
        norms = self.vectors.norms.astype(np.float64)
        return np.asarray(self._exact(query) / np.where(norms > 0, norms, np.inf))

    def decoded(self, position: int, original: bool = False) -> Doubles:
        """The features [dim] of length 1 that a document's vector stands for, or its original features."""
        rows = np.array([position], np.int64)
        if original and self.originals is not None:
            values = self.originals.read(rows)
            vectors = Vectors(values, np.linalg.norm(values.astype(np.float32), axis=1))
            return np.asarray(self.originals.quantizer.decode(vectors)[0], np.float64)
        return np.asarray(self.quantizer.decode(self.vectors.take(rows))[0], np.float64)

    def _exact(self, query: Doubles) -> Doubles:
        """Products with values as they are. Of whole numbers they are exact; of others each is a sum of its own."""
        step = 1.0
        if self.vectors.values.dtype == np.int8:
            step = float(np.abs(query).max(initial=0)) / STEPS or 1.0
            query = np.rint(query / step)
        return np.asarray(np.einsum("nd,d->n", self.vectors.values, query) * step)
