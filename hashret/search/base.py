"""The interface of all searchers, and their results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hashret.codes import Codes, check_codes
from hashret.errors import whole_number

Numbers = npt.NDArray[np.int64]
Distances = npt.NDArray[np.uint16]

MAX_THREADS = 1024


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The results for m queries, sorted by (distance, position), or by (finer distance, position) if re-ranked.

    `search` returns positions and distances [m, min(k, n)], and ties_at_k [m], the number of all codes at the distance
    of the k-th result. `within` returns positions and distances [total]; those of query q are at
    offsets[q]:offsets[q + 1].

    Example:
        >>> codes = np.array([[0b1111_0000], [0b1111_0001], [0b0000_1111]], np.uint8)
        >>> found = hashret.searcher(codes, bits=8).search(codes[:1], k=2)
        >>> found.positions.tolist(), found.distances.tolist(), found.exact
        ([[0, 1]], [[0, 1]], True)
    """

    positions: Numbers
    distances: Distances
    exact: bool
    searcher: str  # name of the searcher
    ties_at_k: Numbers | None = None  # set by `search`
    offsets: Numbers | None = None  # set by `within`
    finer: npt.NDArray[np.float64] | None = None  # finer distances, in the shape of `distances`
    reranked: str | None = None  # "logits" or "vectors"


class Searcher(Protocol):
    """Finds the nearest of the stored codes by Hamming distance."""

    @property
    def name(self) -> str:
        """Its name in `SEARCHERS`."""

    @property
    def summary(self) -> str:
        """A description of one line."""

    @property
    def exact(self) -> bool:
        """Whether the results are always those of a full scan."""

    def __init__(self, codes: Codes, bits: int, threads: int | None = None) -> None: ...

    def search(self, queries: Codes, k: int) -> Neighbors:
        """Return the k nearest codes of each query, uint8 [m, bytes]. Results for k are a prefix of those for k + 1."""

    def within(self, queries: Codes, radius: int) -> Neighbors:
        """Return all codes within the radius (inclusive) of each query, uint8 [m, bytes]."""


def check_k(k: int) -> int:
    """Return k as an int. Raises UsageError if it is not an integer of at least 1. May exceed the number of codes."""
    return whole_number(k, "k", 1)


def check_radius(radius: int) -> int:
    """Return the radius as an int. Raises UsageError if it is negative or not an integer."""
    return whole_number(radius, "radius", 0)


def check_threads(threads: int | None) -> int | None:
    """Return the number of threads as an int. Raises UsageError if it is not an integer from 1 to MAX_THREADS."""
    return None if threads is None else whole_number(threads, "threads", 1, MAX_THREADS)


def check_queries(queries: Codes, bits: int) -> Codes:
    """Check and copy the queries, uint8 [m, bytes]. Raises DataError if shape or dtype does not match `bits`.

    The copy is safe if another thread changes the original.
    """
    return check_codes(queries, bits, "queries").copy()


def concatenate(found: list[tuple[bytearray, bytearray]]) -> tuple[Numbers, Distances]:
    """Concatenate the buffers of positions and distances that the kernel returns for slices of queries."""
    positions = [np.frombuffer(part, np.int64) for part, _ in found]
    distances = [np.frombuffer(part, np.uint16) for _, part in found]
    return np.concatenate([np.zeros(0, np.int64), *positions]), np.concatenate([np.zeros(0, np.uint16), *distances])


def offsets(counts: Numbers) -> Numbers:
    """Convert the number of results of each query, [m], to offsets, [m + 1]."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


def room(queries: int, k: int) -> tuple[Numbers, Distances, Numbers]:
    """Allocate positions and distances [queries, k], and ties [queries]."""
    return np.zeros((queries, k), np.int64), np.zeros((queries, k), np.uint16), np.zeros(queries, np.int64)
