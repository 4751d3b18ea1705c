"""What hasher and quantizer make of variants of a query or a document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hashret.documents import Document
from hashret.features import Floats
from hashret.hasher import Hasher
from hashret.loops import Doubles
from hashret.quantizer import Quantizer


@dataclass(frozen=True)
class Encoded:
    """The margins [n, bits] and the vectors of length 1 [n, dim] of n documents; zeros where nothing is known."""

    margins: Doubles
    vectors: Doubles


@dataclass(frozen=True)
class Probe:
    """Encodes variants of a query or a document, without quantizing their vectors."""

    hasher: Hasher
    quantizer: Quantizer | None

    def encode(self, documents: Sequence[Document], queries: bool) -> Encoded:
        """Encode documents, or queries, which some models embed in another way."""
        batches = self.hasher.query_features(documents) if queries else self.hasher.features(documents)
        margins: list[Doubles] = []
        vectors: list[Doubles] = []
        for features in batches:
            known = self.hasher.vectorizer.knows(features)[:, None].astype(np.float64)
            margins.append(known * np.nan_to_num(self.hasher.program.margins(features)))
            if self.quantizer is not None:
                kept = self.quantizer.prepared(self.hasher.vectorizer.for_vectors(features), 0, len(features))
                vectors.append(known * kept)
        made = np.concatenate(vectors) if vectors else np.zeros((len(documents), 0))
        return Encoded(np.concatenate(margins), made)


def agreement(margins: Doubles, signs: Floats | Doubles) -> Doubles:
    """Half the length of the code less the asymmetric distance, [n], of queries with margins [n, bits].

    `signs` [bits] are the bits of a document as -1 and 1.
    """
    total = np.abs(margins).sum(axis=-1)
    return np.asarray(margins.shape[-1] / 2 * (margins @ signs) / np.where(total > 0, total, 1))
