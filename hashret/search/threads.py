"""Threads: queries shared out among the processor's cores; the kernel lets them run at the same time."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import repeat
from typing import TypeVar

T = TypeVar("T")

LEAST = 16  # queries worth a thread of their own
MOST = max(64, 4 * (os.cpu_count() or 1))  # threads started, however many are asked for: more gain nothing


def spread(work: Callable[[slice, bytearray], T], queries: int, threads: int | None) -> list[T]:
    """`work` for consecutive slices of so many queries, in order; threads None: all cores, where there are enough.

    The second argument of `work` is one byte, set to 1 when the others fail or the main thread is interrupted.
    """
    most = min(threads, MOST) if threads else min(os.cpu_count() or 1, queries // LEAST)
    share = -(-queries // max(1, most)) or 1
    slices = [slice(start, start + share) for start in range(0, queries, share)]
    stop = bytearray(1)
    if len(slices) < 2:
        return [work(part, stop) for part in slices]
    from concurrent.futures import ThreadPoolExecutor  # which a single question does without

    with ThreadPoolExecutor(len(slices)) as pool:
        try:
            return list(pool.map(work, slices, repeat(stop)))
        except BaseException:
            stop[0] = 1  # else leaving the block waits until all have searched to the end
            raise
