"""The neighbour graph, compared with brute force: all pairs in float64, sorted, ties by position."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashret import graph
from hashret.graph import View, neighbors

from .conftest import sparse


def corners(n: int, seed: int) -> np.ndarray:
    """Vectors of the numbers -1 and 1 with length 2, which have exact cosines and many ties."""
    return np.random.default_rng(seed).choice([-1.0, 1.0], (n, 4)).astype(np.float32)


def similarity(*matrices: np.ndarray) -> np.ndarray:
    """The sum of the cosines [n, n], of a document with itself minus infinity."""
    near = np.zeros((len(matrices[0]),) * 2)
    for matrix in matrices:
        lengths = np.linalg.norm(matrix.astype(np.float64), axis=1, keepdims=True)
        unit = matrix / np.where(lengths > 0, lengths, 1)
        near += unit @ unit.T
    np.fill_diagonal(near, -np.inf)
    return near


def brute_force(near: np.ndarray, k: int) -> np.ndarray:
    return np.argsort(-near, axis=1, kind="stable")[:, : min(k, len(near) - 1)]


@pytest.mark.parametrize("kind", ["dense", "sparse", "mixed"])
@given(n=st.integers(2, 40), k=st.integers(1, 50), seed=st.integers(0, 1000))
def test_neighbours_are_those_of_brute_force(kind: str, n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    one = rng.standard_normal((n, 5)).astype(np.float32)
    two = (rng.random((n, 9)) * (rng.random((n, 9)) < 0.4)).astype(np.float32)
    two[0] = 0
    views: dict[str, tuple[View, ...]] = {"dense": (one,), "sparse": (sparse(two),), "mixed": (one, sparse(two))}
    near = similarity(*{"dense": (one,), "sparse": (two,), "mixed": (one, two)}[kind])
    found = neighbors(views[kind], k)
    assert found.dtype == np.int64
    assert found.shape == (n, min(k, n - 1))
    assert not (found == np.arange(n)[:, None]).any()
    assert all(len(set(row)) == len(row) for row in found.tolist())
    # as near as the best, up to rounding errors of ties
    wanted = np.take_along_axis(near, brute_force(near, k), 1)
    np.testing.assert_allclose(np.take_along_axis(near, found, 1), wanted, atol=1e-5)


def test_equals_come_in_order_of_position() -> None:
    one = corners(60, 0)
    np.testing.assert_array_equal(neighbors((one,), 60), brute_force(similarity(one), 60))


def test_of_equals_at_the_last_place_the_first_are_taken() -> None:
    one = corners(60, 0)
    for k in (1, 5, 11, 12):
        np.testing.assert_array_equal(neighbors((one,), k), brute_force(similarity(one), k))


def test_rows_compared_some_at_a_time_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    one = np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32)
    at_once = neighbors((one, sparse(np.maximum(one, 0))), 7)
    monkeypatch.setattr(graph, "PAIRS", 50 * 8)
    np.testing.assert_array_equal(neighbors((one, sparse(np.maximum(one, 0))), 7), at_once)


@pytest.mark.parametrize("exact", [None, True])
def test_few_documents_have_few_neighbours(exact: bool | None) -> None:
    one = np.eye(3, dtype=np.float32)
    for view in (one, sparse(one)):
        assert neighbors((view,), 9, exact).tolist() == [[1, 2], [0, 2], [0, 1]]
    assert neighbors((one[:2],), 9, exact).tolist() == [[1], [0]]
    assert neighbors((one[:1],), 9, exact).tolist() == [[0]]


def test_documents_without_a_known_word_have_neighbours_too() -> None:
    found = neighbors((sparse(np.zeros((4, 3))),), 2)
    assert all(len(set(row) - {own}) == 2 for own, row in enumerate(found.tolist()))
    assert set(found.ravel()) <= {0, 1, 2, 3}


def clusters(count: int = 60, each: int = 50, dim: int = 16) -> np.ndarray:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((count, dim)).repeat(each, axis=0) + 0.3 * rng.standard_normal((count * each, dim))
    return np.asarray(points[rng.permutation(len(points))], np.float32)


@pytest.mark.parametrize("kind", ["dense", "sparse", "mixed"])
def test_candidates_hold_nearly_all_neighbours(kind: str) -> None:
    points = clusters()
    thin = sparse(np.maximum(points - 0.7, 0))
    views: dict[str, tuple[View, ...]] = {"dense": (points,), "sparse": (thin,), "mixed": (points, thin)}
    exact, found = neighbors(views[kind], 10, exact=True), neighbors(views[kind], 10, exact=False)
    n = len(points)
    assert found.shape == (n, 10)
    assert (found >= 0).all()
    assert (found < n).all()
    assert not (found == np.arange(n)[:, None]).any()
    assert all(len(set(row)) == 10 for row in found.tolist())
    assert np.mean([np.isin(a, b).mean() for a, b in zip(exact, found, strict=True)]) >= 0.9


def test_candidates_are_put_in_order_of_nearness() -> None:
    points = clusters(20)
    near = similarity(points)
    found = np.take_along_axis(near, neighbors((points,), 10, exact=False), 1)
    assert (np.diff(found, axis=1) <= 1e-6).all()


def test_only_large_corpora_are_not_compared_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    points = clusters(8)
    exact = neighbors((points,), 5, exact=True)
    monkeypatch.setattr(graph, "_approximate", lambda views, k: "approximate")
    np.testing.assert_array_equal(neighbors((points,), 5), exact)
    monkeypatch.setattr(graph, "EXACT", len(points) - 1)
    assert neighbors((points,), 5) == "approximate"
    np.testing.assert_array_equal(neighbors((points,), 5, exact=True), exact)


@pytest.mark.parametrize("exact", [True, False])
def test_the_length_of_rows_does_not_matter(exact: bool) -> None:
    points = clusters(20)
    thin = np.maximum(points - 0.5, 0)
    factors = 2.0 ** np.random.default_rng(1).integers(-9, 10, (len(points), 1))  # exact in floating point
    scaled = ((points * factors).astype(np.float32), sparse(thin * factors[::-1]))
    found, wanted = neighbors(scaled, 5, exact), neighbors((points, sparse(thin)), 5, exact)
    assert (found == wanted).mean() > 0.999  # up to rounding errors of ties
