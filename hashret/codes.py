"""Codes: rows of bits packed into bytes, and Hamming distances between them.

A code of N bits takes ceil(N / 8) bytes. Bit j is bit j % 8 of byte j // 8; unused bits of the last byte are zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hashret.errors import DataError, whole_number

Codes = npt.NDArray[np.uint8]  # [n, ceil(bits / 8)]
Counts = npt.NDArray[np.uint16]

MAX_BITS = 4096


def check_bits(bits: int) -> int:
    """Return `bits` as an int. Raises UsageError if it is not a whole number from 1 to MAX_BITS."""
    return whole_number(bits, "bits", 1, MAX_BITS)


def width(bits: int) -> int:
    """Return the number of bytes of a code of `bits` bits."""
    return (check_bits(bits) + 7) // 8


def pack(bits: npt.NDArray[np.bool_]) -> Codes:
    """bool [n, bits] -> codes uint8 [n, ceil(bits / 8)]."""
    return np.packbits(bits, axis=1, bitorder="little")


def unpack(codes: Codes, bits: int) -> npt.NDArray[np.bool_]:
    """Codes uint8 [n, ceil(bits / 8)] -> bool [n, bits]."""
    return np.unpackbits(codes, axis=1, count=bits, bitorder="little").astype(bool)


def check_codes(codes: npt.NDArray[Any], bits: int, what: str = "codes") -> Codes:
    """Return contiguous codes. Raises DataError if type, shape or padding do not fit `bits`."""
    codes = np.ascontiguousarray(codes)
    if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != width(bits):
        raise DataError(
            f"{what} of {bits} bits must be uint8 [n, {width(bits)}], got {codes.dtype} {list(codes.shape)}; "
            "hashret.codes.pack makes them"
        )
    if bits % 8 and len(codes) and int(codes[:, -1].max()) >> (bits % 8):
        raise DataError(f"{what} of {bits} bits must have zeros after bit {bits - 1}; hashret.codes.pack makes them")
    return codes


def words(codes: Codes) -> npt.NDArray[np.uint64]:
    """Return codes as uint64 [n, ceil(bytes / 8)], padded with zero bytes, to count bits in machine words."""
    padded = np.zeros((len(codes), -(-codes.shape[1] // 8) * 8), np.uint8)
    padded[:, : codes.shape[1]] = codes
    return padded.view(np.uint64)


def hamming(a: Codes, b: Codes) -> Counts:
    """Return the number of differing bits between each row of a [m, w] and each row of b [n, w], uint16 [m, n]."""
    left, right = words(a), words(b)
    distances = np.zeros((len(a), len(b)), np.uint16)
    for column in range(left.shape[1]):
        distances += np.bitwise_count(left[:, column, None] ^ right[None, :, column])
    return distances


def group(codes: Codes) -> tuple[Codes, npt.NDArray[np.int64]]:
    """Return the distinct codes [g, w], sorted, and the group number of each row, int64 [n]."""
    unique, inverse = np.unique(codes, axis=0, return_inverse=True)
    return unique, inverse.reshape(-1).astype(np.int64)
