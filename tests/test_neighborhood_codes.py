"""Codes of the default encoder: few documents, equal seeds, images."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from hashret.codes import hamming
from hashret.documents import Document
from hashret.encoders import DEFAULT
from hashret.encoders.neighborhood import Neighborhood
from hashret.features import Features
from hashret.graph import neighbors
from hashret.hasher import Hasher
from hashret.training import USUAL, Schedule
from hashret.vectorizers.text import Text

from .conftest import make_texts
from .samples import dense

SMALL = {"hidden": "64", "rounds": 2}


@pytest.mark.parametrize("count", [1, 2, 3, 10, 49])
def test_few_texts_are_warned_of_and_equal_ones_have_equal_codes(
    count: int, fast: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    documents = make_texts(count)
    if count > 1:
        documents[-1] = Document("again", documents[0].content)
    with caplog.at_level(logging.WARNING, "hashret"):
        hasher = Hasher.fit(documents, bits=8, options=fast | SMALL | {"min_steps": 20})
    assert f"{count} documents: codes learned from fewer than 500 are inaccurate" in caplog.text
    codes = hasher.encode([*documents, Document("new", documents[0].content), Document("none", "")])
    assert codes.shape == (count + 2, 1)
    assert (codes[[count - 1, count]] == codes[0]).all() if count > 1 else (codes[1] == codes[0]).all()


def test_the_seed_decides_the_codes(texts: list[Document], fast: dict[str, Any]) -> None:
    def codes(seed: int) -> np.ndarray:
        hasher = Hasher.fit(texts, bits=16, seed=seed, options=fast | SMALL | {"min_steps": 30})
        assert hasher.encoder == DEFAULT
        return hasher.encode(texts)

    first = codes(0)
    np.testing.assert_array_equal(codes(0), first)
    assert (codes(1) != first).any()


def test_images_of_the_same_digit_are_found(images: list[Document], fast: dict[str, Any]) -> None:
    codes = Hasher.fit(images, bits=32, encoder="neighborhood", options=fast | SMALL).encode(images)
    distances = hamming(codes, codes).astype(np.int64)
    np.fill_diagonal(distances, 1 << 20)
    labels = np.array([document.labels[0] for document in images])
    nearest = distances.argsort(axis=1, kind="stable")[:, :10]
    assert (labels[nearest] == labels[:, None]).mean() > 0.5  # chance: a tenth


@pytest.mark.parametrize(("bits", "temperature"), [(8, 0.2), (9, 0.1), (16, 0.1)])
def test_temperature_goes_by_the_bits(bits: int, temperature: float) -> None:
    x = np.random.default_rng(0).standard_normal((30, 6)).astype(np.float32)

    def loss(**options: Any) -> float:
        net = Neighborhood(hidden=(9,), **options)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net.build(Features(x, (6,)), bits)
        net.features, net.graph = Features(x, (6,)), torch.from_numpy(neighbors((x,), 3))
        net.eval()
        with torch.no_grad():
            return float(net.loss(torch.from_numpy(x), torch.arange(30)))

    assert loss() == loss(temperature=temperature)
    assert loss() != loss(temperature=temperature * 2)


def test_the_agreement_of_bits_that_all_agree_is_the_chance_of_a_draw() -> None:
    x = np.ones((12, 4), np.float32)
    net = Neighborhood(hidden=(5,), decorrelation_weight=1e-30, reconstruction_weight=0.0)
    net.build(Features(x, (4,)), 8)
    net.features, net.graph = Features(x, (4,)), torch.from_numpy(neighbors((x,), 3))
    net.eval()
    with torch.no_grad():
        found = float(net.loss(torch.from_numpy(x), torch.arange(12)))
    assert found == pytest.approx(np.log(12), rel=1e-5)
    assert found == pytest.approx(float(cross_entropy(torch.zeros(12, 12), torch.arange(12))), rel=1e-5)


def test_while_training_any_neighbour_is_drawn_and_while_watching_the_nearest() -> None:
    x = np.arange(10, dtype=np.float32)[:, None].repeat(2, axis=1)
    net = Neighborhood()
    net.features, net.shape = Features(x, (2,)), (2,)
    net.graph = torch.tensor([[(i + j) % 10 for j in (1, 2, 3)] for i in range(10)])
    rows = torch.tensor([4, 0, 9])
    net.train()
    seen = {tuple(net.drawn(rows)[:, 0].int().tolist()) for _ in range(200)}
    assert {first for first, _, _ in seen} == {5, 6, 7}
    assert {last for _, _, last in seen} == {0, 1, 2}
    net.eval()
    assert net.drawn(rows)[:, 0].tolist() == [5, 1, 0]


@pytest.mark.parametrize(("shape", "walk", "wanted"), [((2,), None, 1), ((1, 1, 2), None, 6), ((1, 1, 2), 4, 4)])
def test_a_walk_goes_so_many_steps(shape: tuple[int, ...], walk: Any, wanted: int) -> None:
    x = np.arange(10, dtype=np.float32)[:, None].repeat(2, axis=1)
    net = Neighborhood(walk=walk)
    net.features, net.shape = Features(x, shape), shape
    net.graph = ((torch.arange(10) + 1) % 10)[:, None]
    net.train()
    assert net.drawn(torch.tensor([0, 7]))[:, 0].tolist() == [wanted, (7 + wanted) % 10]


def test_a_schedule_takes_the_encoders_own_values_where_the_default_stands_and_no_others() -> None:
    for name, own in Neighborhood.usual.items():
        assert getattr(Schedule().completed(Neighborhood.usual), name) == own
        assert getattr(Schedule().completed({}), name) == USUAL[name]
        said: Any = 0.25 if name == "validation_fraction" else 7
        given = Schedule(**{name: said})
        assert getattr(given.completed(Neighborhood.usual), name) == said
        assert getattr(given, name) == said
    other = Schedule(seed=3, patience=2, sample=9, device="cpu")
    kept = other.completed(Neighborhood.usual).params()
    assert {name: kept[name] for name in ("seed", "patience", "sample", "device")} == {
        "seed": 3,
        "patience": 2,
        "sample": 9,
        "device": "cpu",
    }
    once = other.completed(Neighborhood.usual)
    assert once.completed({}).params() == once.params()


@pytest.mark.parametrize("choice", ["words", "topics", "both", "auto"])
def test_a_text_gets_the_features_it_had_when_fitted(choice: str, texts: list[Document]) -> None:
    made = Text(input=choice, dim=12, topics=9)
    fitted = made.fit(texts)
    np.testing.assert_allclose(dense(made.transform(texts[::-1]).input)[::-1], dense(fitted.input), atol=1e-5)
    assert made.knows(fitted.input).all()
    assert not made.knows(made.transform([Document("x", "xyzzy"), Document("e", "")]).input).any()


def test_topics_weigh_more_the_longer_the_documents_are() -> None:
    shares = [Text()._share(np.array([1, length, 900]), np.ones(16)) for length in (1, 15, 20, 30, 49, 50, 300)]
    assert shares[:2] == [0, 0]
    assert shares[-2:] == [1, 1]
    assert shares == sorted(shares)
    assert 0 < shares[2] < shares[3] < shares[4] < 1


def test_topics_weigh_more_where_few_of_them_lead() -> None:
    def share(lead: float) -> float:
        """Of a corpus whose first eighth of topics, the very first aside, holds this much of what all hold."""
        return Text()._share(np.array([60]), np.array([9.0, *[lead / 3] * 3, *[(1 - lead) / 28] * 28]))

    np.testing.assert_allclose([share(x) for x in (0.1, 0.27, 0.405, 0.54, 0.9)], [1, 1, 1.5, 2, 2])
    assert Text()._share(np.array([60]), np.ones(5)) == 1
