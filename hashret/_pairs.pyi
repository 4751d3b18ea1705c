"""Types of the C extension for near-duplicates. See _pairs.c for the documentation."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Halt = bytearray
"""One byte. A call ends soon after another thread sets it to a nonzero value."""

def sketch(items: Array, weights: Array, terms: Array, offsets: Array, out: Array, /) -> None: ...
def join(
    query_low: Array,
    query_high: Array,
    low: Array,
    high: Array,
    start: int,
    stop: int,
    within: bool,
    radius: int,
    most: int,
    halt: Halt,
    /,
) -> bytearray: ...
def join_chunk(
    low: Array,
    high: Array,
    rows: Array,
    starts: Array,
    masks: Array,
    first: int,
    last: int,
    chunk: int,
    limit: int,
    radius: int,
    most: int,
    halt: Halt,
    /,
) -> bytearray: ...
def shared(items: Array, offsets: Array, first: Array, second: Array, out: Array, /) -> None: ...
