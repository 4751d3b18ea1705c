"""Views learned from the corpus: co-occurrence and latent semantic analysis, compared with their formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashret import tokens
from hashret.documents import Document
from hashret.vectorizers import views

from .conftest import TOPICS, sparse


def weights(n: int, width: int, seed: int = 0) -> np.ndarray:
    """Random tf-idf rows of length 1 or 0."""
    rng = np.random.default_rng(seed)
    values = rng.random((n, width)) * (rng.random((n, width)) < 0.3)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12))


def information(x: np.ndarray) -> np.ndarray:
    """Compute P of the formula of the module, entry by entry."""
    m = x.T @ x
    np.fill_diagonal(m, 0)
    q = m.sum(axis=0) ** 0.75
    q /= max(q.sum(), 1e-300)
    p = np.zeros_like(m)
    for v, w in np.argwhere(m > 0):
        p[v, w] = max(0.0, np.log(m[v, w] / (m[v].sum() * q[w])))
    return np.asarray(p)


@given(n=st.integers(1, 20), width=st.integers(1, 15), seed=st.integers(0, 1000))
def test_information_is_that_of_the_formula(n: int, width: int, seed: int) -> None:
    x = weights(n, width, seed)
    found = views._information(views._together(sparse(x)))
    np.testing.assert_allclose(found, information(x), atol=1e-4)
    assert found.dtype == np.float32


def test_company_counted_in_strips_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x = weights(30, 17)
    whole = views._together(sparse(x))
    monkeypatch.setattr("hashret.vectorizers.views.STRIP", 5)
    np.testing.assert_array_equal(views._together(sparse(x)), whole)


def test_word_vectors_weigh_directions_by_a_power_of_their_singular_values() -> None:
    x = weights(50, 20)
    left, values, _ = np.linalg.svd(information(x))
    wanted = left[:, :6] * values[:6] ** 0.25
    found = views.word_vectors(sparse(x), 6, seed=0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found @ found.T, wanted @ wanted.T, atol=1e-3)  # equal up to signs


def test_words_that_share_company_lie_nearer_than_others(texts: list[Document]) -> None:
    contents = [str(document.content) for document in texts]
    kept, df = tokens.vocabulary(contents, 1000, 2, 0.5)
    number = {word: i for i, word in enumerate(kept)}
    found = views.word_vectors(tokens.weigh(tokens.count(contents, number), tokens.rarity(df, len(texts))), 10, seed=0)
    topics = [[number[word] for word in topic.split() if word in number] for topic in TOPICS.values()]
    topic = np.repeat(range(len(topics)), [len(some) for some in topics])
    unit = found[np.concatenate(topics)]
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    near, same = unit @ unit.T, topic[:, None] == topic
    own = same & ~np.eye(len(same), dtype=bool)
    assert near[own].mean() > near[~same].mean() + 0.3
    assert (same[np.arange(len(same)), np.where(np.eye(len(same)), -9, near).argmax(axis=1)]).mean() > 0.9


def test_a_word_without_company_has_a_vector_of_zeros() -> None:
    x = np.zeros((12, 8))
    x[:10, :6] = weights(10, 6)
    x[10, 6] = x[11, 7] = 1
    found = views.word_vectors(sparse(x), 4, seed=0)
    np.testing.assert_allclose(found[6:], 0, atol=1e-5)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("dim", [1, 4, 9])
def test_latent_directions_span_what_the_singular_vectors_span(dim: int) -> None:
    x = weights(60, 9) * np.linspace(3, 0.3, 9)
    found = views.latent(sparse(x), dim, seed=0)
    wanted = np.linalg.svd(x)[2][:dim].T
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.T @ found, np.eye(dim), atol=1e-4)
    np.testing.assert_allclose(found @ found.T, wanted @ wanted.T, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (3, 12), (12, 3)])
def test_there_are_no_more_dimensions_than_words_or_documents(shape: tuple[int, int]) -> None:
    x = sparse(np.ones(shape) / shape[1] ** 0.5)
    assert views.word_vectors(x, 5, seed=0).shape == (shape[1], min(5, shape[1]))
    assert views.latent(x, 5, seed=0).shape == (shape[1], min(5, *shape))


@pytest.mark.parametrize("learn", [views.word_vectors, views.latent])
def test_the_seed_decides(learn: Any) -> None:
    x = sparse(weights(80, 40))
    np.testing.assert_array_equal(learn(x, 5, 3), learn(x, 5, 3))
