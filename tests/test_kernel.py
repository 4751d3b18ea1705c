"""The compiled loops: every way of counting gives the same, on odd widths, odd addresses and odd numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashret.codes import hamming

_kernel = pytest.importorskip("hashret._kernel")

from hashret.search.lookup import Lookup  # noqa: E402
from hashret.search.multi_index import MultiIndex  # noqa: E402
from hashret.search.scan import Scan  # noqa: E402
from hashret.search.tables import Buckets, distinct, spread_bits  # noqa: E402

KINDS: dict[str, type] = {"scan": Scan, "multi_index": MultiIndex, "lookup": Lookup}


@pytest.fixture(params=_kernel.variants(), autouse=True)
def variant(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each way to count that this processor has."""
    _kernel.use(request.param)
    yield
    _kernel.use(_kernel.variants()[0])


def misaligned(rows: np.ndarray) -> np.ndarray:
    """The same rows, one byte off any boundary."""
    whole = np.empty(rows.size + 1, np.uint8)
    whole[1:] = rows.reshape(-1)
    return whole[1:].reshape(rows.shape)


@st.composite
def cases(draw: st.DrawFn, most: int = 70) -> tuple[np.ndarray, np.ndarray]:
    """Codes and queries of one width, many of them equal or near to each other."""
    width = draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    few = rng.integers(0, 256, (draw(st.integers(1, 5)), width), dtype=np.uint8)
    n = draw(st.sampled_from([1, 2, 63, 64, 65, 127, 200, 1023, 1025, 2100]))
    codes = few[rng.integers(len(few), size=n)]
    codes ^= (rng.random(codes.shape) < draw(st.sampled_from([0, 0.1, 0.5]))).astype(np.uint8)
    return misaligned(codes), misaligned(few[:3] ^ rng.integers(0, 2, (len(few[:3]), width), dtype=np.uint8))


