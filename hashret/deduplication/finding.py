"""Finds the near-duplicates in a collection: candidates by sketches, verification by contents, groups."""

from __future__ import annotations

from collections.abc import Collection as Container
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hashret.deduplication.candidates import Candidates, candidates
from hashret.deduplication.classes import Classes, Similar
from hashret.deduplication.collection import Collection
from hashret.deduplication.grouping import KEEP, across, grouped
from hashret.deduplication.results import Duplicates, Pair
from hashret.deduplication.sameness import KINDS, Sameness, by_sketches
from hashret.deduplication.views import with_views
from hashret.errors import DataError, UsageError, whole_number
from hashret.progress import report
from hashret.search.base import check_threads
from hashret.search.join import BITS

LEADERS = 32  # different contents with one sketch that are compared with all others
BATCH = 1 << 14  # pairs that are verified at once

Different = Container[frozenset[str]]


@dataclass(frozen=True)
class Settings:
    """What counts as a duplicate, and which one is kept. Raises UsageError for values out of range."""

    threshold: str | float = "near"
    keep: str = "first"
    radius: int | None = None
    verify: bool = True
    threads: int | None = None

    def __post_init__(self) -> None:
        presets, named = ("exact", "near", "similar"), isinstance(self.threshold, str)
        number = not named and not isinstance(self.threshold, bool) and 0 < float(self.threshold) <= 1
        if not (named and self.threshold in presets) and not number:
            allowed = f"{', '.join(presets)}, or a number above 0 and at most 1"
            raise UsageError(f"threshold must be {allowed}; got {self.threshold!r}")
        if self.keep not in KEEP:
            raise UsageError(f"keep must be one of {', '.join(KEEP)}, got {self.keep!r}")
        if self.radius is not None:
            whole_number(self.radius, "radius", 0, BITS)
        check_threads(self.threads)

    def least(self, sameness: Sameness) -> float:
        """The similarity that a pair must have."""
        return sameness.thresholds[self.threshold] if isinstance(self.threshold, str) else float(self.threshold)


def find(
    documents: Collection,
    settings: Settings,
    *,
    different: Different = (),
    border: int | None = None,
    cache: Path | None = None,
) -> Duplicates:
    """Find the groups of near-duplicates.

    Args:
        documents: The documents.
        settings: Threshold, radius and which one to keep.
        different: Pairs of ids that are not duplicates.
        border: Compare only documents before this place with those after it.
        cache: File that keeps the pairs of sketches, so that the next call compares only new ones.

    Raises:
        UsageError: The radius has too many pairs.
        DataError: The contents cannot be compared, and `settings.verify` is set.
    """
    sameness = KINDS[documents.kind]()
    least = settings.least(sameness)
    if settings.verify and documents.hint:
        raise DataError(f"{documents.hint}; or set verify=False to compare sketches only")
    radius = sameness.radius(least) if settings.radius is None else settings.radius
    found = candidates(documents.sketches, radius, border, settings.threads, cache)
    if radius and (views := documents.views()) is not None:
        found = with_views(found, views, radius, border, settings.threads)
    classes = Classes.read(documents, found, sameness if settings.verify else None)
    similar, apart = _verified(classes, found, sameness, least, settings.verify)
    facts = {
        "type": documents.kind,
        "threshold": least,
        "radius": radius,
        "within": len(found.pairs.first),
        "apart": apart,
    }
    ids = documents.ids
    if border is None:
        groups, places = grouped(classes, similar, ids, settings.keep, different)
    else:
        groups, places = across(classes, similar, ids, settings.keep, different, border)
    pairs = tuple(_pairs(classes, similar, ids, different, border))
    return Duplicates(tuple(groups), pairs, len(documents), facts, frozenset(places))


def _verified(
    classes: Classes, found: Candidates, sameness: Sameness, least: float, verify: bool
) -> tuple[list[Similar], int]:
    """Return the similar pairs of classes, and the number of those that are apart in spite of it."""
    first, second, distances = classes.pairs(found.pairs, LEADERS)
    if not verify:
        own = by_sketches(distances)
        near = np.flatnonzero(own >= min(least, 1 - 1e-9)) if least < 1 else np.zeros(0, np.int64)
        return [Similar(int(first[p]), int(second[p]), int(distances[p]), float(own[p])) for p in near], 0
    if least >= 1:  # equal contents are one class
        return [], 0
    similar, apart = list[Similar](), 0
    for start in range(0, len(first), BATCH):
        a, b = first[start : start + BATCH], second[start : start + BATCH]
        values = sameness.similarities(a, b)
        for place in np.flatnonzero(values >= least).tolist():
            one, other = int(a[place]), int(b[place])
            if sameness.apart(one, other):
                apart += 1
            else:
                similar.append(Similar(one, other, int(distances[start + place]), float(values[place])))
        report("verifying", min(start + BATCH, len(first)), len(first))
    return similar, apart


def _pairs(
    classes: Classes, similar: list[Similar], ids: Sequence[str], different: Different, border: int | None
) -> list[Pair]:
    """Return the pairs of documents: of equal ones each with the first, of similar classes the first of each."""
    found = [(own[0], other, 0, 1.0) for own in classes.members for other in own[1:]]
    found += [(classes.members[s.first][0], classes.members[s.second][0], s.distance, s.similarity) for s in similar]
    found = [(min(a, b), max(a, b), distance, similarity) for a, b, distance, similarity in found]
    return [
        Pair(ids[a], ids[b], distance, similarity)
        for a, b, distance, similarity in sorted(found)
        if (border is None or a < border <= b) and not (different and frozenset((ids[a], ids[b])) in different)
    ]
