"""Search with FAISS: a full scan with sorted ties, and approximate binary indexes."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # two OpenMP pools with active waiting slow each other down

import faiss
import numpy as np

from hashret.codes import Codes, check_codes
from hashret.errors import UsageError
from hashret.search.base import (
    Neighbors,
    Numbers,
    check_k,
    check_queries,
    check_radius,
    check_threads,
    offsets,
    room,
)

QUERIES = 64  # queries per range search, each of which may return all codes
COMPARED = 1 << 30  # bytes of codes compared per call; calls ignore signals, so this limits them to under a second
CORES = os.cpu_count() or 1
LINKS = 256  # maximum links per code in HNSW, 8 bytes each; fewer than 2 abort the process
ADDRESS = 32  # maximum bits of a hash
FORMS = ("BFlat", "BIVF<lists>", "BIVF<lists>_HNSW<links>", "BHNSW<links>", "BHash<b>", "BHash<tables>x<b>")
SAMPLE, NEAREST = 100, 10  # number of stored codes, and of their neighbors, to estimate recall

log = logging.getLogger("hashret")


class Flat:
    """A full scan with `faiss.IndexBinaryFlat`. FAISS manages its threads; OMP_NUM_THREADS sets the default."""

    name = "flat"
    summary = "full scan with FAISS, for installations without the C extension"
    exact = True

    def __init__(self, codes: Codes, bits: int, threads: int | None = None) -> None:
        self.codes, self.bits = check_codes(codes, bits), bits
        if (threads := check_threads(threads)) is not None:
            faiss.omp_set_num_threads(min(threads, CORES))  # OpenMP aborts the process if it cannot start a thread
        self.index = faiss.IndexBinaryFlat(8 * self.codes.shape[1])
        self.index.add(self.codes)
        self.at_once = max(1, COMPARED // max(1, self.codes.nbytes))  # queries per call

    def search(self, queries: Codes, k: int) -> Neighbors:
        """Return the k nearest codes of each query; ties are sorted by position.

        FAISS breaks ties at the k-th distance arbitrarily. So its search only determines this distance, and a range
        search then returns all codes within it.
        """
        queries = check_queries(queries, self.bits)
        k = min(check_k(k), len(self.codes))
        positions, distances, ties = room(len(queries), k)
        parts = [np.zeros(0, np.int32)]
        for start in range(0, len(queries) if k else 0, self.at_once):
            with _reported(self.name, len(self.codes)):
                parts.append(self.index.search(queries[start : start + self.at_once], k)[0][:, -1])
        edges = np.concatenate(parts)
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
        """Return all codes within the radius (inclusive) of each query."""
        queries = check_queries(queries, self.bits)
        radius = min(check_radius(radius), self.bits)  # FAISS stores it in 32 bits
        counts: list[Numbers] = [np.zeros(0, np.int64)]
        positions: list[Numbers] = [np.zeros(0, np.int64)]
        distances = [np.zeros(0, np.uint16)]
        step = min(QUERIES, self.at_once)
        for start in range(0, len(queries), step):
            with _reported(self.name, len(self.codes)):
                limits, found, where = self.index.range_search(queries[start : start + step], radius + 1)  # strict
            limits = limits.astype(np.int64)
            query = np.repeat(np.arange(len(limits) - 1), np.diff(limits))
            order = np.lexsort((where, found, query))
            counts.append(np.diff(limits))
            positions.append(where[order].astype(np.int64))
            distances.append(found[order].astype(np.uint16))
        each = offsets(np.concatenate(counts))
        return Neighbors(np.concatenate(positions), np.concatenate(distances), True, self.name, offsets=each)


class Factory:
    """Any binary index of FAISS, created from a factory string. Results are approximate.

    Its recall is estimated on stored codes when it is created. Range searches, and queries with fewer than k results,
    use a full scan.
    """

    name = "faiss"
    summary = "any binary index of FAISS, by factory string; approximate"
    exact = False

    def __init__(self, codes: Codes, bits: int, threads: int | None = None, string: str = "BFlat") -> None:
        check_string(string, len(codes), 8 * check_codes(codes, bits).shape[1])
        self.flat = Flat(codes, bits, threads)
        self.string = string
        with _reported(string, len(codes)):
            self.index = faiss.index_binary_factory(8 * self.flat.codes.shape[1], string)
            if hasattr(self.index, "cp"):  # suppresses FAISS's warning about few codes; recall is logged below
                self.index.cp.min_points_per_centroid = 1
            self.index.train(self.flat.codes)
            self.index.add(self.flat.codes)
        self.recall = self._recall()
        log.info(f"{string} is approximate: recall@{NEAREST} is {self.recall:.1%}, estimated on {SAMPLE} stored codes")

    def _recall(self) -> float:
        """Return the share of results that are as near as the true neighbors, for a sample of stored codes."""
        codes = self.flat.codes[:: max(1, len(self.flat.codes) // SAMPLE)][:SAMPLE]
        found, true = self.search(codes, NEAREST).distances, self.flat.search(codes, NEAREST).distances
        return float((found <= true[:, -1:]).mean()) if true.size else 1.0

    def search(self, queries: Codes, k: int) -> Neighbors:
        """Return the k nearest codes found; ties are sorted by position. ties_at_k counts only codes in the result."""
        queries = check_queries(queries, self.flat.bits)
        k = min(check_k(k), len(self.flat.codes))
        positions, distances, ties = room(len(queries), k)
        if not k or not len(queries):
            return Neighbors(positions, distances, False, self.string, ties_at_k=ties)
        parts = []
        for start in range(0, len(queries), QUERIES):
            with _reported(self.string, len(self.flat.codes)):
                parts.append(self.index.search(queries[start : start + QUERIES], k))
        near, where = (np.concatenate(own) for own in zip(*parts, strict=True))
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
        """Return all codes within the radius (inclusive) of each query."""
        return self.flat.within(queries, radius)


def check_string(string: str, codes: int, bits: int) -> None:
    """Raise UsageError if FAISS does not support the factory string for these codes, or would abort the process."""
    low = {"lists": 1, "links": 2, "tables": 1, "b": 1}
    high = {"lists": codes, "links": LINKS, "tables": bits, "b": min(bits, ADDRESS)}
    for form in FORMS:
        if match := re.fullmatch(re.sub("<(.+?)>", r"(?P<\1>[0-9]{1,9})", form), string):
            numbers = {name: int(digits) for name, digits in match.groupdict().items()}
            inside = all(low[name] <= number <= high[name] for name, number in numbers.items())
            if inside and numbers.get("tables", 1) * numbers.get("b", 1) <= bits:
                return
    ranges = ", ".join(f"{name} {low[name]} to {high[name]}" for name in low)
    raise UsageError(
        f"FAISS cannot create {string[:80]!r} for {codes} codes of {bits} bits; "
        f"allowed: {', '.join(FORMS)}, with {ranges} and tables * b at most {bits}"
    )


@contextmanager
def _reported(string: str, codes: int) -> Iterator[None]:
    """Convert an error of FAISS to UsageError, without the C++ call stack in its message."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0].rsplit("failed: ", 1)[-1]
        raise UsageError(f"FAISS cannot search {codes} codes by {string!r}: {reason}") from None
