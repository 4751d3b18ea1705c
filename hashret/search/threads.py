"""Threads: queries shared out among the processor's cores; the kernel lets them run at the same time."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LEAST = 16  # queries worth a thread of their own


def spread(work: Callable[[slice], T], queries: int, threads: int | None) -> list[T]:
    """`work` for consecutive slices of so many queries, in order; threads None: all cores, where there are enough."""
    most = threads or min(os.cpu_count() or 1, queries // LEAST)
    share = -(-queries // max(1, most)) or 1
    slices = [slice(start, start + share) for start in range(0, queries, share)]
    if len(slices) < 2:
        return [work(part) for part in slices]
    from concurrent.futures import ThreadPoolExecutor  # which a single question does without

    with ThreadPoolExecutor(len(slices)) as pool:
        return list(pool.map(work, slices))
