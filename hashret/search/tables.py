"""Hash tables: the distinct codes in buckets, one table per chunk of bits, and the documents of each code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

import hashret._kernel as _kernel
from hashret.codes import Codes, check_codes, pack, unpack, words
from hashret.search import costs
from hashret.search.base import Neighbors, Numbers, check_k, check_radius, check_threads, concatenate, offsets, room
from hashret.search.threads import spread

Chunk = Sequence[int]
"""The bits that address one table."""

WASTED = 0.3  # share of the cost of a full scan after which a search in tables is abandoned


def distinct(codes: Codes) -> tuple[Codes, Numbers, Numbers]:
    """Return the g distinct codes [g, bytes], the offsets of their documents [g + 1], and the documents [n]."""
    keys = words(codes)
    order = np.lexsort(keys.T) if keys.shape[1] > 1 else np.argsort(keys[:, 0], kind="stable")
    ordered = keys[order]
    first = np.ones(len(codes), bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    starts = np.append(np.flatnonzero(first), len(codes))
    return codes[order[starts[:-1]]], starts, order.astype(np.int64)


@dataclass(frozen=True)
class Tables:
    """The arrays of the struct `Tables` in _kernel.c, in its order."""

    arrays: _kernel.Tables

    @classmethod
    def build(cls, codes: Codes, chunks: Sequence[Chunk]) -> Tables:
        """Build one table per chunk, each with all distinct codes."""
        each, starts, positions = distinct(codes)
        n, width = each.shape
        sizes = np.array([len(chunk) for chunk in chunks], np.uint16)
        ends = np.cumsum([(1 << len(chunk)) + 1 for chunk in chunks])
        sorted_codes = np.empty((len(chunks), n, width), np.uint8)
        members, buckets = np.empty((len(chunks), n), np.uint32), np.empty(int(ends[-1]), np.uint32)
        bits = [np.array(chunk, np.uint16) for chunk in chunks]
        masks = pack(np.array([np.isin(np.arange(8 * width), chunk) for chunk in chunks]))
        for i, stop in enumerate(ends.tolist()):
            own = buckets[stop - (1 << len(bits[i])) - 1 : stop]
            _kernel.fill(each, width, bits[i], own, members[i], sorted_codes[i])
        return cls((sorted_codes, members, buckets, np.concatenate(bits), sizes, masks, starts, positions))


class Buckets(ABC):
    """Base class for search in tables. Queries that would take longer than a full scan use a full scan."""

    name = "buckets"
    summary = "tables of codes"
    exact = True
    patience = WASTED  # share of a full scan
    bucket = costs.BUCKET  # cost per bucket

    def __init__(self, codes: Codes, bits: int, threads: int | None = None) -> None:
        self.codes, self.bits, self.threads = check_codes(codes, bits), bits, check_threads(threads)
        self.width = self.codes.shape[1]
        self.tables = Tables.build(self.codes, self.chunks())
        self.costs = (self.patience * len(codes), self.bucket / costs.code(self.width))
        self.luck = np.array([1.0, 0.0])  # set by the kernel: recent share of queries answered in tables; all queries

    @abstractmethod
    def chunks(self) -> list[Chunk]:
        """Return the bits that address each table."""

    def search(self, queries: Codes, k: int) -> Neighbors:
        """Return the k nearest codes of each query; ties are sorted by position."""
        queries = check_codes(queries, self.bits, "queries")
        k = min(check_k(k), len(self.codes))
        positions, distances, ties = room(len(queries), k)

        def some(part: slice, stop: bytearray) -> None:
            chunk, into = queries[part], (positions[part], distances[part], ties[part])
            _kernel.probe(self.codes, self.tables.arrays, self.width, chunk, k, *self.costs, self.luck, *into, stop)

        if k:
            spread(some, len(queries), self.threads)
        return Neighbors(positions, distances, True, self.name, ties_at_k=ties)

    def within(self, queries: Codes, radius: int) -> Neighbors:
        """Return all codes within the radius (inclusive) of each query."""
        queries = check_codes(queries, self.bits, "queries")
        radius = min(check_radius(radius), self.bits)
        counts = np.zeros(len(queries), np.int64)

        def some(part: slice, stop: bytearray) -> tuple[bytearray, bytearray]:
            chunk, into, tables = queries[part], (self.luck, counts[part]), self.tables.arrays
            return _kernel.probe_within(self.codes, tables, self.width, chunk, radius, *self.costs, *into, stop)

        found = spread(some, len(queries), self.threads)
        return Neighbors(*concatenate(found), True, self.name, offsets=offsets(counts))


def spread_bits(codes: Codes, bits: int, chunks: int) -> list[Chunk]:
    """Distribute all bits over chunks, so that correlated bits are in different chunks.

    Correlated bits in one chunk would give few, large buckets.
    """
    signs = 2.0 * unpack(codes[:: max(1, len(codes) // 10_000)], bits).astype(np.float32) - 1
    signs -= signs.sum(axis=0) / max(1, len(signs))
    together = np.abs(signs.T @ signs) / max(1, len(signs))
    dealt: list[list[int]] = [[] for _ in range(chunks)]
    for bit in np.argsort(-np.diag(together), kind="stable").tolist():
        least = min(len(chunk) for chunk in dealt)
        free = [chunk for chunk in dealt if len(chunk) == least]
        min(free, key=lambda chunk: float(together[bit, chunk].sum())).append(bit)
    return [sorted(chunk) for chunk in dealt]
