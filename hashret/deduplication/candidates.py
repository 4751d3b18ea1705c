"""Candidates: documents with equal sketches, and all pairs of different sketches within a radius.

The pairs depend on nothing but the sketches, so they can be kept in a file. Then only new sketches are compared.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hashret.codes import Codes
from hashret.errors import UsageError
from hashret.search.join import BITS, MOST, Pairs, pairs_between, pairs_within

SAMPLE = 2000  # sketches, to estimate how many pairs a radius has
AFFORDABLE = 1_000_000  # pairs that are verified for a wider radius: seconds
CACHED = 50_000  # different sketches, or documents, from which what was compared is kept

Numbers = npt.NDArray[np.int64]

log = logging.getLogger("hashret")


@dataclass(frozen=True)
class Candidates:
    """Documents by their sketches."""

    sketch: Numbers
    """The number of each document's sketch, [documents]."""
    firsts: Numbers
    """The place of the first document with each sketch, [sketches]."""
    lasts: Numbers
    """The place of the last document with each sketch, [sketches]."""
    radius: int
    """Within how many bits the sketches of a pair differ."""
    pairs: Pairs
    """Pairs of sketches within the radius."""


def candidates(
    sketches: Codes,
    radii: Sequence[int],
    border: int | None = None,
    threads: int | None = None,
    cache: Path | None = None,
) -> Candidates:
    """Return the candidates among documents with sketches, uint8 [n, 16].

    Args:
        sketches: The sketches.
        radii: Pairs of sketches that differ in at most so many bits are returned. Of several numbers, in descending
            order, the first one with few enough pairs to verify is taken, or the last one.
        border: Compare only documents before this place with those after it.
        threads: Number of threads; by default, one per core.
        cache: File of the pairs found before, which is replaced.

    Raises:
        UsageError: The radius has too many pairs.
    """
    keys, inverse = _grouped(sketches)
    firsts, lasts = np.full(len(keys), len(sketches)), np.zeros(len(keys), np.int64)
    np.minimum.at(firsts, inverse, np.arange(len(inverse)))
    np.maximum.at(lasts, inverse, np.arange(len(inverse)))
    if not radii[0]:
        none = np.zeros(0, np.int64)
        return Candidates(inverse, firsts, lasts, 0, Pairs(none, none, none.astype(np.uint16)))
    radius = _affordable(keys, radii)
    if border is None:
        return Candidates(inverse, firsts, lasts, radius, _cached(keys, radius, threads, cache))
    left, right = np.flatnonzero(firsts < border), np.flatnonzero(lasts >= border)
    found = pairs_between(keys[right], keys[left], radius, threads)
    first, second = left[found.second], right[found.first]
    apart = first != second
    return Candidates(inverse, firsts, lasts, radius, Pairs(first[apart], second[apart], found.distances[apart]))


def _grouped(sketches: Codes) -> tuple[Codes, Numbers]:
    """Return the different sketches [g, 16], in order of their words, and the number of each document's."""
    words = np.ascontiguousarray(sketches).view(np.uint64)
    order = np.lexsort((words[:, 1], words[:, 0]))
    ordered = words[order]
    new = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])[: len(words)]
    inverse = np.zeros(len(words), np.int64)
    inverse[order] = np.cumsum(new) - 1
    return np.ascontiguousarray(ordered[new]).view(np.uint8), inverse


def _affordable(keys: Codes, radii: Sequence[int]) -> int:
    """Return the first of these radii, from wide to narrow, with few enough pairs to verify, or the last one.

    Raises UsageError if a sample says that far more pairs than can be kept are within it.
    """
    drawn, of_all = keys, 1.0  # pairs of all sketches for each pair of those drawn
    if len(keys) > SAMPLE:
        drawn = keys[np.random.default_rng(0).choice(len(keys), SAMPLE, replace=False)]
        of_all = len(keys) * (len(keys) - 1) / (SAMPLE * (SAMPLE - 1))
    distances = pairs_within(drawn, radii[0]).distances
    expected = {radius: of_all * int((distances <= radius).sum()) for radius in radii}
    radius = next((radius for radius in radii if expected[radius] <= AFFORDABLE), radii[-1])
    if expected[radius] > MOST and len(keys) > SAMPLE:
        share = 2 * expected[radius] / (len(keys) * (len(keys) - 1))
        raise UsageError(
            f"about {share:.2%} of all pairs, {expected[radius]:,.0f}, are within {radius} of {BITS} bits; at most "
            f"{MOST:,} can be compared; choose a smaller radius or a higher threshold"
        )
    if radius < radii[0]:
        log.info(
            f"compared pairs within {radius} of {BITS} bits; a radius of {radii[0]} would find more, among about "
            f"{expected[radii[0]]:,.0f} pairs"
        )
    return radius


