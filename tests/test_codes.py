"""Codes: packed bits and Hamming distances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashret.codes import MAX_BITS, check_bits, check_codes, group, hamming, pack, unpack, width, words
from hashret.errors import DataError, UsageError

sizes = st.one_of(st.integers(1, 130), st.sampled_from([255, 256, 1000, 4095, 4096]))


def random_bits(seed: int, count: int, bits: int) -> np.ndarray:
    return np.random.default_rng(seed).random((count, bits)) < 0.5


@given(sizes, st.integers(0, 5), st.integers(0, 1000))
def test_bits_survive_packing(bits: int, count: int, seed: int) -> None:
    wanted = random_bits(seed, count, bits)
    codes = pack(wanted)
    assert codes.dtype == np.uint8
    assert codes.shape == (count, width(bits))
    assert (unpack(codes, bits) == wanted).all()
    assert check_codes(codes, bits) is not None


def test_bit_j_is_bit_j_mod_8_of_byte_j_div_8() -> None:
    bits = np.zeros((1, 20), bool)
    bits[0, [0, 9, 19]] = True
    assert pack(bits).tolist() == [[1, 2, 8]]


@given(sizes, st.integers(0, 4), st.integers(0, 4), st.integers(0, 1000))
def test_hamming_counts_the_bits_that_differ(bits: int, m: int, n: int, seed: int) -> None:
    a, b = random_bits(seed, m, bits), random_bits(seed + 1, n, bits)
    wanted = [[sum(x != y for x, y in zip(left, right, strict=True)) for right in b.tolist()] for left in a.tolist()]
    found = hamming(pack(a), pack(b))
    assert found.shape == (m, n)
    assert found.tolist() == wanted


def test_the_largest_distance_is_counted() -> None:
    ones = pack(np.ones((1, MAX_BITS), bool))
    assert hamming(ones, np.zeros_like(ones)).tolist() == [[MAX_BITS]]


@given(st.integers(1, 40), st.integers(0, 5), st.integers(0, 1000))
def test_words_are_the_bytes_padded_with_zeros(across: int, count: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 256, (count, across), np.uint8)
    found = words(codes)
    assert found.shape == (count, -(-across // 8))
    as_bytes = found.view(np.uint8)
    assert (as_bytes[:, :across] == codes).all()
    assert not as_bytes[:, across:].any()


@given(st.integers(1, 3), st.integers(0, 40), st.integers(0, 1000))
def test_equal_codes_and_only_those_share_a_group(across: int, count: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 3, (count, across), np.uint8)
    unique, number = group(codes)
    assert number.shape == (count,)
    assert (unique[number] == codes).all()
    assert len(unique) == len({row.tobytes() for row in codes})


@pytest.mark.parametrize("bits", [0, -1, MAX_BITS + 1])
def test_a_code_has_1_to_4096_bits(bits: int) -> None:
    with pytest.raises(UsageError, match=f"1 to 4096, got {bits}"):
        check_bits(bits)


@pytest.mark.parametrize(
    "codes",
    [
        np.zeros((2, 2), np.int64),
        np.zeros((2, 3), np.uint8),
        np.zeros(2, np.uint8),
        np.zeros((1, 2, 2), np.uint8),
        np.zeros((2, 2), bool),
    ],
)
def test_codes_of_another_type_or_shape_are_refused(codes: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"must be uint8 \[n, 2\]"):
        check_codes(codes, 13)


def test_codes_with_bits_after_the_last_are_refused() -> None:
    codes = np.zeros((3, 2), np.uint8)
    codes[1, 1] = 1 << 5
    with pytest.raises(DataError, match="zeros after bit 12"):
        check_codes(codes, 13)
    assert check_codes(codes, 14) is not None


def test_checked_codes_are_contiguous_and_the_same() -> None:
    codes = np.random.default_rng(0).integers(0, 256, (6, 8), np.uint8)[::2, ::2]
    checked = check_codes(codes, 32)
    assert checked.flags["C_CONTIGUOUS"]
    assert (checked == codes).all()
