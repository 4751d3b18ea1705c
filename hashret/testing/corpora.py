"""Small corpora for the suites: generated texts of four topics, images of digits, and vectors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from hashret.documents import Document
from hashret.features import CSRMatrix, Features
from hashret.vectorizers import VECTORIZERS

TOPICS = {
    "sea": "ship wave harbour sail tide anchor sailor storm deck coast island captain rope net whale",
    "kitchen": "bread oven flour butter knife soup salt pepper onion pan recipe plate sugar cake spoon",
    "music": "violin chord melody drum rhythm song choir piano tempo string concert singer flute note opera",
    "space": "star planet orbit rocket moon comet galaxy telescope gravity crater solar lunar probe meteor dust",
}
COMMON = "and the of with after before while again often never under over small large old new"


def make_texts(count: int = 200, seed: int = 0) -> list[Document]:
    rng = np.random.default_rng(seed)
    documents = []
    for number in range(count):
        topic = list(TOPICS)[number % len(TOPICS)]
        own, other = TOPICS[topic].split(), TOPICS[list(TOPICS)[int(rng.integers(len(TOPICS)))]].split()
        words = [*rng.choice(own, 8), *rng.choice(other, 1), *rng.choice(COMMON.split(), 4)]
        documents.append(Document(f"text-{number}", " ".join(rng.permutation(words)), (topic,)))
    return documents


def sparse(matrix: np.ndarray) -> CSRMatrix:
    """Convert a dense matrix to a CSRMatrix."""
    row, column = matrix.nonzero()
    offsets = np.concatenate([[0], np.bincount(row, minlength=len(matrix)).cumsum()]).astype(np.int64)
    return CSRMatrix(matrix[row, column].astype(np.float32), column.astype(np.int32), offsets, matrix.shape[1])


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 [400, 8, 8] and their digits [400]."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return (data.images[:400] * 255 / 16).round().astype(np.uint8), data.target[:400]


def make_images(colour: bool = False) -> list[Document]:
    images, targets = digits()
    if not colour:
        return [Document(f"digit-{i}", p, (str(t),)) for i, (p, t) in enumerate(zip(images, targets, strict=True))]
    tints = np.random.default_rng(0).uniform(0.6, 1.0, (160, 1, 1, 3))
    large = images[:160].repeat(2, axis=1).repeat(2, axis=2)[..., None] * tints
    return [
        Document(f"tinted-{i}", p, (str(t),))
        for i, (p, t) in enumerate(zip(large.astype(np.uint8), targets[:160], strict=True))
    ]


def make_vectors() -> list[Document]:
    images, targets = digits()
    values = (images.reshape(len(images), -1).astype(np.float32) - 80) / 3
    return [Document(f"vector-{i}", v, (str(t),)) for i, (v, t) in enumerate(zip(values, targets, strict=True))]


Corpus = tuple[Features, list[str]]


@cache
def corpus(kind: str) -> Corpus:
    """Return the features and labels of one of the four corpora: sparse, grey, colour or real."""
    make: dict[str, tuple[str, Callable[[], list[Document]]]] = {
        "sparse": ("tfidf", make_texts),
        "grey": ("pixels", make_images),
        "colour": ("pixels", lambda: make_images(colour=True)),
        "real": ("precomputed", make_vectors),
    }
    name, documents = make[kind][0], make[kind][1]()
    return VECTORIZERS.get(name)().fit(documents), [document.labels[0] for document in documents]
