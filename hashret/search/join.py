"""All pairs of 128-bit codes within a radius, exact: of one set, or of two.

A set is compared pair by pair, or through tables of its chunks of 16 bits: two codes within the radius have a chunk
that differs in at most an eighth of it (Norouzi, Punjani and Fleet 2012). What is cheaper is counted before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations, repeat
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from hashret.codes import Codes, check_codes
from hashret.errors import UsageError
from hashret.extensions import extension
from hashret.progress import report
from hashret.search.base import Distances, Numbers, check_radius, check_threads

T = TypeVar("T")
Words = npt.NDArray[np.uint64]

BITS, CHUNKS, VALUES = 128, 8, 1 << 16
MOST = 20_000_000  # pairs that fit into memory
SLICES = 64  # parts of the work, so that threads end together and progress is seen
TABLES = 200_000  # codes from which tables may be worth their set-up
BY_TABLE, VISIT = 5, 140  # cost of a pair compared through tables, and of two values of a chunk, in pairs of `join`

_compiled = extension("_pairs")


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of positions and their Hamming distances, [total], sorted by (first, second).

    Within one set, first is less than second.
    """

    first: Numbers
    second: Numbers
    distances: Distances


def pairs_within(codes: Codes, radius: int, threads: int | None = None, most: int = MOST) -> Pairs:
    """Return all pairs of codes, uint8 [n, 16], within the radius (inclusive).

    Raises UsageError if there are more than `most` pairs.

    Example:
        >>> codes = np.zeros((3, 16), np.uint8)
        >>> codes[2] = 255
        >>> pairs_within(codes, radius=3)
        Pairs(first=array([0]), second=array([1]), distances=array([0], dtype=uint16))
    """
    radius, words = check_radius(radius), _words(codes)
    limit = min(radius, BITS) // CHUNKS
    if _compiled is None:
        return _sorted(_by_numpy(words, words, radius, True, most))
    if len(codes) >= TABLES and (plan := _tables(words, limit)) is not None:
        return _sorted(_by_chunks(words, radius, limit, plan, threads, most))
    return _sorted(_by_comparison(words, words, radius, True, threads, most))


def pairs_between(queries: Codes, codes: Codes, radius: int, threads: int | None = None, most: int = MOST) -> Pairs:
    """Return all pairs of a query and a code, uint8 [m, 16] and [n, 16], within the radius (inclusive).

    Raises UsageError if there are more than `most` pairs.
    """
    asked, known = _words(queries), _words(codes)
    if _compiled is None:
        return _sorted(_by_numpy(asked, known, check_radius(radius), False, most))
    return _sorted(_by_comparison(asked, known, check_radius(radius), False, threads, most))


def _words(codes: Codes) -> tuple[Words, Words]:
    words = check_codes(codes, BITS).view(np.uint64)
    return np.ascontiguousarray(words[:, 0]), np.ascontiguousarray(words[:, 1])


def _by_comparison(
    queries: tuple[Words, Words], codes: tuple[Words, Words], radius: int, within: bool, threads: int | None, most: int
) -> Iterable[bytes]:
    assert _compiled is not None
    join, n = _compiled.join, len(queries[0])
    # within one set, a query is compared with what follows it: slices of equal work have borders at these shares
    shares = np.arange(SLICES + 1) / SLICES
    edges = (n * (1 - np.sqrt(1 - shares)) if within else n * shares).round().astype(int).tolist()

    def part(number: int, halt: bytearray) -> bytes:
        found: bytes = join(*queries, *codes, edges[number], edges[number + 1], within, radius, most, halt)
        return found

    return _in_threads(part, SLICES, threads, most)


