"""Searcher and Neighbors: what every way of searching takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from hashret.codes import Codes
from hashret.errors import UsageError

Numbers = npt.NDArray[np.int64]
Distances = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The answer for m queries, ordered by (distance, position), or where re-ranked by (finer distance, position).

    From `search`, positions and distances are [m, min(k, n)], and ties_at_k [m] says how many documents lie at the last
    distance listed, listed or not. From `within` they are [total], query q's from offsets[q] to offsets[q + 1].
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
    """k itself; UsageError where it is less than 1."""
    if k < 1:
        raise UsageError(f"k must be at least 1, got {k}")
    return k


def check_radius(radius: int) -> int:
    """The radius itself; UsageError where it is negative."""
    if radius < 0:
        raise UsageError(f"radius must be at least 0, got {radius}")
    return radius


def check_threads(threads: int | None) -> int | None:
    """The number of threads itself; UsageError where it is less than 1."""
    if threads is not None and threads < 1:
        raise UsageError(f"threads must be at least 1, got {threads}")
    return threads


def joined(found: list[tuple[bytearray, bytearray]]) -> tuple[Numbers, Distances]:
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
