"""The neighbour graph and the default encoder, which is trained on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hashret.codes import hamming
from hashret.documents import Document
from hashret.encoders.neighborhood import Neighborhood
from hashret.encoders.nn.noise import moved
from hashret.features import Features
from hashret.graph import neighbors
from hashret.hasher import Hasher
from hashret.training import USUAL, Schedule

from .conftest import sparse
from .test_index import corpus

QUICK: dict[str, Any] = {"epochs": 4, "min_steps": 60, "batch_size": 64}


def cosines(matrix: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit = matrix / np.where(lengths > 0, lengths, 1)
    return np.asarray(unit @ unit.T)


@given(n=st.integers(2, 40), k=st.integers(1, 45), seed=st.integers(0, 1000))
def test_neighbours_are_those_of_brute_force(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    one = rng.standard_normal((n, 6)).astype(np.float32)
    two = (rng.random((n, 9)) * (rng.random((n, 9)) < 0.3)).astype(np.float32)
    near = cosines(one) + cosines(two)
    np.fill_diagonal(near, -np.inf)
    found = neighbors((5 * one, sparse(two)), k)
    wanted = np.sort(near, axis=1)[:, ::-1][:, : min(k, n - 1)]
    assert found.shape == wanted.shape
    assert np.allclose(np.take_along_axis(near, found, 1), wanted, atol=1e-5)


def test_equals_come_in_order_and_a_single_document_has_itself() -> None:
    assert neighbors((np.ones((4, 2), np.float32),), 3).tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
    assert neighbors((np.ones((1, 2), np.float32),), 3).tolist() == [[0]]


@pytest.mark.parametrize("kind", ["dense", "sparse", "both"])
def test_most_neighbours_are_found_without_comparing_all(kind: str) -> None:
    rng = np.random.default_rng(0)
    points = np.repeat(rng.standard_normal((40, 16)), 50, axis=0) + 0.3 * rng.standard_normal((2000, 16))
    dense, thin = points.astype(np.float32), sparse(np.maximum(points - 0.5, 0))
    views: tuple[Any, ...] = {"dense": (dense,), "sparse": (thin,), "both": (dense, thin)}[kind]
    exact, found = neighbors(views, 10, exact=True), neighbors(views, 10, exact=False)
    assert not (found == np.arange(2000)[:, None]).any()
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact.tolist(), found.tolist(), strict=True)]) > 0.9


def test_the_loss_is_that_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 12)).astype(np.float32)
    features = Features(x, (12,))
    net = Neighborhood(hidden=(9,), reconstruction_weight=0.5, decorrelation_weight=0.7, temperature=0.3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net.build(features, 6)
    net.features, net.graph = features, torch.from_numpy(neighbors((x,), 3))
    net.eval()
    rows = torch.arange(20)
    with torch.no_grad():
        ours = float(net.loss(torch.from_numpy(x[:20]), rows))
        both = torch.from_numpy(np.concatenate([x[:20], x[net.graph[:20, 0].numpy()]]))
        logits, target = net.logits(both).numpy().astype(np.float64), net.input(both).numpy()
        z = np.where(logits > 0, 1.0, -1.0)
        output = net.decode(torch.from_numpy(z).float()).numpy()
    near = z[:20] @ z[20:].T / (6 * 0.3)
    agreement = -np.mean([np.diag(s - np.log(np.exp(s).sum(1, keepdims=True))).mean() for s in (near, near.T)])
    means = 2 / (1 + np.exp(-logits)) - 1
    shared = np.cov(means.T, bias=True)
    decorrelation = ((shared**2).sum() - (np.diag(shared) ** 2).sum()) / 6**2
    balance = (means.mean(0) ** 2).sum() / 6**2
    rebuilt = ((output - target) ** 2).sum(1).mean()
    assert ours == pytest.approx(agreement + 0.7 * (decorrelation + balance) + 0.5 * rebuilt, rel=1e-4)


def test_codes_of_one_topic_are_nearer_than_others() -> None:
    documents = corpus(200)
    codes = Hasher.fit(documents, bits=16, options=QUICK).encode(documents)
    distances = hamming(codes, codes).astype(float)
    same = np.array([[a.labels == b.labels for b in documents] for a in documents])
    assert distances[same].mean() + 2 < distances[~same].mean()


def test_no_label_is_read() -> None:
    documents = corpus(120)
    turned = [
        replace(d, labels=other.labels) for d, other in zip(documents, documents[7:] + documents[:7], strict=True)
    ]
    bare = [replace(d, labels=()) for d in documents]
    prints = {Hasher.fit(each, bits=8, options=QUICK).fingerprint for each in (documents, turned, bare)}
    assert len(prints) == 1


@pytest.mark.parametrize("n", [1, 2, 3, 10, 49])
def test_few_texts_are_no_error(n: int) -> None:
    documents = [*corpus(n)[: n - 1], Document("last", "ship tide harbour wave storm")]
    codes = Hasher.fit(documents, bits=8, options=QUICK).encode([*documents, documents[0]])
    assert (codes[-1] == codes[0]).all()


def test_images_of_one_kind_have_near_codes(digits: list[Document]) -> None:
    codes = Hasher.fit(digits, bits=16, encoder="neighborhood", options=QUICK).encode(digits)
    distances = hamming(codes, codes).astype(float)
    labels = np.array([d.labels[0] for d in digits])
    same = labels[:, None] == labels[None]
    assert distances[same].mean() + 1 < distances[~same].mean()


@pytest.fixture
def digits() -> list[Document]:
    from hashret.demo import digits

    return digits()[:300]


@pytest.mark.parametrize("channels", [1, 3])
def test_moved_images_are_others_of_the_same_kind(channels: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x = torch.rand(50, channels, 12, 12)
        copies = moved(x)
    assert copies.shape == x.shape
    assert float(copies.min()) >= 0
    assert float(copies.max()) <= 1
    assert not torch.allclose(copies, x, atol=0.05)


@pytest.mark.parametrize(
    ("documents", "batch", "steps"), [(50, 128, 300), (500, 128, 300), (5000, 256, 500), (9999, 512, 500)]
)
def test_few_images_take_smaller_batches_and_fewer_steps(documents: int, batch: int, steps: int) -> None:
    images = Features(np.zeros((documents, 1), np.float32), (1, 1, 1), "unit")
    many, texts = Features(np.zeros((10_000, 1), np.float32), (1, 1, 1)), Features(images.input, (1,))
    plan = Schedule().completed(Neighborhood().usual_for(images))
    assert plan.batch_size == batch
    assert plan.steps(documents) == steps
    assert Neighborhood().usual_for(many) == Neighborhood().usual_for(texts) == Neighborhood.usual
    said = Schedule(batch_size=33, min_steps=7).completed(Neighborhood().usual_for(images))
    assert (said.batch_size, said.min_steps) == (33, 7)


def test_a_schedule_keeps_what_was_said() -> None:
    said = Schedule(epochs=3, learning_rate=0.5).completed(
        {"epochs": 25, "batch_size": 512, "validation_fraction": 0.0}
    )
    assert (said.epochs, said.learning_rate, said.batch_size, said.validation_fraction) == (3, 0.5, 512, 0.0)
    assert said.max_steps == USUAL["max_steps"]
