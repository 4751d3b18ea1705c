"""The types of the compiled search; _kernel.c says what each does."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Tables = tuple[Array, Array, Array, Array, Array, Array, Array, Array]
"""Sorted codes, members, offsets, bits, sizes, masks, starts, positions: the fields of `Tables` in _kernel.c."""

def scan(
    codes: Array, width: int, queries: Array, k: int, positions: Array, distances: Array, ties: Array, /
) -> None: ...
def scan_within(
    codes: Array, width: int, queries: Array, radius: int, counts: Array, /
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
    /,
) -> tuple[bytearray, bytearray]: ...
def variants() -> list[str]: ...
def use(name: str, /) -> None: ...
