"""EncodedQueries: queries as the numbers that searching and re-ranking go by."""

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
from hashret.features import CSRMatrix, Floats
from hashret.hasher import Hasher
from hashret.results import Hits

Query = Document | Content
Queries = Query | Iterable[Query]

log = logging.getLogger("hashret")


@dataclass(frozen=True)
class EncodedQueries:
    """Queries encoded; to re-rank by also their logits' margins, and their features where the index keeps vectors."""

    codes: Codes  # [m, ceil(bits / 8)]
    margins: Floats | None = None  # [m, bits]
    features: Floats | None = None  # [m, dim]
    known: npt.NDArray[np.bool_] | None = None  # [m], whether the vectorizer knows anything of them

    def part(self, which: slice) -> EncodedQueries:
        """Some of the queries."""
        each = (self.codes, self.margins, self.features, self.known)
        return EncodedQueries(*(None if own is None else own[which] for own in each))  # type: ignore[arg-type]


def concatenate_queries(parts: Sequence[EncodedQueries]) -> EncodedQueries:
    """Queries one after the other, at least one part of them."""
    each = zip(*((part.codes, part.margins, part.features, part.known) for part in parts), strict=True)
    return EncodedQueries(*(None if own[0] is None else np.concatenate(own) for own in each))  # type: ignore[arg-type]


def is_one_query(queries: Queries, holds: str) -> bool:
    """Whether this is one query and not a collection of them; an index of images takes an image's array for one."""
    if holds == "image" and isinstance(queries, np.ndarray):
        return queries.ndim == 2 or (queries.ndim == 3 and queries.shape[2] == 3)
    return is_one(queries)


def encode_queries(hasher: Hasher, queries: Queries, rerank: bool, keeps: bool) -> EncodedQueries:
    """Queries -> codes, and the numbers to re-rank by; `keeps`: the index keeps vectors. DataError for another kind."""
    each: Any = [queries] if is_one_query(queries, hasher.document_type) else queries
    documents = [_fitting(document, hasher.document_type) for document in as_documents(each)]
    if not documents:
        return EncodedQueries(hasher.encode(documents))
    return concatenate_queries([_numbers(hasher, features, rerank, keeps) for features in hasher.features(documents)])


def _numbers(hasher: Hasher, features: Floats | CSRMatrix, rerank: bool, keeps: bool) -> EncodedQueries:
    known = hasher.vectorizer.knows(features)
    if not rerank:
        return EncodedQueries(hasher.program.encode(features), known=known)
    margins = hasher.program.margins(features)
    kept = features if keeps and not isinstance(features, CSRMatrix) else None
    return EncodedQueries(pack(margins > 0), margins, kept, known)


def _fitting(document: Document, holds: str) -> Document:
    """A query as a document of the kind that the index holds."""
    if holds == "image" and isinstance(document.content, str):
        if not Path(document.content).is_file():
            raise DataError(
                f"this index holds images, and {document.content[:60]!r} is not the path of an image; "
                "ask with an image, its path or the id of a document"
            )
        return Document(document.content, Path(document.content))
    if document.kind != holds:
        raise DataError(f"this index holds {holds}s, and the query is a {document.kind}; ask with a {holds}")
    return document


def without_unknown(encoded_queries: EncodedQueries, answers: list[Hits]) -> list[Hits]:
    """The answers, empty for queries of which nothing is known: their codes say nothing."""
    if encoded_queries.known is None or encoded_queries.known.all():
        return answers
    log.warning(
        "%d of %d queries have no word that the index knows: no answer; ask with other words",
        len(answers) - int(encoded_queries.known.sum()),
        len(answers),
    )
    return [
        hits if knows else Hits([], hits.exact, hits.searcher)
        for hits, knows in zip(answers, encoded_queries.known.tolist(), strict=True)
    ]
