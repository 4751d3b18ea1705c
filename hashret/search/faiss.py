"""Flat: the full scan by FAISS's IndexBinaryFlat, ties put in order; and FAISS's file of a segment's codes."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # two OpenMP pools that spin slow each other many times over

import faiss
import numpy as np

from hashret.codes import Codes, check_codes
from hashret.search.base import Neighbors, Numbers, check_k, check_radius

QUERIES = 64  # at once: a radius may hold every code there is


class Flat:
    """Compares each query with every code."""

    name = "flat"
    exact = True

    def __init__(self, codes: Codes, bits: int) -> None:
        self.codes, self.bits = check_codes(codes, bits), bits
        self.index = faiss.IndexBinaryFlat(8 * self.codes.shape[1])
        self.index.add(self.codes)

    def search(self, queries: Codes, k: int) -> Neighbors:
        """The k nearest, ties by position.

        FAISS breaks ties at the edge as it likes, so it only tells the k-th distance here; everything within that is
        then fetched and ordered.
        """
        queries = check_codes(queries, self.bits, "queries")
        k = min(check_k(k), len(self.codes))
        positions = np.zeros((len(queries), k), np.int64)
        distances = np.zeros((len(queries), k), np.uint16)
        ties = np.zeros(len(queries), np.int64)
        if k == 0 or not len(queries):
            return Neighbors(positions, distances, True, ties_at_k=ties)
        edges = self.index.search(queries, k)[0][:, -1]
        for edge in np.unique(edges):
            rows = np.flatnonzero(edges == edge)
            found = self.within(queries[rows], int(edge))
            assert found.offsets is not None
            for row, start, stop in zip(rows, found.offsets[:-1], found.offsets[1:], strict=True):
                positions[row] = found.positions[start : start + k]
                distances[row] = found.distances[start : start + k]
                ties[row] = int((found.distances[start:stop] == edge).sum())
        return Neighbors(positions, distances, True, ties_at_k=ties)

    def within(self, queries: Codes, radius: int) -> Neighbors:
        """All within the radius, inclusive."""
        queries = check_codes(queries, self.bits, "queries")
        radius = min(check_radius(radius), self.bits)  # FAISS holds it in 32 bits
        counts: list[Numbers] = [np.zeros(1, np.int64)]
        positions: list[Numbers] = []
        distances = []
        for start in range(0, len(queries), QUERIES):
            limits, found, where = self.index.range_search(
                queries[start : start + QUERIES], radius + 1
            )  # theirs is strict
            limits = limits.astype(np.int64)
            query = np.repeat(np.arange(len(limits) - 1), np.diff(limits))
            order = np.lexsort((where, found, query))
            counts.append(np.diff(limits))
            positions.append(where[order].astype(np.int64))
            distances.append(found[order].astype(np.uint16))
        return Neighbors(
            np.concatenate(positions) if positions else np.zeros(0, np.int64),
            np.concatenate(distances) if distances else np.zeros(0, np.uint16),
            True,
            offsets=np.cumsum(np.concatenate(counts)),
        )


def write_file(path: Path, codes: Codes, bits: int) -> None:
    """Write codes as the file that `faiss.read_index_binary` reads; row i of the segment is vector i."""
    index = faiss.IndexBinaryFlat(8 * codes.shape[1])
    index.add(codes)
    path.write_bytes(faiss.serialize_index_binary(index).tobytes())  # which raises OSError where the disk is full
