"""The small corpora of hashret.testing as fixtures, and a schedule of few steps."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
import torch

from hashret.documents import Document
from hashret.testing.corpora import TOPICS, Corpus, corpus, digits, make_images, make_texts, make_vectors, sparse
from hashret.testing.encoders import FAST
from hashret.training import Schedule

__all__ = ["FAST", "TOPICS", "corpus", "digits", "make_images", "make_texts", "make_vectors", "sparse"]

torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs, and what they start, ignore it


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have slow tests, so that none of them is left for one process at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def fast() -> dict[str, Any]:
    """Options of a schedule that trains for about a second."""
    return dict(FAST)


@pytest.fixture(scope="session")
def schedule() -> Schedule:
    """`FAST` as a Schedule."""
    return Schedule(**FAST)


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


@pytest.fixture(scope="session")
def corpora() -> Callable[[str], Corpus]:
    """Features and labels by kind: sparse, grey, colour, real."""
    return corpus
