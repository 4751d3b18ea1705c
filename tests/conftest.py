"""Small corpora that every test may use: images of digits, generated texts, vectors; and a schedule of few steps."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
import torch

from hashret.documents import Document
from hashret.encoders import ENCODERS
from hashret.encoders.base import Encoder
from hashret.features import CSRMatrix, Features
from hashret.training import Schedule
from hashret.vectorizers import VECTORIZERS

torch.set_num_threads(1)

TOPICS = {
    "sea": "ship wave harbour sail tide anchor sailor storm deck coast island captain rope net whale",
    "kitchen": "bread oven flour butter knife soup salt pepper onion pan recipe plate sugar cake spoon",
    "music": "violin chord melody drum rhythm song choir piano tempo string concert singer flute note opera",
    "space": "star planet orbit rocket moon comet galaxy telescope gravity crater solar lunar probe meteor dust",
}
COMMON = "and the of with after before while again often never under over small large old new"

FAST: dict[str, Any] = {"epochs": 3, "min_steps": 120, "batch_size": 64, "learning_rate": 5e-3, "device": "cpu"}


@pytest.fixture(scope="session")
def fast() -> dict[str, Any]:
    """Options of a schedule that takes a second."""
    return dict(FAST)


@pytest.fixture(scope="session")
def schedule() -> Schedule:
    """The same as a Schedule."""
    return Schedule(**FAST)


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
    """The same, as the arrays of its values that are not 0."""
    row, column = matrix.nonzero()
    offsets = np.concatenate([[0], np.bincount(row, minlength=len(matrix)).cumsum()]).astype(np.int64)
    return CSRMatrix(matrix[row, column].astype(np.float32), column.astype(np.int32), offsets, matrix.shape[1])


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [400, 8, 8] and what they show."""
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


@pytest.fixture(scope="session")
def texts() -> list[Document]:
    """200 short texts of four topics; the topic is the label."""
    return make_texts()


@pytest.fixture(scope="session")
def images() -> list[Document]:
    """400 grey images of digits, 8 x 8; the digit is the label."""
    return make_images()


@pytest.fixture(scope="session")
def colour_images() -> list[Document]:
    """160 tinted images of digits, 16 x 16."""
    return make_images(colour=True)


@pytest.fixture(scope="session")
def vectors() -> list[Document]:
    """400 vectors of 64 real numbers; the label is a digit."""
    return make_vectors()


Corpus = tuple[Features, list[str]]


@cache
def corpus(kind: str) -> Corpus:
    """Features and labels of one of the four corpora: sparse, grey, colour, real."""
    make: dict[str, tuple[str, Callable[[], list[Document]]]] = {
        "sparse": ("tfidf", make_texts),
        "grey": ("pixels", make_images),
        "colour": ("pixels", lambda: make_images(colour=True)),
        "real": ("precomputed", make_vectors),
    }
    name, documents = make[kind][0], make[kind][1]()
    return VECTORIZERS.get(name)().fit(documents), [document.labels[0] for document in documents]


@pytest.fixture(scope="session")
def corpora() -> Callable[[str], Corpus]:
    """Features and labels by kind: sparse, grey, colour, real."""
    return corpus


@pytest.fixture(scope="session")
def fitted() -> Callable[..., Encoder]:
    """An encoder fitted on one of the corpora; the same one each time it is asked for."""

    @cache
    def fit(name: str, kind: str, bits: int = 16, seed: int = 0, steps: int = FAST["min_steps"]) -> Encoder:
        schedule = Schedule(**FAST | {"min_steps": steps, "seed": seed})
        return ENCODERS.get(name)().fit(corpus(kind)[0], bits, schedule)

    return fit
