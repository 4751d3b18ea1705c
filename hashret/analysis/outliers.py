"""Outliers: which documents are unlike the rest.

A document's score is its mean distance to the nearest others (Angiulli & Pizzuti 2002), by what the encoder sees of
them; or what an encoder that scores outliers makes of it. Codes can be compared, too, but say less: they tell a
document's place among what the corpus is about, which one that has none is given all the same.
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

BATCH = 1000  # documents compared with all others at once
SAMPLE = 20_000  # documents of the index that features are compared with (Sugiyama & Borgwardt 2013)


@dataclass(frozen=True)
class Outlier:
    """A document and how unlike the others it is."""

    document: Document
    score: float
    rank: int
    method: str  # "features", "codes", or the encoder's name


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
    """The k documents of the index most unlike the rest; or of other documents, those most unlike the index.

    By the vectorizer's features, or the codes where `codes` says so or the index is one of vectors, which it does not
    keep; or by an `encoder` that has `outlier_scores`, the index's own or one learned now with these options. Raises
    UsageError for numbers that make no sense and encoders that cannot.
    """
    k, neighbors = whole_number(k, "k", 1), whole_number(neighbors, "neighbors", 1)
    seed = whole_number(seed, "seed", 0, MAX_SEED)
    if codes and encoder is not None:
        raise UsageError(f"outliers are found by the codes or by encoder {encoder!r}: choose one of the two")
    if options and encoder is None:
        raise UsageError(f"options are an encoder's: name one beside {', '.join(options)}, or leave them out")
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
        raise DataError(f"scores by {method} are not numbers; go by the features, the codes or another encoder")
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
    """Mean of 1 - cosine to the nearest documents of the index, float32 [m]; None: of each to the nearest others."""
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
        if others is None:  # itself is none of the others
            first, last = np.searchsorted(rows, (start, stop))
            cosines[rows[first:last] - start, np.arange(first, last)] = -np.inf
        scores.append(1 - np.partition(cosines, -near, axis=1)[:, -near:].mean(axis=1))
        report("comparing", stop, len(index) if others is None else len(others))
        start = stop
    return np.concatenate([*scores, np.zeros(0, np.float32)])


def by_codes(index: Index, codes: Codes | None, neighbors: int) -> Floats:
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