def _cached(keys: Codes, radius: int, threads: int | None, cache: Path | None) -> Pairs:
    """Return the pairs of sketches within the radius; compare only those that the file does not know."""
    if cache is None or len(keys) < CACHED:
        return pairs_within(keys, radius, threads)
    known, before = _read(cache, radius)
    if before is None:
        found = pairs_within(keys, radius, threads)
    else:
        place = _places(known, keys)  # of each known sketch among those of today, or -1
        new = np.setdiff1d(np.arange(len(keys)), place)
        if len(new) == 0 and len(known) == len(keys):
            return _cut(before, radius)
        found = _merged(_moved(before, place), _fresh(keys, new, radius, threads))
    _write(cache, keys, found, radius)
    return _cut(found, radius)


def _moved(pairs: Pairs, place: Numbers) -> Pairs:
    """Return the pairs of sketches that are still there, by their new numbers."""
    first, second = place[pairs.first], place[pairs.second]
    there = (first >= 0) & (second >= 0)
    return Pairs(first[there], second[there], pairs.distances[there])


def _fresh(keys: Codes, new: Numbers, radius: int, threads: int | None) -> Pairs:
    """Return the pairs that have a new sketch; those of two new ones are found twice and kept once."""
    found = pairs_between(keys[new], keys, radius, threads)
    first, second = new[found.first], found.second
    once = (first != second) & ((first < second) | ~np.isin(second, new))
    return Pairs(first[once], second[once], found.distances[once])


def _merged(*parts: Pairs) -> Pairs:
    first = np.concatenate([np.minimum(part.first, part.second) for part in parts])
    second = np.concatenate([np.maximum(part.first, part.second) for part in parts])
    order = np.lexsort((second, first))
    return Pairs(first[order], second[order], np.concatenate([part.distances for part in parts])[order])


def _cut(pairs: Pairs, radius: int) -> Pairs:
    near = pairs.distances <= radius
    return pairs if near.all() else Pairs(pairs.first[near], pairs.second[near], pairs.distances[near])


def _places(known: Codes, keys: Codes) -> Numbers:
    """Return where each of the known sketches is among the keys, or -1. Both are in order of their words."""
    both = np.concatenate([keys, known])
    _, inverse = _grouped(both)
    place = np.full(int(inverse.max(initial=0)) + 1, -1)
    place[inverse[: len(keys)]] = np.arange(len(keys))
    return np.asarray(place[inverse[len(keys) :]])


def _read(cache: Path, radius: int) -> tuple[Codes, Pairs | None]:
    """Return the sketches that a file knows and their pairs, or None if it is not there or has a smaller radius."""
    try:
        with np.load(cache, allow_pickle=False) as file:
            keys, pairs, distances = file["sketches"], file["pairs"], file["distances"]
            fits = keys.dtype == np.uint8 and keys.shape[1:] == (BITS // 8,) and pairs.shape == (len(distances), 2)
            if fits and int(file["radius"]) >= radius and int(pairs.max(initial=0)) < max(1, len(keys)):
                first, second = pairs.astype(np.int64).T
                return keys, Pairs(first, second, distances.astype(np.uint16))
    except (OSError, ValueError, KeyError, EOFError, IndexError):
        pass
    return np.zeros((0, BITS // 8), np.uint8), None


def _write(cache: Path, keys: Codes, pairs: Pairs, radius: int) -> None:
    """Replace the file. If that is impossible, everything is compared again the next time."""
    part = cache.with_name(f"{cache.name}.{os.getpid()}")
    try:
        with part.open("wb") as file:
            both = np.stack([pairs.first, pairs.second], axis=1).astype(np.uint32)
            np.savez(file, sketches=keys, pairs=both, distances=pairs.distances, radius=np.int64(radius))
        part.replace(cache)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
