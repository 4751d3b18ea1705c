"""Outliers: which documents are unlike the rest.

A document's score is its mean Hamming distance to the nearest others (Angiulli & Pizzuti 2002), which asks nothing but
the codes; or what an encoder that scores outliers makes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashret.analysis.base import able, features_of
from hashret.codes import Codes
from hashret.documents import Content, Document, as_documents
from hashret.encoders.base import ScoresOutliers
from hashret.errors import UsageError
from hashret.features import Floats
from hashret.index import Index
from hashret.progress import report
from hashret.search import searcher

BATCH = 1000  # documents compared with all others at once


@dataclass(frozen=True)
class Outlier:
    """A document and how unlike the others it is."""

    document: Document
    score: float
    rank: int
    method: str  # "neighbors", or the encoder's name


def outliers(
    index: Index,
    documents: Iterable[Document | Content] | None = None,
    k: int = 10,
    *,
    neighbors: int = 10,
    encoder: str | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> list[Outlier]:
    """The k documents of the index most unlike the rest; or of other documents, those most unlike the index.

    `encoder`: by one that has `outlier_scores`, the index's own or one learned now with these options. Raises
    UsageError for numbers that make no sense and encoders that cannot.
    """
    if k < 1 or neighbors < 1:
        raise UsageError(f"k and neighbors must be at least 1, got {k} and {neighbors}")
    others = None if documents is None else list(as_documents(documents))
    if encoder is not None:
        fitted, own = able(index, encoder, ScoresOutliers, options, seed)
        asked = own if others is None else features_of(index, others).input
        scores = fitted.outlier_scores(asked)
    else:
        scores = apart(index, None if others is None else index.encode(others), neighbors)
    first = np.argsort(-scores, kind="stable")[:k].tolist()
    if others is None:
        ids = index.ids
        chosen = [index.document(ids[place]) for place in first]
    else:
        chosen = [others[place] for place in first]
    method = encoder or "neighbors"
    return [
        Outlier(document, float(scores[place]), rank, method)
        for rank, (place, document) in enumerate(zip(first, chosen, strict=True), 1)
    ]


def apart(index: Index, codes: Codes | None, neighbors: int) -> Floats:
    """Mean Hamming distance of codes to the nearest of the index, float32 [m]; None: of each to the nearest others."""
    own = index.codes
    asked = own if codes is None else codes
    itself = int(codes is None)
    near = min(neighbors, len(own) - itself)
    if near < 1:
        return np.zeros(len(asked), np.float32)
    by, scores = searcher(own, index.bits), np.zeros(len(asked), np.float32)
    for start in range(0, len(asked), BATCH):
        found = by.search(asked[start : start + BATCH], near + itself)
        scores[start : start + BATCH] = found.distances.sum(axis=1) / near  # itself adds a distance of 0
        report("comparing", min(start + BATCH, len(asked)), len(asked))
    return scores