def _tables(words: tuple[Words, Words], limit: int) -> list[tuple[npt.NDArray[np.uint16], Numbers]] | None:
    """Return the value of each chunk of all codes, and the number of codes by value, or None if tables cost more."""
    masks = _masks(limit)
    if len(masks) * 16 > VALUES:
        return None
    n, cost, plan = len(words[0]), 0, []
    for chunk in range(CHUNKS):
        values = ((words[chunk // 4] >> np.uint64(16 * (chunk % 4))) & np.uint64(0xFFFF)).astype(np.uint16)
        counts = np.bincount(values, minlength=VALUES)
        known = np.arange(VALUES)
        cost += sum(BY_TABLE * int(counts @ counts[known ^ mask]) + VISIT * VALUES for mask in masks.tolist())
        if cost > n * n:
            return None
        plan.append((values, counts))
    return plan


def _masks(limit: int) -> npt.NDArray[np.uint16]:
    """Return the differences of two chunks in at most `limit` bits."""
    masks = [sum(1 << bit for bit in bits) for size in range(limit + 1) for bits in combinations(range(16), size)]
    return np.array(masks, np.uint16)


def _by_chunks(
    words: tuple[Words, Words],
    radius: int,
    limit: int,
    plan: list[tuple[npt.NDArray[np.uint16], Numbers]],
    threads: int | None,
    most: int,
) -> Iterable[bytes]:
    assert _compiled is not None
    join_chunk, masks, found = _compiled.join_chunk, _masks(limit), list[bytes]()
    for chunk, (values, counts) in enumerate(plan):
        rows = np.argsort(values, kind="stable")
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        sorted_ = (words[0][rows], words[1][rows], rows.astype(np.uint32), starts, masks)
        step = VALUES // SLICES

        def part(number: int, halt: bytearray, sorted_: tuple[object, ...] = sorted_, chunk: int = chunk) -> bytes:
            own: bytes = join_chunk(*sorted_, number * step, (number + 1) * step, chunk, limit, radius, most, halt)  # noqa: B023
            return own

        found += _in_threads(part, SLICES, threads, most, (chunk, CHUNKS))
    return found


def _in_threads(
    part: Callable[[int, bytearray], bytes],
    parts: int,
    threads: int | None,
    most: int,
    stage: tuple[int, int] = (0, 1),
) -> list[bytes]:
    """Call `part` for each number in threads. Raises UsageError if there are more than `most` pairs in all."""
    from concurrent.futures import ThreadPoolExecutor

    halt, found, total = bytearray(1), list[bytes](), 0
    with ThreadPoolExecutor(check_threads(threads) or os.cpu_count() or 1) as pool:
        try:
            for own in pool.map(part, range(parts), repeat(halt)):
                found.append(own)
                total += len(own) // 12
                if total > most:
                    raise OverflowError
                report("comparing sketches", stage[0] * parts + len(found), stage[1] * parts)
        except OverflowError:
            halt[0] = 1
            raise UsageError(f"more than {most:,} pairs are within the radius; choose a smaller one") from None
        except BaseException:
            halt[0] = 1
            raise
    return found


def _by_numpy(
    queries: tuple[Words, Words], codes: tuple[Words, Words], radius: int, within: bool, most: int
) -> Iterable[bytes]:
    total, step = 0, max(1, (1 << 22) // max(1, len(codes[0])))
    for start in range(0, len(queries[0]), step):
        low, high = (word[start : start + step, None] for word in queries)
        distances = _bits(low ^ codes[0]).astype(np.int64) + _bits(high ^ codes[1])
        first, second = np.nonzero(distances <= radius)
        own = np.stack([first + start, second, distances[first, second]], axis=1)
        own = own[own[:, 0] < own[:, 1]] if within else own
        total += len(own)
        if total > most:
            raise UsageError(f"more than {most:,} pairs are within the radius; choose a smaller one")
        yield own.astype(np.uint32).tobytes()


def _bits(words: Words) -> npt.NDArray[np.uint8]:
    """Return the number of ones of each word."""
    return np.asarray(np.bitwise_count(words))


def _sorted(found: Iterable[bytes]) -> Pairs:
    triples = np.frombuffer(b"".join(found), np.uint32).reshape(-1, 3)
    order = np.lexsort((triples[:, 1], triples[:, 0]))
    first, second, distances = triples[order].T
    return Pairs(first.astype(np.int64), second.astype(np.int64), distances.astype(np.uint16))
