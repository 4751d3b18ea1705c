"""Types of the C extension for search. See _kernel.c for the documentation."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Stop = bytearray
"""One byte. A search ends soon after another thread sets it to a nonzero value."""
Tables = tuple[Array, Array, Array, Array, Array, Array, Array, Array]
"""Sorted codes, members, offsets, bits, sizes, masks, starts, positions: the fields of `Tables` in _kernel.c."""

def scan(
    codes: Array, width: int, queries: Array, k: int, positions: Array, distances: Array, ties: Array, stop: Stop, /
) -> None: ...
def scan_within(
    codes: Array, width: int, queries: Array, radius: int, counts: Array, stop: Stop, /
) -> tuple[bytearray, bytearray]: ...
def fill(codes: Array, width: int, bits: Array, offsets: Array, members: Array, sorted: Array, /) -> None: ...
def probe(
    codes: Array,
    tables: Tables,
    width: int,
    queries: Array,
    k: int,
    budget: float,
    per_bucket: float,
    luck: Array,
    positions: Array,
    distances: Array,
    ties: Array,
    stop: Stop,
    /,
) -> None: ...
def probe_within(
    codes: Array,
    tables: Tables,
    width: int,
    queries: Array,
    radius: int,
    budget: float,
    per_bucket: float,
    luck: Array,
    counts: Array,
    stop: Stop,
    /,
) -> tuple[bytearray, bytearray]: ...
def variants() -> list[str]: ...
def use(name: str, /) -> None: ...
