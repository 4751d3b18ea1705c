"""The compiled kernel: all variants return the same, for odd widths, addresses and numbers of codes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

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
    """Each variant that this processor supports."""
    _kernel.use(request.param)
    yield
    _kernel.use(_kernel.variants()[0])


def misaligned(rows: np.ndarray) -> np.ndarray:
    """Return the same rows at an unaligned address."""
    whole = np.empty(rows.size + 1, np.uint8)
    whole[1:] = rows.reshape(-1)
    return whole[1:].reshape(rows.shape)


@st.composite
def cases(draw: st.DrawFn, most: int = 70) -> tuple[np.ndarray, np.ndarray]:
    """Codes and queries of one width, many of them equal or near each other."""
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
    assert found.offsets is not None
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
    """A searcher without a limit on the number of buckets."""
    if isinstance(made, Buckets):
        made.costs = (np.inf, 1.0)
    return made


def test_buckets_that_take_too_long_are_given_up_for_the_scan() -> None:
    codes = np.random.default_rng(0).integers(0, 256, (5000, 8), dtype=np.uint8)
    queries = np.concatenate([codes[:20], ~codes[:20]])
    made = MultiIndex(codes, 64, threads=1)
    made.costs = (300.0, 1.0)  # enough for the buckets of the query and those one bit away
    found, wanted = made.search(queries, 1), Scan(codes, 64).search(queries, 1)
    assert 0 < made.luck[0] < 1
    assert made.luck[1] == 40
    assert (found.positions == wanted.positions).all()
    near, all_near = made.within(queries, 3), Scan(codes, 64).within(queries, 3)
    assert near.offsets is not None
    assert all_near.offsets is not None
    assert near.offsets.tolist() == all_near.offsets.tolist()
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
    codes, k, stop = np.zeros((5, 8), np.uint8), 2, bytearray(1)
    into = np.zeros((1, k), np.int64), np.zeros((1, k), np.uint16), np.zeros(1, np.int64)
    odd = misaligned(into[0].view(np.uint8)).reshape(-1)
    for width, many, place in (
        (8, 9, into[0]),
        (7, k, into[0]),
        (0, k, into[0]),
        (8, k, into[0][:, :1].copy()),
        (8, k, odd),
    ):
        with pytest.raises(ValueError):
            _kernel.scan(codes, width, codes[:1], many, place, into[1], into[2], stop)
    with pytest.raises(ValueError):
        _kernel.scan(codes, 8, codes[:1], k, *into, bytearray())
    for radius in (65, -1):
        with pytest.raises(ValueError):
            _kernel.scan_within(codes, 8, codes[:1], radius, np.zeros(1, np.int64), stop)
    with pytest.raises(ValueError):
        _kernel.fill(codes, 8, np.array([64], np.uint16), np.zeros(3, np.uint32), np.zeros(5, np.uint32), codes.copy())
    with pytest.raises(ValueError):
        _kernel.use("abacus")


ARRAYS = ("codes", "members", "offsets", "bits", "sizes", "masks", "starts", "positions")


@pytest.mark.parametrize("value", [0, 1, 31, 2**16 - 1, 2**31 - 1, 2**32 - 1, -1, 2**62])
@pytest.mark.parametrize("array", ARRAYS)
def test_tables_of_nonsense_are_refused_or_give_positions_that_exist(array: str, value: int) -> None:
    codes = np.random.default_rng(2).integers(0, 4, (2000, 4), dtype=np.uint8)
    made = MultiIndex(codes, 32, threads=1)
    unhurried(made)
    of = made.tables.arrays[ARRAYS.index(array)]
    of.reshape(-1)[::3] = np.array(value).astype(of.dtype)
    try:
        found = made.search(codes[:20], 10), made.within(codes[:20], 3)
    except ValueError:
        refused = True
    else:
        refused = False
        assert all(((each.positions >= 0) & (each.positions < len(codes))).all() for each in found)
        assert found[0].positions.shape == (20, 10)
    assert not refused or array in ("bits", "sizes")


@contextmanager
def scribbled(*arrays: np.ndarray) -> Iterator[None]:
    """Another thread repeatedly overwrites the arrays with noise inside the block."""
    done, rng = threading.Event(), np.random.default_rng(3)
    noise = [rng.integers(0, 256, array.nbytes, dtype=np.uint8).view(array.dtype) for array in arrays]

    def scribble() -> None:
        while not done.is_set():
            for array, own in zip(arrays, noise, strict=True):
                array.reshape(-1)[:] = own
                own[:] = np.roll(own, 1)

    writer = threading.Thread(target=scribble)
    writer.start()
    try:
        yield
    finally:
        done.set()
        writer.join()


@pytest.mark.parametrize("kind", ["scan", "multi_index", "lookup"])
def test_what_other_threads_write_meanwhile_leads_to_no_other_memory(kind: str) -> None:
    rng = np.random.default_rng(4)
    codes, queries = rng.integers(0, 256, (20_000, 2), dtype=np.uint8), rng.integers(0, 256, (40, 2), dtype=np.uint8)
    made = unhurried(KINDS[kind](codes, 16, threads=2))
    shared = [codes, queries]
    if isinstance(made, Buckets):
        shared += [
            array for name, array in zip(ARRAYS, made.tables.arrays, strict=True) if name not in ("bits", "sizes")
        ]
    end = time.monotonic() + 0.4
    with scribbled(*shared):
        while time.monotonic() < end:
            found, near = made.search(queries, 100), made.within(queries, 4)
            assert ((found.positions >= 0) & (found.positions < len(codes))).all()
            assert ((near.positions >= 0) & (near.positions < len(codes))).all()


def test_tables_filled_while_codes_and_tables_change_stay_in_their_memory() -> None:
    codes = np.random.default_rng(5).integers(0, 256, (20_000, 2), dtype=np.uint8)
    bits, offsets = np.arange(12, dtype=np.uint16), np.zeros(2**12 + 1, np.uint32)
    members, ordered = np.zeros(len(codes), np.uint32), np.zeros_like(codes)
    end = time.monotonic() + 0.2
    with scribbled(codes, offsets, members):
        while time.monotonic() < end:
            _kernel.fill(codes, 2, bits, offsets, members, ordered)
    assert ordered.shape == codes.shape


def test_a_search_ends_soon_after_the_stop_byte_is_set() -> None:
    codes, stop = np.zeros((200_000, 8), np.uint8), bytearray(1)
    queries, made = np.full((100_000, 8), 255, np.uint8), MultiIndex(codes, 64)
    counts, tables = np.zeros(len(queries), np.int64), made.tables.arrays
    for search, arguments in (
        (_kernel.scan_within, (codes, 8, queries, 63, counts)),
        (_kernel.probe_within, (codes, tables, 8, queries, 63, np.inf, 1.0, made.luck, counts)),
    ):
        timer = threading.Timer(0.1, stop.__setitem__, (0, 1))
        timer.start()
        start = time.monotonic()
        with pytest.raises(InterruptedError):
            search(*arguments, stop)
        assert time.monotonic() - start < 1.1
        stop[0] = 0
