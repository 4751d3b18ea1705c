"""What searching costs, in nanoseconds on one thread, as scripts/fit_costs.py measured it; and what follows."""

from __future__ import annotations

import os

from hashret.codes import width

CODE = 0.01  # a code of a full scan for many queries
BYTE = 0.0099  # and each of its bytes
BUCKET = 30.1  # a bucket asked for: mostly the wait for memory
ADDRESS = 23.4  # the same where one table is all there is: much of it stays in the cache
BUILD = 47.9  # a code in one chunk's table, while it is built
MOST = 24  # bits of a chunk: 2^24 offsets take 64 MiB
LOOPS = (4, 8, 16, 32, 64)  # bytes of a code that the kernel has a loop of its own for
MEMORY = 0.25  # of the machine's, what tables may take unasked


def code(bytes_each: int) -> float:
    """One code of a full scan for many queries: what a search in tables has to beat."""
    if bytes_each in LOOPS:
        return CODE + BYTE * bytes_each
    return 0.4 * (bytes_each // 8) + 0.35 * (bytes_each % 8)


def chunks(documents: int, bits: int) -> int:
    """How many tables: each of so many bits that a bucket holds a line or two of the processor's cache."""
    size = max(1, min(bits, MOST, documents.bit_length() - 4))
    return max(1, round(bits / size), -(-bits // MOST))


def building(documents: int, bits: int) -> float:
    """Building the tables of a multi-index."""
    return BUILD * documents * chunks(documents, bits)


def tables_fit(documents: int, bits: int) -> bool:
    """Whether the tables of a multi-index would leave room for others."""
    bytes_needed = documents * (chunks(documents, bits) * (width(bits) + 4) + 16)
    return bytes_needed < MEMORY * _machine_memory()


def _machine_memory() -> int:
    """Bytes of memory that the machine has."""
    if hasattr(os, "sysconf"):  # not on Windows; answers before psutil is imported
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    import psutil

    return int(psutil.virtual_memory().total)
