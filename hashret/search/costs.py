"""What searching costs, in nanoseconds on one thread; written down from what scripts/bench_search.py measures."""

from __future__ import annotations

BUCKET = 20.0  # a bucket asked for: mostly the wait for memory
BUILD = 60.0  # a code in one chunk's table, while it is built


def code(width: int) -> float:
    """One code of a full scan for many queries: what a search in tables has to beat."""
    return 0.03 + 0.008 * width


def probing_bits(distinct: int, bits: int) -> int:
    """Bits a chunk best has: as many as number the distinct codes, so that a bucket holds about one."""
    return max(1, min(bits, MOST, distinct.bit_length()))


MOST = 24  # bits of a chunk: 2^24 offsets take 64 MiB
