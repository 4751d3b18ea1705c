"""More like this: precision by labels, and recall of the neighbours by the features themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hashret.documents import Document
from hashret.encoders import ENCODERS
from hashret.errors import UsageError
from hashret.evaluation.queries import RankedQueries, evaluate_index
from hashret.features import Features, Floats, mean_of
from hashret.quantizer import Additive, Float
from hashret.ranking import Codes, QuantizedVectors
from hashret.readers import read
from hashret.training import Schedule
from hashret.vectorizers import VECTORIZERS
from questions.common import Indexes, Row, newsgroups, row, snippets, some

BYTES, NEAREST, HELD_OUT, IMAGES = (8, 16, 32), 10, 1000, 10_000
MEASURES = ("P@1", "P@10", "P@100")
WAYS = {"codes": ["codes"], "codes + vectors": ["codes", "vectors"]}
ENCODED = ("itq", "pca", "lsh")

Scores = Callable[[int], npt.NDArray[np.float64]]


def labelled(case: str, data: Path, indexes: Indexes, seed: int) -> Iterator[Row]:
    """A document is relevant if it shares a label with the query, which is an example and not a question."""
    load = snippets if case == "websnippets" else newsgroups
    index = indexes.of(f"{case} train", seed, lambda: load(data, "train"))
    queries = load(data, "test")
    for method, by in WAYS.items():
        for found in evaluate_index(index, RankedQueries(index, queries, by, likeness=True), MEASURES):
            yield row(method, found["measure"], found["value"], queries=found["queries"])


def nearest(case: str, data: Path, indexes: Indexes, seed: int) -> Iterator[Row]:
    """Which of the ten nearest by the cosine of features the vectors find, and other codes of as many bits."""
    own, theirs, centred = _texts(data) if case == "websnippets" else _images(data)
    exact = Float(own.shape[1], mean_of(own) if centred else None)
    rows, asked = (exact.prepared(part, 0, len(part)) for part in (own, theirs))
    true = np.argsort(-(asked @ rows.T), axis=1, kind="stable")[:, :NEAREST]
    for size in BYTES:
        quantizer = Additive.fit(own, size, centred, seed)
        vectors = QuantizedVectors(quantizer.encode(own), quantizer)
        found = _recall(true, partial(_cosines, vectors, theirs))
        yield row("vectors", f"{size} bytes", found, dim=own.shape[1], documents=len(own))
        for name in ENCODED:
            if scores := _encoded(name, rows, asked, 8 * size, seed):
                yield row(name, f"{size} bytes", _recall(true, scores), dim=own.shape[1], documents=len(own))


def _cosines(vectors: QuantizedVectors, theirs: Floats, number: int) -> npt.NDArray[np.float64]:
    return vectors.cosines(theirs[number])


def _texts(data: Path) -> tuple[Floats, Floats, bool]:
    """Features of snippets; queries without a known word are left out."""
    vectorizer = VECTORIZERS.get("text")()
    own = np.asarray(vectorizer.fit(snippets(data, "train")).input)
    theirs = np.asarray(vectorizer.transform(some(snippets(data, "test"), 2 * HELD_OUT)).input)
    return own, theirs[theirs.any(axis=1)][:HELD_OUT], vectorizer.centred


def _images(data: Path) -> tuple[Floats, Floats, bool]:
    vectorizer = VECTORIZERS.get("pixels")()
    own = np.asarray(vectorizer.fit(_digits(data, "train", IMAGES)).input)
    return own, np.asarray(vectorizer.transform(_digits(data, "t10k", HELD_OUT)).input), vectorizer.centred


def _digits(data: Path, part: str, count: int) -> list[Document]:
    return list(read(data / "mnist" / f"{part}-images-idx3-ubyte.gz"))[:count]


def _encoded(name: str, rows: Floats, asked: Floats, bits: int, seed: int) -> Scores | None:
    """Minus the asymmetric distances; None if the features are too few for so many bits."""
    try:
        encoder = ENCODERS.get(name)().fit(Features(rows, rows.shape[1:]), bits, Schedule(seed=seed))
    except UsageError:
        return None
    program = encoder.program()
    codes, margins = Codes(program.encode(rows), bits), program.margins(asked)
    return lambda number: -codes.distances(margins[number])


def _recall(true: npt.NDArray[np.int64], scores: Scores) -> float:
    """The share of the true neighbours among as many that are found."""
    found = [np.argsort(-scores(number), kind="stable")[:NEAREST] for number in range(len(true))]
    return float(np.mean([len(np.intersect1d(a, b)) / NEAREST for a, b in zip(found, true, strict=True)]))