def brute(codes: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances [m, n], and the order of the codes for each query [m, n]."""
    distances = hamming(queries, codes)
    return distances, np.argsort(distances, axis=1, kind="stable")


@settings(max_examples=40, deadline=None)
@given(case=cases(), k=st.sampled_from([1, 2, 10, 100, 3000]))
@pytest.mark.parametrize("kind", ["scan", "multi_index"])
def test_the_nearest_are_those_of_numpy(kind: str, case: tuple[np.ndarray, np.ndarray], k: int) -> None:
    codes, queries = case
    made = unhurried(KINDS[kind](codes, 8 * codes.shape[1]))
    found = made.search(queries, k)
    distances, order = brute(codes, queries)
    assert (found.positions == order[:, :k]).all()
    assert (found.distances == np.take_along_axis(distances, order[:, :k], 1)).all()
    assert (found.ties_at_k == (distances == found.distances[:, -1:]).sum(axis=1)).all()


@settings(max_examples=40, deadline=None)
@given(case=cases(), radius=st.sampled_from([0, 1, 3, 8, 100, 10**6]))
@pytest.mark.parametrize("kind", ["scan", "multi_index"])
def test_all_within_a_radius_are_those_of_numpy(kind: str, case: tuple[np.ndarray, np.ndarray], radius: int) -> None:
    codes, queries = case
    made = unhurried(KINDS[kind](codes, 8 * codes.shape[1]))
    found = made.within(queries, radius)
    distances, order = brute(codes, queries)
    wanted = [row[near[row] <= radius] for near, row in zip(distances, order, strict=True)]
    assert found.offsets.tolist() == np.cumsum([0, *map(len, wanted)]).tolist()
    assert found.positions.tolist() == np.concatenate(wanted).tolist()


@settings(max_examples=15, deadline=None)
@given(case=cases(most=2), k=st.sampled_from([1, 10, 3000]), radius=st.integers(0, 5))
def test_addresses_hold_what_numpy_finds(case: tuple[np.ndarray, np.ndarray], k: int, radius: int) -> None:
    codes, queries = case
    made = unhurried(Lookup(codes, 8 * codes.shape[1]))
    distances, order = brute(codes, queries)
    assert (made.search(queries, k).positions == order[:, :k]).all()
    assert len(made.within(queries, radius).positions) == (distances <= radius).sum()


def unhurried(made: Scan | Buckets) -> Scan | Buckets:
    """A searcher that looks into as many buckets as it takes."""
    if isinstance(made, Buckets):
        made.costs = (np.inf, 1.0)
    return made


def test_buckets_that_take_too_long_are_given_up_for_the_scan() -> None:
    codes = np.random.default_rng(0).integers(0, 256, (5000, 8), dtype=np.uint8)
    queries = np.concatenate([codes[:20], ~codes[:20]])
    made = MultiIndex(codes, 64, threads=1)
    made.costs = (300.0, 1.0)  # enough for the buckets that the query shares, and those one bit away
    found, wanted = made.search(queries, 1), Scan(codes, 64).search(queries, 1)
    assert 0 < made.luck[0] < 1
    assert made.luck[1] == 40
    assert (found.positions == wanted.positions).all()
    near, all_near = made.within(queries, 3), Scan(codes, 64).within(queries, 3)
    assert near.offsets is not None
    assert near.offsets.tolist() == (all_near.offsets if all_near.offsets is not None else []).tolist()
    assert near.positions.tolist() == all_near.positions.tolist()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_change_no_answer(threads: int) -> None:
    rng = np.random.default_rng(1)
    codes, queries = (rng.integers(0, 256, (n, 8), dtype=np.uint8) for n in (3000, 37))
    for kind in (Scan, MultiIndex):
        one, many = kind(codes, 64, threads=1), kind(codes, 64, threads=threads)
        assert (one.search(queries, 9).positions == many.search(queries, 9).positions).all()
        assert one.within(queries, 20).positions.tolist() == many.within(queries, 20).positions.tolist()


def test_equal_codes_are_stored_once() -> None:
    codes = np.repeat(np.arange(7, dtype=np.uint8)[:, None], 9, axis=0)
    each, starts, documents = distinct(codes)
    assert each[:, 0].tolist() == list(range(7))
    assert starts.tolist() == list(range(0, 64, 9))
    assert documents.tolist() == list(range(63))


def test_bits_that_say_the_same_go_to_different_chunks() -> None:
    bits = np.random.default_rng(0).random((500, 8)) < 0.5
    codes = np.packbits(np.concatenate([bits, bits], axis=1), axis=1, bitorder="little")  # bit j + 8 is bit j
    chunks = spread_bits(codes, 16, 2)
    assert sorted(bit for chunk in chunks for bit in chunk) == list(range(16))
    assert all(len({bit % 8 for bit in chunk}) == 8 for chunk in chunks)


def test_buffers_that_do_not_fit_are_refused() -> None:
    codes, k = np.zeros((5, 8), np.uint8), 2
    into = np.zeros((1, k), np.int64), np.zeros((1, k), np.uint16), np.zeros(1, np.int64)
    for width, many, place in ((8, 9, into[0]), (7, k, into[0]), (0, k, into[0]), (8, k, into[0][:, :1].copy())):
        with pytest.raises(ValueError):
            _kernel.scan(codes, width, codes[:1], many, place, into[1], into[2])
    with pytest.raises(ValueError):
        _kernel.scan_within(codes, 8, codes[:1], 65, np.zeros(1, np.int64))
    with pytest.raises(ValueError):
        _kernel.scan_within(codes, 8, codes[:1], -1, np.zeros(1, np.int64))
    with pytest.raises(ValueError):
        _kernel.fill(codes, 8, np.array([64], np.uint16), np.zeros(3, np.uint32), np.zeros(5, np.uint32), codes.copy())
    with pytest.raises(ValueError):
        _kernel.use("abacus")
