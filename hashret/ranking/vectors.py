"""Vectors: the cosine of a question's features and what the documents' vectors stand for.

The question is not quantized. With the binary autoencoder of `quantizer.py` a document is m + W b for its bits b, so

    cosine = (q m + (q W) b) / (|q| |m + W b|)

where q m and q W are computed once, and the norm is stored with the vector.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashret.features import Floats, Vectors
from hashret.loops import Doubles, Mask
from hashret.quantizer import BinaryAutoencoder, Quantizer
from hashret.ranking.tables import signed_sums

STEPS = 1 << 20  # whole numbers that a question's values are rounded to, either side of zero


@dataclass(frozen=True)
class QuantizedVectors:
    """The part `vectors`: n vectors, and the quantizer that made them."""

    vectors: Vectors
    quantizer: Quantizer

    @property
    def absent(self) -> Mask:
        """Which documents have no features, bool [n]."""
        return self.vectors.norms <= 0

    def cosines(self, features: Floats) -> Doubles:
        """The cosines [n] of a question's features [dim] with all vectors; 0 for documents without features."""
        query = self.quantizer.prepared(features[None])[0].astype(np.float64)
        if isinstance(self.quantizer, BinaryAutoencoder):
            products, _ = signed_sums(query @ self.quantizer.weight, self.vectors.values)
            products += float(query @ self.quantizer.mean)
        else:
            products = self._exact(query)
        return np.asarray(products / np.where(self.absent, np.inf, self.vectors.norms.astype(np.float64)))

    def _exact(self, query: Doubles) -> Doubles:
        """Products with values as they are. Of whole numbers they are exact; of others each is a sum of its own."""
        step = 1.0
        if self.vectors.values.dtype == np.int8:
            step = float(np.abs(query).max(initial=0)) / STEPS or 1.0
            query = np.rint(query / step)
        return np.asarray(np.einsum("nd,d->n", self.vectors.values, query) * step)
