"""Verification: the similarity of the contents of each pair of classes, computed now or known from before."""

from __future__ import annotations

import numpy as np

from hashret.deduplication.classes import Classes, Similar
from hashret.deduplication.collection import Collection
from hashret.deduplication.contents import Contents
from hashret.deduplication.memory import UNKNOWN, Memory, Numbers, Similarities, pair_digests
from hashret.progress import report

BATCH = 1 << 14  # pairs that are verified at once

Pairs = tuple[Numbers, Numbers, Numbers]  # first and second class, distance of their sketches


def by_sketches(pairs: Pairs, least: float) -> list[Similar]:
    """Return the pairs that are similar by the distance of their sketches, where contents are not compared."""
    similarities = np.clip(1 - pairs[2] / 64, 0, 1)
    return _similar(pairs, similarities, (similarities >= least) & (least < 1))


def verified(
    classes: Classes, pairs: Pairs, contents: Contents, documents: Collection, least: float, known: Memory | None
) -> tuple[list[Similar], int, Memory | None]:
    """Return the similar pairs of classes, the number of those that are apart in spite of it, and what is known now.

    If `known` is None, nothing is remembered.
    """
    if least >= 1:  # equal contents are one class
        return [], 0, None if known is None else classes.documents
    similarities, apart = np.full(len(pairs[0]), np.nan), np.full(len(pairs[0]), UNKNOWN, np.int8)
    if known is not None:
        digests = pair_digests(classes.digests, pairs[0], pairs[1])
        place = known.find_pairs(digests)
        there = place != UNKNOWN
        similarities[there], apart[there] = known.similarities[place[there]], known.apart[place[there]]
    todo = np.flatnonzero(~(similarities < least) & (apart == UNKNOWN))  # NaN is not less than anything
    _verify(todo, classes, pairs, contents, documents, least, (similarities, apart))
    near = similarities >= least
    similar = _similar(pairs, similarities, near & (apart == 0))
    now = None if known is None else classes.documents.with_pairs(digests, similarities, apart)
    return similar, int((near & (apart == 1)).sum()), now


def _verify(
    todo: Numbers,
    classes: Classes,
    pairs: Pairs,
    contents: Contents,
    documents: Collection,
    least: float,
    into: tuple[Similarities, np.ndarray],
) -> None:
    """Compare the contents of these pairs."""
    similarities, apart = into
    involved = np.unique(np.concatenate([pairs[0][todo], pairs[1][todo]]))
    firsts = np.array([classes.members[number][0] for number in involved.tolist()], np.int64)
    number = np.full(len(classes.members), UNKNOWN)
    number[involved] = contents.numbers(classes.digests[involved], firsts, documents)
    first, second = number[pairs[0]], number[pairs[1]]
    for start in range(0, len(todo), BATCH):
        part = todo[start : start + BATCH]
        similarities[part] = contents.sameness.similarities(first[part], second[part])
        for at in part[similarities[part] >= least].tolist():
            apart[at] = contents.sameness.apart(int(first[at]), int(second[at]))
        report("verifying", min(start + BATCH, len(todo)), len(todo))


def _similar(pairs: Pairs, similarities: Similarities, chosen: np.ndarray) -> list[Similar]:
    columns = (own[chosen].tolist() for own in (*pairs, similarities))
    return [Similar(*row) for row in zip(*columns, strict=True)]
