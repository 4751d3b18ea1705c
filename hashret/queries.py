"""Encode queries for search and ranking."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hashret.codes import Codes, pack
from hashret.documents import Content, Document, as_documents, is_one
from hashret.errors import DataError
from hashret.features import CSRMatrix, Floats, take
from hashret.hasher import Hasher
from hashret.parts import Parts
from hashret.ranking import Question
from hashret.results import Hits
from hashret.vectorizers.base import Vectorizer

Query = Document | Content
Queries = Query | Iterable[Query]

log = logging.getLogger("hashret")


@dataclass(frozen=True)
class EncodedQueries:
    """The codes of m queries, and the inputs for ranking by the parts of an index."""

    codes: Codes  # [m, ceil(bits / 8)]
    margins: Floats | None = None  # [m, bits], logits minus thresholds
    features: Floats | None = None  # [m, dim], if the index has vectors
    terms: Sequence[Sequence[str]] = ()  # [m], if the index has words
    known: npt.NDArray[np.bool_] | None = None  # [m], whether the vectorizer has any feature for the query

    def question(self, number: int) -> Question:
        """Return one query, for ranking."""
        return Question(
            self.terms[number] if self.terms else (),
            None if self.margins is None else self.margins[number],
            None if self.features is None else self.features[number],
            self.known is None or bool(self.known[number]),
        )


def concatenate_queries(parts: Sequence[EncodedQueries]) -> EncodedQueries:
    """Concatenate queries. `parts` must not be empty."""
    each = zip(*((part.codes, part.margins, part.features, part.known) for part in parts), strict=True)
    codes, margins, features, known = (None if own[0] is None else np.concatenate(own) for own in each)
    assert codes is not None
    return EncodedQueries(codes, margins, features, [terms for part in parts for terms in part.terms], known)


def is_one_query(queries: Queries, holds: str) -> bool:
    """Whether this is a single query. In an index of images, an array [h, w] or [h, w, 3] is one query."""
    if holds == "image" and isinstance(queries, np.ndarray):
        return queries.ndim == 2 or (queries.ndim == 3 and queries.shape[2] == 3)
    return is_one(queries)


def encode_queries(hasher: Hasher, parts: Parts, queries: Queries) -> EncodedQueries:
    """Encode queries. Raises DataError if the type of a query differs from the documents of the index."""
    each: Any = [queries] if is_one_query(queries, hasher.document_type) else queries
    documents = [_fitting(document, hasher.vectorizer) for document in as_documents(each)]
    if not documents:
        return EncodedQueries(hasher.encode(documents))
    found = concatenate_queries([_encode(hasher, parts, features) for features in hasher.query_features(documents)])
    if parts.analyzer is None:
        return found
    terms = [parts.analyzer.query(str(document.content)) for document in documents]
    return EncodedQueries(found.codes, found.margins, found.features, terms, found.known)


def _encode(hasher: Hasher, parts: Parts, features: Floats | CSRMatrix) -> EncodedQueries:
    known = hasher.vectorizer.knows(features)
    # one row at a time, because the rounding in a matrix product depends on the other rows
    each = [hasher.program.margins(_row(features, row)) for row in range(len(features))]
    margins = np.concatenate(each)
    kept = None
    if parts.quantizer is not None:
        kept = take(hasher.vectorizer.for_vectors(features), np.arange(len(features))).reshape(len(features), -1)
    return EncodedQueries(pack(margins > 0), margins, kept, (), known)


def _row(features: Floats | CSRMatrix, row: int) -> Floats | CSRMatrix:
    return features.slice(row, row + 1) if isinstance(features, CSRMatrix) else features[row : row + 1]


def _fitting(document: Document, vectorizer: Vectorizer) -> Document:
    """Convert a query to a type that the vectorizer reads. Raises DataError if that is not possible."""
    holds = vectorizer.document_type
    if holds == "image" and isinstance(document.content, str):
        if _is_file(document.content):
            return Document(document.content, Path(document.content))
        if "text" not in vectorizer.query_types:
            raise DataError(
                f"this index holds images, but {document.content[:60]!r} is not the path of an image; "
                "use an image, the path of an image, or the id of a document as query"
            )
    if document.kind not in vectorizer.query_types:
        raise DataError(f"this index holds {holds}s, but the query is of type {document.kind}; use a {holds} as query")
    return document


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except OSError:  # a text longer than the names of files may be
        return False


def without_unknown(answers: list[Hits], known: Sequence[bool]) -> list[Hits]:
    """Replace the results of unknown queries by empty ones, and log a warning."""
    if all(known):
        return answers
    log.warning(
        "%d of %d queries have no results, because none of their words occurs in the index; try other words",
        len(answers) - sum(known),
        len(answers),
    )
    pairs = zip(answers, known, strict=True)
    return [hits if yes else Hits([], hits.exact, hits.searcher) for hits, yes in pairs]
