"""Searcher and Neighbors: what every way of searching takes and gives."""

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

    From `search`, positions and distances are [m, min(k, n)], and ties_at_k [m] counts the documents at the last
    distance, listed or not. From `within` they are [total]; those of query q are offsets[q] to offsets[q + 1].

    Example:
        >>> codes = np.array([[0b1111_0000], [0b1111_0001], [0b0000_1111]], np.uint8)
        >>> found = hashret.searcher(codes, bits=8).search(codes[:1], k=2)
        >>> found.positions.tolist(), found.distances.tolist(), found.exact
        ([[0, 1]], [[0, 1]], True)
    """

    positions: Numbers
    distances: Distances
    exact: bool
    searcher: str  # the name of the way it was found
    ties_at_k: Numbers | None = None  # from search
    offsets: Numbers | None = None  # from within
    finer: npt.NDArray[np.float64] | None = None  # the finer distances, shaped as the distances are
    reranked: str | None = None  # by what: "logits" or "vectors"


class Searcher(Protocol):
    """Finds codes near to others among those it was made of."""

    @property
    def name(self) -> str:
        """Its name in `SEARCHERS`."""

    @property
    def summary(self) -> str:
        """What it does, in a line."""

    @property
    def exact(self) -> bool:
        """Whether it finds all there is to be found."""

    def __init__(self, codes: Codes, bits: int, threads: int | None = None) -> None: ...

    def search(self, queries: Codes, k: int) -> Neighbors:
        """The k nearest of each query uint8 [m, bytes]; the answer for k is a prefix of that for any larger k."""

    def within(self, queries: Codes, radius: int) -> Neighbors:
        """All within the radius, inclusive, of each query uint8 [m, bytes]."""


def check_k(k: int) -> int:
    """k as an int; UsageError where it is not a whole number or less than 1. It may exceed the number of codes."""
    return whole_number(k, "k", 1)


def check_radius(radius: int) -> int:
    """The radius as an int; UsageError where it is not a whole number or negative."""
    return whole_number(radius, "radius", 0)


def check_threads(threads: int | None) -> int | None:
    """The number of threads as an int; UsageError where it is not a whole number from 1 to MAX_THREADS."""
    return None if threads is None else whole_number(threads, "threads", 1, MAX_THREADS)


def check_queries(queries: Codes, bits: int) -> Codes:
    """A copy of the queries, which no other thread can change; DataError where they do not fit so many bits."""
    return check_codes(queries, bits, "queries").copy()


def concatenate(found: list[tuple[bytearray, bytearray]]) -> tuple[Numbers, Distances]:
    """Positions and distances as the kernel gives them, part after part."""
    positions = [np.frombuffer(part, np.int64) for part, _ in found]
    distances = [np.frombuffer(part, np.uint16) for _, part in found]
    return np.concatenate([np.zeros(0, np.int64), *positions]), np.concatenate([np.zeros(0, np.uint16), *distances])


def offsets(counts: Numbers) -> Numbers:
    """Where each query's answer begins, and the end: counts [m] -> [m + 1]."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


def room(queries: int, k: int) -> tuple[Numbers, Distances, Numbers]:
    """Positions, distances [queries, k] and ties [queries] to be filled."""
    return np.zeros((queries, k), np.int64), np.zeros((queries, k), np.uint16), np.zeros(queries, np.int64)
