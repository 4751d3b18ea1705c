"""Outliers: documents that are different from the rest.

The score of a document is its mean distance to its nearest neighbours (Angiulli & Pizzuti 2002), computed from the
features, or the score of an encoder with `outlier_scores`. Scores from codes are less accurate: a code describes a
document in terms of the topics of the corpus, even if the document has none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashret.analysis.base import able, features_of
from hashret.codes import Codes
from hashret.documents import Content, Document, as_documents
from hashret.encoders.base import ScoresOutliers
from hashret.errors import DataError, UsageError, whole_number
from hashret.features import Floats, stacked, unit
from hashret.index import Index
from hashret.options import MAX_SEED
from hashret.progress import report, track
from hashret.projection import as_scipy
from hashret.search import searcher

BATCH = 1000  # documents per chunk
SAMPLE = 20_000  # documents of the index used as candidate neighbours by features (Sugiyama & Borgwardt 2013)


@dataclass(frozen=True)
class Outlier:
    """A document with its outlier score; a higher score means more different from the others."""

    document: Document
    score: float
    rank: int
    method: str  # "features", "codes", or the name of the encoder


def outliers(
    index: Index,
    documents: Iterable[Document | Content] | None = None,
    k: int = 10,
    *,
    neighbors: int = 10,
    codes: bool = False,
    encoder: str | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> list[Outlier]:
    """Return the k strongest outliers of the index, or of `documents` compared with the index.

    Scores come from features; from codes if `codes` is set, or if the index has vectors, which it does not store; or
    from an `encoder` with `outlier_scores`, either that of the index or a new one fitted with `options`. Raises
    UsageError for invalid arguments or an encoder without `outlier_scores`, DataError if scores are not finite.
    """
    k, neighbors = whole_number(k, "k", 1), whole_number(neighbors, "neighbors", 1)
    seed = whole_number(seed, "seed", 0, MAX_SEED)
    if codes and encoder is not None:
        raise UsageError(f"codes and encoder {encoder!r} cannot be combined: choose one of the two")
    if options and encoder is None:
        raise UsageError(f"options need an encoder; name one for {', '.join(options)}, or leave them out")
    if not len(index):
        return []
    others = None if documents is None else list(as_documents(documents))
    if encoder is not None:
        fitted, own = able(index, encoder, ScoresOutliers, options, seed)
        method, scores = encoder, fitted.outlier_scores(own if others is None else features_of(index, others).input)
    elif codes or index.hasher.document_type == "vector":
        method, scores = "codes", by_codes(index, None if others is None else index.encode(others), neighbors)
    else:
        method, scores = "features", by_features(index, others, neighbors)
    if not np.isfinite(scores).all():
        raise DataError(f"scores by {method} are not finite; use features, codes or another encoder")
    first = np.argsort(-scores, kind="stable")[:k].tolist()
    if others is None:
        ids = index.ids
        chosen = [index.document(ids[place]) for place in first]
    else:
        chosen = [others[place] for place in first]
    return [
        Outlier(document, float(scores[place]), rank, method)
        for rank, (place, document) in enumerate(zip(first, chosen, strict=True), 1)
    ]


def by_features(index: Index, others: Sequence[Document] | None, neighbors: int) -> Floats:
    """Return the mean of 1 - cosine to the nearest documents of the index, float32 [m].

    With `others` None, the documents of the index are scored, without comparing them with themselves.
    """
    size = min(len(index), SAMPLE)
    rows = np.arange(size) * len(index) // max(1, size)
    near = min(neighbors, size - int(others is None))
    if near < 1:
        return np.zeros(len(index) if others is None else len(others), np.float32)
    wanted = set(rows.tolist())
    read = track(index.documents(), "reading documents", len(index))
    sample = [*index.hasher.features(one for number, one in enumerate(read) if number in wanted)]
    known = as_scipy(unit(stacked(sample))).T
    whole = others is None and size == len(index)
    asked = sample if whole else index.hasher.features(index.documents() if others is None else others)
    scores: list[Floats] = []
    start = 0
    for part in asked:
        stop = start + len(part)
        cosines = as_scipy(unit(part)) @ known
        cosines = cosines if isinstance(cosines, np.ndarray) else cosines.toarray()
        if others is None:  # do not compare a document with itself
            first, last = np.searchsorted(rows, (start, stop))
            cosines[rows[first:last] - start, np.arange(first, last)] = -np.inf
        scores.append(1 - np.partition(cosines, -near, axis=1)[:, -near:].mean(axis=1))
        report("comparing", stop, len(index) if others is None else len(others))
        start = stop
    return np.concatenate([*scores, np.zeros(0, np.float32)])


def by_codes(index: Index, codes: Codes | None, neighbors: int) -> Floats:
    """Return the mean Hamming distance of codes to the nearest ones of the index, float32 [m].

    With `codes` None, the codes of the index are scored, without comparing them with themselves.
    """
    own = index.codes
    asked = own if codes is None else codes
    itself = int(codes is None)
    near = min(neighbors, len(own) - itself)
    if near < 1:
        return np.zeros(len(asked), np.float32)
    by, scores = searcher(own, index.bits), np.zeros(len(asked), np.float32)
    for start in range(0, len(asked), BATCH):
        found = by.search(asked[start : start + BATCH], near + itself)
        scores[start : start + BATCH] = found.distances.sum(axis=1) / near  # the code itself adds a distance of 0
        report("comparing", min(start + BATCH, len(asked)), len(asked))
    return scores
