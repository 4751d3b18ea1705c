"""Groups: a document to keep, and others that are similar to it and to each other, so groups do not chain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Collection as Container

from hashret.deduplication.classes import Classes, Similar
from hashret.deduplication.results import Group, Member

KEEP: dict[str, Callable[[int, str, Sequence[int]], tuple[object, ...]]] = {
    "first": lambda place, id, facts: (place,),
    "last": lambda place, id, facts: (-place,),
    "longest": lambda place, id, facts: (-facts[0], id, place),
    "largest": lambda place, id, facts: (-facts[1], id, place),
    "label": lambda place, id, facts: (-min(1, facts[2]), place),
}
"""Sort keys by rule, from the place, the id, and length, size and number of labels; the least is kept."""

TRIED = 32  # last parts of a split group that a document may belong to

Different = Container[frozenset[str]]
Found = tuple[int, int, float]  # place or class, distance, similarity


def grouped(
    classes: Classes, similar: Sequence[Similar], ids: Sequence[str], keep: str, different: Different
) -> tuple[list[Group], list[int]]:
    """Return the groups, in order of the kept documents, and the places of the others.

    In the order of `keep`, each document that is in no group yet takes in all such documents that were verified with
    it. Those that were not verified with each other form several groups with the same document to keep.
    """
    near, left = _neighbours(similar), [list(own) for own in classes.members]
    grouping = ((number, own) for number, own in enumerate(classes.members) if len(own) > 1 or number in near)
    of = {place: number for number, own in grouping for place in own}
    taken, groups, dropped = set[int](), list[tuple[int, Group]](), list[int]()
    for place in sorted(of, key=lambda place: KEEP[keep](place, ids[place], classes.facts[place].tolist())):
        if place in taken:
            continue
        taken.add(place)
        found = []
        for number, distance, similarity in [(of[place], 0, 1.0), *near[of[place]]]:
            rest = []
            for other in left[number]:
                if other in taken:
                    continue
                if different and frozenset((ids[place], ids[other])) in different:
                    rest.append(other)
                else:
                    found.append((other, distance, similarity))
            left[number] = rest
        taken.update(other for other, _, _ in found)
        if found:
            groups += [(place, _group(place, own, ids)) for own in _split(found, of, near)]
            dropped += [other for other, _, _ in found]
    return [group for _, group in sorted(groups, key=lambda own: own[0])], dropped


def _split(found: list[Found], of: Mapping[int, int], near: Mapping[int, list[Found]]) -> list[list[Found]]:
    """Split the documents found for one to keep so that all of a part were verified with each other."""
    parts: list[tuple[set[int], list[Found]]] = []
    for own in sorted(found, key=lambda own: (-own[2], own[1], own[0])):
        number = of[own[0]]
        known = {number, *(other for other, _, _ in near[number])}
        part = next((part for part in parts[-TRIED:] if part[0] <= known), None)
        if part is None:
            parts.append(part := (set(), []))
        part[0].add(number)
        part[1].append(own)
    return [part for _, part in parts]


def across(
    classes: Classes, similar: Sequence[Similar], ids: Sequence[str], keep: str, different: Different, border: int
) -> tuple[list[Group], list[int]]:
    """Return the groups of documents before the border, each with those after it that are most similar to it.

    Also returns the places of the latter, counted from the border.
    """
    near, best = _neighbours(similar), dict[int, tuple[float, tuple[object, ...], int, int]]()
    for number, own in enumerate(classes.members):
        new = [place for place in own if place >= border]
        for other, distance, similarity in [(number, 0, 1.0), *near[number]] if new else ():
            for old in (place for place in classes.members[other] if place < border):
                rank = KEEP[keep](old, ids[old], classes.facts[old].tolist())
                for place in new:
                    if not (different and frozenset((ids[old], ids[place])) in different):
                        best[place] = min(best.get(place, (0.0, (), 0, 0)), (-similarity, rank, old, distance))
    found = defaultdict(list)
    for place, (similarity, _, old, distance) in sorted(best.items()):
        found[old].append((place, distance, -similarity))
    return [_group(old, found[old], ids, border) for old in sorted(found)], [place - border for place in sorted(best)]


def _neighbours(similar: Sequence[Similar]) -> defaultdict[int, list[Found]]:
    near: defaultdict[int, list[Found]] = defaultdict(list)
    for pair in similar:
        near[pair.first].append((pair.second, pair.distance, pair.similarity))
        near[pair.second].append((pair.first, pair.distance, pair.similarity))
    return near


def _group(place: int, found: list[Found], ids: Sequence[str], border: int | None = None) -> Group:
    others = sorted(found, key=lambda own: (-own[2], own[1], own[0]))
    members = [
        Member(ids[other], distance, similarity, new=border is not None) for other, distance, similarity in others
    ]
    return Group((Member(ids[place], 0, 1.0, keep=True), *members))
