"""All pairs within a radius: every way finds exactly those of brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashret.codes import hamming
from hashret.errors import DataError, UsageError
from hashret.extensions import extension
from hashret.search import join
from hashret.search.join import Pairs, pairs_between, pairs_within

Found = list[tuple[int, int, int]]


def codes_of(n: int, seed: int = 0) -> np.ndarray:
    """Random codes, half of them with a few bits of another one changed, and some equal."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, (n, 16), np.uint8)
    for row in range(n // 2, n):
        codes[row] = codes[rng.integers(n // 2 or 1)]
        for bit in rng.choice(128, rng.integers(0, 60), replace=False).tolist():
            codes[row, bit // 8] ^= 1 << bit % 8
    return codes


def listed(pairs: Pairs) -> Found:
    return list(zip(pairs.first.tolist(), pairs.second.tolist(), pairs.distances.tolist(), strict=True))


def brute(queries: np.ndarray, codes: np.ndarray, radius: int, within: bool) -> Found:
    distances = hamming(queries, codes)
    found = zip(*np.nonzero(distances <= radius), strict=True)
    return [(int(a), int(b), int(distances[a, b])) for a, b in found if not within or a < b]


@pytest.mark.parametrize("radius", [0, 1, 7, 8, 15, 23, 31, 40, 64, 128])
@pytest.mark.parametrize("n", [0, 1, 2, 63, 64, 65, 1100])
def test_pairs_of_one_set(n: int, radius: int) -> None:
    codes = codes_of(n)
    if radius > 50:
        codes = codes[:130]
    assert listed(pairs_within(codes, radius)) == brute(codes, codes, radius, True)


@pytest.mark.parametrize("radius", [0, 15, 23, 31])
def test_pairs_through_tables(radius: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if extension("_pairs") is None:
        pytest.skip("hashret._pairs is not compiled")
    codes, words = codes_of(1500, 1), join._words(codes_of(1500, 1))
    monkeypatch.setattr(join, "BY_TABLE", 0)
    monkeypatch.setattr(join, "VISIT", 0)
    plan = join._tables(words, radius // 8)
    assert plan is not None
    found = join._sorted(join._by_chunks(words, radius, radius // 8, plan, None, 10**6))
    assert listed(found) == brute(codes, codes, radius, True)


def test_tables_are_used_for_many_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join, "TABLES", 100)
    monkeypatch.setattr(join, "VISIT", 0)
    codes = codes_of(500, 2)
    assert listed(pairs_within(codes, 15)) == brute(codes, codes, 15, True)


@pytest.mark.parametrize("radius", [0, 20, 40])
def test_pairs_of_two_sets(radius: int) -> None:
    queries, codes = codes_of(70, 3), codes_of(1100, 3)
    assert listed(pairs_between(queries, codes, radius)) == brute(queries, codes, radius, False)
    assert listed(pairs_between(queries[:0], codes, radius)) == []


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(0, 128), st.integers(1, 4))
def test_numpy_and_threads_find_the_same(seed: int, n: int, radius: int, threads: int) -> None:
    codes = codes_of(n, seed)
    words = join._words(codes)
    expected = listed(join._sorted(join._by_numpy(words, words, radius, True, 10**6)))
    assert listed(pairs_within(codes, radius, threads)) == expected


def test_too_many_pairs() -> None:
    codes = np.zeros((300, 16), np.uint8)
    with pytest.raises(UsageError, match="more than 1,000 pairs are within the radius"):
        pairs_within(codes, 3, most=1000)
    with pytest.raises(UsageError, match="more than 1,000 pairs are within the radius"):
        pairs_between(codes, codes, 3, most=1000)
    assert len(pairs_within(codes, 3, most=300 * 299 // 2).first) == 300 * 299 // 2


def test_wrong_codes() -> None:
    with pytest.raises(DataError, match=r"codes of 128 bits must be uint8"):
        pairs_within(np.zeros((3, 8), np.uint8), 3)
    with pytest.raises(UsageError, match="radius"):
        pairs_within(np.zeros((3, 16), np.uint8), -1)


@pytest.mark.skipif(extension("_pairs") is None, reason="hashret._pairs is not compiled")
def test_the_kernel_checks_its_arguments() -> None:
    kernel = extension("_pairs")
    assert kernel is not None
    words, halt = np.zeros(4, np.uint64), bytearray(1)
    with pytest.raises(ValueError, match="do not fit"):
        kernel.join(words, words, words, words, 0, 5, True, 3, 10, halt)
    with pytest.raises(ValueError, match="must hold 4"):
        kernel.join(words, words[:3], words, words, 0, 4, True, 3, 10, halt)
    with pytest.raises(InterruptedError):
        kernel.join(words, words, words, words, 0, 4, True, 3, 10, bytearray(b"\1"))
    ones = np.array([0, 1], np.int64)
    with pytest.raises(ValueError, match="pairs be of the sets"):
        kernel.shared(np.zeros(1, np.uint64), ones, ones, ones, np.zeros(2, np.int64))
    terms = np.array([7], np.int32)
    with pytest.raises(ValueError, match="be in the vocabulary"):
        kernel.sketch(np.zeros(1, np.uint64), np.ones(1, np.uint8), terms, ones, np.zeros((1, 16), np.uint8))
    starts = np.zeros(65537, np.int64)
    rows, masks = np.zeros(4, np.uint32), np.zeros(1, np.uint16)
    with pytest.raises(ValueError, match="do not fit"):
        kernel.join_chunk(words, words, rows, starts, masks, 0, 65536, 0, 0, 3, 10, halt)
