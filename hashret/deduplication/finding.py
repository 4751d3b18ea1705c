"""Finds the near-duplicates in a collection: candidates by sketches, verification by contents, groups."""

from __future__ import annotations

from collections.abc import Collection as Container
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hashret.deduplication.candidates import CACHED, candidates
from hashret.deduplication.classes import Classes, Similar
from hashret.deduplication.collection import Collection
from hashret.deduplication.contents import Contents
from hashret.deduplication.grouping import KEEP, across, grouped
from hashret.deduplication.memory import Memory
from hashret.deduplication.results import Duplicates, Pair
from hashret.deduplication.sameness import KINDS, Sameness
from hashret.deduplication.verifying import by_sketches, verified
from hashret.deduplication.views import with_views
from hashret.errors import DataError, UsageError, whole_number
from hashret.search.base import check_threads
from hashret.search.join import BITS

LEADERS = 32  # different contents with one sketch that are compared with all others
VERIFIED = ".verified"  # ending of the file of what was verified, beside that of the pairs of sketches

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
    radii = sameness.radii(least) if settings.radius is None else (settings.radius,)
    radii = radii if settings.verify else radii[-1:]
    found = candidates(documents.sketches, radii, border, settings.threads, cache)
    if found.radius and (views := documents.views()) is not None:
        found = with_views(found, views, border, settings.threads)
    known = None if cache is None else Memory.read(cache.with_suffix(VERIFIED))
    contents = Contents(sameness) if settings.verify else None
    classes = Classes.read(documents, found, contents, known)
    pairs = classes.pairs(found.pairs, LEADERS)
    if contents is None:
        similar, apart = by_sketches(pairs, least), 0
    else:
        similar, apart, known = verified(classes, pairs, contents, documents, least, known)
        if known is not None and cache is not None and border is None and len(documents) >= CACHED:
            known.write(cache.with_suffix(VERIFIED))
    facts = {
        "type": documents.kind,
        "threshold": least,
        "radius": found.radius,
        "within": len(found.pairs.first),
        "apart": apart,
    }
    ids = documents.ids
    if border is None:
        groups, places = grouped(classes, similar, ids, settings.keep, different)
    else:
        groups, places = across(classes, similar, ids, settings.keep, different, border)
    listed = tuple(_pairs(classes, similar, ids, different, border))
    return Duplicates(tuple(groups), listed, len(documents), facts, frozenset(places))


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
