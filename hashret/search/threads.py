"""Distribute queries over threads. The kernel releases the GIL."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import repeat
from typing import TypeVar

T = TypeVar("T")

LEAST = 16  # minimum queries per thread
MOST = max(64, 4 * (os.cpu_count() or 1))  # maximum threads; more do not help


def spread(work: Callable[[slice, bytearray], T], queries: int, threads: int | None) -> list[T]:
    """Call `work` for consecutive slices of the queries, in threads, and return the results in order.

    By default, uses one thread per 16 queries, up to the number of cores. The second argument of `work` is one byte,
    set to 1 when another thread fails or the main thread is interrupted.
    """
    most = min(threads, MOST) if threads else min(os.cpu_count() or 1, queries // LEAST)
    share = -(-queries // max(1, most)) or 1
    slices = [slice(start, start + share) for start in range(0, queries, share)]
    stop = bytearray(1)
    if len(slices) < 2:
        return [work(part, stop) for part in slices]
    from concurrent.futures import ThreadPoolExecutor  # not needed for a single query

    with ThreadPoolExecutor(len(slices)) as pool:
        try:
            return list(pool.map(work, slices, repeat(stop)))
        except BaseException:
            stop[0] = 1  # otherwise leaving the block waits for all searches to finish
            raise
