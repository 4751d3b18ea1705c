"""Cost model of search: nanoseconds on one thread, measured by scripts/fit_costs.py."""

from __future__ import annotations

import os

from hashret.codes import width

CODE = 0.01  # per code of a full scan for many queries
BYTE = 0.0099  # per byte of a code, in addition to CODE
BUCKET = 30.1  # per bucket probed, mostly memory latency
ADDRESS = 23.4  # per bucket if there is only one table, much of which stays in the cache
BUILD = 47.9  # per code and table, while tables are built
MOST = 24  # maximum bits per chunk: 2^24 offsets need 64 MiB
LOOPS = (4, 8, 16, 32, 64)  # code lengths in bytes with a specialized loop in the kernel
MEMORY = 0.25  # maximum share of the machine's memory for tables


def code(bytes_each: int) -> float:
    """Return the cost of one code in a full scan for many queries."""
    if bytes_each in LOOPS:
        return CODE + BYTE * bytes_each
    return 0.4 * (bytes_each // 8) + 0.35 * (bytes_each % 8)


def chunks(documents: int, bits: int) -> int:
    """Return the number of tables, chosen so that a bucket fills one or two cache lines."""
    size = max(1, min(bits, MOST, documents.bit_length() - 4))
    return max(1, round(bits / size), -(-bits // MOST))


def building(documents: int, bits: int) -> float:
    """Return the cost of building the tables of a multi-index."""
    return BUILD * documents * chunks(documents, bits)


def tables_fit(documents: int, bits: int) -> bool:
    """Whether the tables of a multi-index fit in the allowed share of memory."""
    bytes_needed = documents * (chunks(documents, bits) * (width(bits) + 4) + 16)
    return bytes_needed < MEMORY * _machine_memory()


def _machine_memory() -> int:
    """Return the memory of the machine in bytes."""
    if hasattr(os, "sysconf"):  # missing on Windows; faster than importing psutil
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    import psutil

    return int(psutil.virtual_memory().total)
