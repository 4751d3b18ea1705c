"""FAISS: its full scan, ties put in order; its other binary indexes, which are not exact; its file of codes."""

from __future__ import annotations

import logging
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # two OpenMP pools that spin slow each other many times over

import faiss
import numpy as np

from hashret.codes import Codes, check_codes
from hashret.errors import UsageError
from hashret.search.base import Neighbors, Numbers, check_k, check_radius, check_threads, offsets, room

QUERIES = 64  # at once: a radius may hold every code there is
SAMPLE, NEAREST = 100, 10  # stored codes asked for so many nearest, to tell how much an index misses

log = logging.getLogger("hashret")


class Flat:
    """Compares each query with every code. Threads are FAISS's own: OMP_NUM_THREADS says how many."""

    name = "flat"
    summary = "the full scan of FAISS; where the compiled kernel is lacking"
    exact = True

    def __init__(self, codes: Codes, bits: int, threads: int | None = None) -> None:
        self.codes, self.bits = check_codes(codes, bits), bits
        if (threads := check_threads(threads)) is not None:
            faiss.omp_set_num_threads(threads)
        self.index = faiss.IndexBinaryFlat(8 * self.codes.shape[1])
        self.index.add(self.codes)

    def search(self, queries: Codes, k: int) -> Neighbors:
        """The k nearest, ties by position.

        FAISS breaks ties at the edge as it likes, so it only tells the k-th distance here; everything within that is
        then fetched and ordered.
        """
        queries = check_codes(queries, self.bits, "queries")
        k = min(check_k(k), len(self.codes))
        positions, distances, ties = room(len(queries), k)
        edges = self.index.search(queries, k)[0][:, -1] if k and len(queries) else np.zeros(0, np.int64)
        for edge in np.unique(edges):
            rows = np.flatnonzero(edges == edge)
            found = self.within(queries[rows], int(edge))
            assert found.offsets is not None
            for row, start, stop in zip(rows, found.offsets[:-1], found.offsets[1:], strict=True):
                positions[row] = found.positions[start : start + k]
                distances[row] = found.distances[start : start + k]
                ties[row] = int((found.distances[start:stop] == edge).sum())
        return Neighbors(positions, distances, True, self.name, ties_at_k=ties)

    def within(self, queries: Codes, radius: int) -> Neighbors:
        """All within the radius, inclusive."""
        queries = check_codes(queries, self.bits, "queries")
        radius = min(check_radius(radius), self.bits)  # FAISS holds it in 32 bits
        counts: list[Numbers] = [np.zeros(0, np.int64)]
        positions: list[Numbers] = [np.zeros(0, np.int64)]
        distances = [np.zeros(0, np.uint16)]
        for start in range(0, len(queries), QUERIES):
            some = queries[start : start + QUERIES]
            limits, found, where = self.index.range_search(some, radius + 1)  # theirs is strict
            limits = limits.astype(np.int64)
            query = np.repeat(np.arange(len(limits) - 1), np.diff(limits))
            order = np.lexsort((where, found, query))
            counts.append(np.diff(limits))
            positions.append(where[order].astype(np.int64))
            distances.append(found[order].astype(np.uint16))
        each = offsets(np.concatenate(counts))
        return Neighbors(np.concatenate(positions), np.concatenate(distances), True, self.name, offsets=each)


class Factory:
    """Any binary index of FAISS, by the string that its factory takes: fast or small, and not exact.

    How much it misses is measured on its own codes when it is made. A radius, and a query that it finds too few for,
    get the full scan.
    """

    name = "faiss"
    summary = "any binary index of FAISS, by its factory's string; not exact"
    exact = False

    def __init__(self, codes: Codes, bits: int, threads: int | None = None, string: str = "BFlat") -> None:
        self.flat = Flat(codes, bits, threads)
        self.string = string
        try:
            self.index = faiss.index_binary_factory(8 * self.flat.codes.shape[1], string)
            self.index.train(self.flat.codes)
            self.index.add(self.flat.codes)
        except RuntimeError as error:
            reason = str(error).splitlines()[0].rsplit("failed: ", 1)[-1]
            raise UsageError(f"FAISS cannot make {string!r} of {len(codes)} codes: {reason}") from None
        self.recall = self._recall()
        log.info(
            f"{string} is not exact: of the {NEAREST} nearest of {SAMPLE} of its own codes it finds {self.recall:.1%}"
        )

    def _recall(self) -> float:
        """Share of the nearest that lie as near as the true ones, of codes spread over the corpus."""
        codes = self.flat.codes[:: max(1, len(self.flat.codes) // SAMPLE)][:SAMPLE]
        found, true = self.search(codes, NEAREST).distances, self.flat.search(codes, NEAREST).distances
        return float((found <= true[:, -1:]).mean()) if true.size else 1.0

    def search(self, queries: Codes, k: int) -> Neighbors:
        """The nearest that it finds, ties by position; ties_at_k counts those among them."""
        queries = check_codes(queries, self.flat.bits, "queries")
        k = min(check_k(k), len(self.flat.codes))
        positions, distances, ties = room(len(queries), k)
        if not k or not len(queries):
            return Neighbors(positions, distances, False, self.string, ties_at_k=ties)
        near, where = self.index.search(queries, k)
        order = np.lexsort((where, near), axis=1)
        positions[:] = np.take_along_axis(where, order, 1)
        distances[:] = np.take_along_axis(near, order, 1).clip(0, np.iinfo(np.uint16).max)
        ties[:] = (distances == distances[:, -1:]).sum(axis=1)
        if len(short := np.flatnonzero((where < 0).any(axis=1))):
            full = self.flat.search(queries[short], k)
            assert full.ties_at_k is not None
            positions[short], distances[short], ties[short] = full.positions, full.distances, full.ties_at_k
        return Neighbors(positions, distances, False, self.string, ties_at_k=ties)

    def within(self, queries: Codes, radius: int) -> Neighbors:
        """All within the radius, inclusive."""
        return self.flat.within(queries, radius)


def file_image(codes: Codes, bits: int) -> bytes:
    """The file that `faiss.read_index_binary` reads; row i of the segment is vector i."""
    index = faiss.IndexBinaryFlat(8 * codes.shape[1])
    index.add(codes)
    return bytes(faiss.serialize_index_binary(index).tobytes())
