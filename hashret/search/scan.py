"""Full scan: compare each query with every code, at memory bandwidth."""

from __future__ import annotations

import numpy as np

import hashret._kernel as _kernel
from hashret.codes import Codes, check_codes
from hashret.search.base import Neighbors, check_k, check_radius, check_threads, concatenate, offsets, room
from hashret.search.threads import spread


class Scan:
    """A full scan that reads all codes once for many queries (see _kernel.c). Codes are not copied, so can be mmaps."""

    name = "scan"
    summary = "full scan at memory bandwidth"
    exact = True

    def __init__(self, codes: Codes, bits: int, threads: int | None = None) -> None:
        self.codes, self.bits, self.threads = check_codes(codes, bits), bits, check_threads(threads)

    def search(self, queries: Codes, k: int) -> Neighbors:
        """Return the k nearest codes of each query; ties are sorted by position."""
        queries = check_codes(queries, self.bits, "queries")
        k = min(check_k(k), len(self.codes))
        positions, distances, ties = room(len(queries), k)

        def some(part: slice, stop: bytearray) -> None:
            into = positions[part], distances[part], ties[part]
            _kernel.scan(self.codes, self.codes.shape[1], queries[part], k, *into, stop)

        if k:
            spread(some, len(queries), self.threads)
        return Neighbors(positions, distances, True, self.name, ties_at_k=ties)

    def within(self, queries: Codes, radius: int) -> Neighbors:
        """Return all codes within the radius (inclusive) of each query."""
        queries = check_codes(queries, self.bits, "queries")
        radius = min(check_radius(radius), self.bits)
        counts = np.zeros(len(queries), np.int64)

        def some(part: slice, stop: bytearray) -> tuple[bytearray, bytearray]:
            return _kernel.scan_within(self.codes, self.codes.shape[1], queries[part], radius, counts[part], stop)

        found = spread(some, len(queries), self.threads)
        return Neighbors(*concatenate(found), True, self.name, offsets=offsets(counts))
