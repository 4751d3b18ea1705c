"""Compare encoders: fit each at several lengths on a corpus and measure it with the same queries."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hashret.codes import check_bits, pack
from hashret.documents import Document
from hashret.errors import DataError
from hashret.evaluation.evaluate import evaluate, evaluate_qrels
from hashret.evaluation.measures import parse
from hashret.hasher import Hasher, Settings

Qrels = Mapping[str, Mapping[str, int]]


def compare(
    corpus: Iterable[Document],
    queries: Iterable[Document],
    encoders: Sequence[str],
    bits: Sequence[int],
    seeds: Sequence[int],
    measures: Sequence[str],
    *,
    vectorizer: str | None = None,
    device: str = "auto",
    options: Mapping[str, Any] | None = None,
    qrels: Qrels | None = None,
    exclude_self: bool = False,
) -> Iterator[dict[str, Any]]:
    """Yield one row per encoder, length, seed and measure.

    The corpus is vectorized once, from all of its documents. An option that some of the encoders do not know is given
    to those that do. Raises as `Hasher.fit` does, before anything is fitted where
    an option is wrong.
    """
    measures = [parse(measure).name for measure in ([measures] if isinstance(measures, str) else measures)]
    bits = [check_bits(length) for length in bits]
    chosen = dict(options or {}) | {"device": device}
    runs = itertools.product(encoders, bits, seeds)
    plan = [(e, b, s, _settings(e, vectorizer, chosen | {"seed": s}, encoders)) for e, b, s in runs]
    documents, asked = list(corpus), list(queries)
    if not documents or not asked:
        raise DataError(f"got {len(documents)} documents and {len(asked)} queries; give at least one of each")
    vectors = plan[0][3].vectorizer(documents[0].kind)
    vectors.use(device, None)
    features, wanted = vectors.fit(documents), vectors.transform_queries(asked)
    known = vectors.knows(wanted.input)
    place = {document.id: number for number, document in enumerate(documents)} if exclude_self else {}
    own = [place.get(document.id, -1) for document in asked] if exclude_self else None
    for encoder, length, seed, settings in plan:
        started = time.perf_counter()
        hasher = Hasher.learn(vectors, features, settings.encoder, length, settings.schedule)
        fitted = time.perf_counter()
        codes, margins = hasher.program.encode(features.input), hasher.program.margins(wanted.input)
        encoded = time.perf_counter()
        times = {"fit_seconds": round(fitted - started, 2), "encode_seconds": round(encoded - fitted, 2)}
        for row in _measure(codes, documents, pack(margins > 0), asked, measures, qrels, own, known):
            yield {"encoder": encoder, "bits": length, "seed": seed, **row, **times}


def _settings(encoder: str, vectorizer: str | None, options: Mapping[str, Any], encoders: Sequence[str]) -> Settings:
    """Return settings without options of other encoders only. Raises UsageError for options that no encoder has."""
    from hashret.encoders import ENCODERS

    others = {name for other in encoders if other != encoder for name in ENCODERS.get(other).options()}
    foreign = others - set(ENCODERS.get(encoder).options())
    kept = {key: value for key, value in options.items() if key.removeprefix("encoder.") not in foreign}
    return Settings(encoder, vectorizer, kept)


def _measure(
    codes: Any,
    documents: Sequence[Document],
    query_codes: Any,
    asked: Sequence[Document],
    measures: Sequence[str],
    qrels: Qrels | None,
    own: Sequence[int] | None,
    known: npt.NDArray[np.bool_],
) -> list[dict[str, Any]]:
    exclude = None if own is None else np.array(own, np.int64)
    if qrels is not None:
        ids, query_ids = [d.id for d in documents], [d.id for d in asked]
        return evaluate_qrels(codes, ids, query_codes, query_ids, qrels, measures, exclude=exclude, known=known)
    labels, query_labels = [d.labels for d in documents], [d.labels for d in asked]
    if not any(labels) or not any(query_labels):
        raise DataError("documents and queries must carry labels; name the field (label) or give judgements (qrels)")
    return evaluate(codes, labels, query_codes, query_labels, measures, exclude=exclude, known=known)
