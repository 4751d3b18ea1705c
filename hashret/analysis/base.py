"""Shared by the analyses: fit an encoder with a capability, and compute the features of an index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from hashret.codes import unpack
from hashret.documents import Document
from hashret.encoders import ENCODERS
from hashret.encoders.base import CAPABILITIES, Assigns, Projects, abilities
from hashret.errors import DataError, UsageError
from hashret.features import CSRMatrix, Features, Floats, stacked
from hashret.hasher import Settings, check_wanted
from hashret.index import Index
from hashret.progress import track

Ability = TypeVar("Ability")  # one of the protocols of CAPABILITIES


def able(
    index: Index, encoder: str, ability: type[Ability], options: Mapping[str, Any] | None = None, seed: int = 0
) -> tuple[Ability, Floats | CSRMatrix]:
    """Return an encoder with the capability, fitted on the documents of the index, and their features [n, dim].

    The encoder of the index is used if it has this name and no options are given; otherwise a new one is fitted. Raises
    UsageError if the encoder does not have the capability, or the index does not store its documents.
    """
    [name] = [name for name, protocol in CAPABILITIES.items() if protocol is ability]
    if name not in abilities(ENCODERS.get(encoder)):
        those = [other for other in ENCODERS.names() if name in abilities(ENCODERS.get(other))]
        raise UsageError(f"encoder {encoder!r} has no {name}; encoders with it: {', '.join(those)}")
    settings = Settings(encoder, index.hasher.vectorizer.name, {"seed": seed} | dict(options or {}))
    if settings.parts["vectorizer"]:
        raise UsageError(
            f"the vectorizer of the index cannot be changed; leave out -o {next(iter(settings.parts['vectorizer']))}"
        )
    features = features_of(index)
    if encoder == index.hasher.encoder and not options:
        fitted = index.hasher.fitted
    else:
        check_wanted(settings.encoder, features.feature_type, index.hasher.vectorizer.name)
        bits = settings.encoder.bits_to_project(features, index.bits) if ability is Projects else index.bits
        fitted = settings.encoder.fit(features, bits, settings.schedule)
    assert isinstance(fitted, ability)
    return fitted, features.input


def features_of(index: Index, documents: Iterable[Document] | None = None) -> Features:
    """Return the features of the stored documents, or of the given ones, from the vectorizer of the index.

    Raises UsageError if the index does not store its documents, DataError if there are none.
    """
    if documents is None and index.hasher.document_type == "vector":
        raise UsageError("an index of vectors does not store them; leave `encoder` out to use the codes")
    given = index.documents() if documents is None else documents
    parts = list(index.hasher.features(track(given, "reading", len(index) if documents is None else None)))
    if not parts:
        raise DataError("no documents; give at least one")
    like = index.hasher.vectorizer.transform([])
    return Features(stacked(parts), like.shape, like.feature_type)


def signs(index: Index) -> Floats:
    """Return the codes as float32 [n, bits] of -1 and 1; squared distances are four times the Hamming distances."""
    return np.where(unpack(index.codes, index.bits), np.float32(1), np.float32(-1))


def grouped(index: Index, count: int, encoder: str | None, options: Mapping[str, Any] | None, seed: int) -> Floats:
    """Return the distance of each document from each of `count` clusters, float32 [n, clusters].

    Clusters come from k-means over the codes (Lloyd 1982), or from an encoder with `assign`. Raises UsageError if there
    are fewer documents than clusters.
    """
    if count > len(index):
        raise UsageError(f"the number of clusters must be 1 to {len(index)}, the number of documents, got {count}")
    if encoder is not None:
        known = ENCODERS.get(encoder).options()
        options = ({"clusters": count} if "clusters" in known else {}) | dict(options or {})
        fitted, features = able(index, encoder, Assigns, options, seed)
        return np.asarray(1 - fitted.assign(features), np.float32)
    from sklearn.cluster import KMeans

    codes = signs(index)
    different = len(np.unique(index.codes, axis=0))  # k-means cannot find more clusters than distinct codes
    found = KMeans(min(count, different), n_init=5, random_state=seed).fit(codes)
    return np.asarray(found.transform(codes), np.float32)
