"""Lookup tables of the sums used in the closed forms of measures."""

from __future__ import annotations

from functools import lru_cache
from math import lgamma

import numpy as np
import numpy.typing as npt

from hashret.evaluation.ties import Ints

Doubles = npt.NDArray[np.float64]


def harmonic(n: Ints) -> Doubles:
    """Return 1 + 1/2 + ... + 1/n for each n."""
    return np.asarray(_harmonic_table(_size(n))[n])


def discounts(n: Ints) -> Doubles:
    """Return 1/log2(2) + 1/log2(3) + ... + 1/log2(n + 1) for each n."""
    return np.asarray(_discount_table(_size(n))[n])


def _size(n: Ints) -> int:
    """Return a power of two above all n, so that few tables are computed."""
    return 1 << int(n.max(initial=1)).bit_length()


@lru_cache(maxsize=2)
def _harmonic_table(size: int) -> Doubles:
    return np.append(0.0, np.cumsum(1 / np.arange(1, size)))


@lru_cache(maxsize=2)
def _discount_table(size: int) -> Doubles:
    return np.append(0.0, np.cumsum(1 / np.log2(np.arange(2, size + 1))))


def log_factorials(n: int) -> Doubles:
    """Return log 0!, log 1!, ..., log n!, and possibly more."""
    return _log_factorial_table(1 << n.bit_length())


@lru_cache(maxsize=2)
def _log_factorial_table(size: int) -> Doubles:
    return np.array([lgamma(number + 1) for number in range(size)])
