"""Pairs with scores, compared with the planted ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from figures import Run

PRECISION = 0.99

Pair = tuple[int, int]
Scored = Mapping[Pair, float]  # pairs of places, the lesser first


@dataclass(frozen=True)
class Planted:
    """The planted pairs by what was done to the copy, and the pairs that count neither for nor against a method."""

    kinds: Mapping[Pair, str]
    ignored: frozenset[Pair]
    mirrored: frozenset[Pair] = frozenset()  # images and their mirror images, which are ignored, but told by themselves


def rows(method: str, found: Scored, default: float | None, planted: Planted) -> Iterator[Run]:
    """Recall at the threshold that is best for a method, and recall and precision at its default threshold."""
    counted = {pair: score for pair, score in found.items() if pair not in planted.ignored}
    best = _best_threshold(counted, planted)
    above = {pair for pair, score in counted.items() if score >= best}
    recall, precision = _of_pairs(method, "best", above, planted, best)
    yield recall | {"kinds": {kind: _recall(kind, above, planted) for kind in sorted(set(planted.kinds.values()))}}
    yield precision
    if default is not None:
        above = {pair for pair, score in counted.items() if score >= default}
        yield from _of_pairs(method, "default", above, planted, default)
        if planted.mirrored:
            called = sum(found.get(pair, -np.inf) >= default for pair in planted.mirrored)
            about = {"method": method, "at": "default", "threshold": round(default, 4)}
            yield {**about, "measure": "mirrored", "value": round(called / len(planted.mirrored), 6)}


def _best_threshold(counted: Scored, planted: Planted) -> float:
    """The threshold with the highest recall of those with enough precision; infinite if there is none."""
    scores = np.array(list(counted.values()), np.float64)
    right = np.array([pair in planted.kinds for pair in counted], bool)
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], np.cumsum(right[order])
    last = np.append(scores[1:] < scores[:-1], True)[: len(scores)]  # of the pairs with equal scores
    enough = np.flatnonzero(last & (right >= PRECISION * np.arange(1, len(scores) + 1)))
    return float(scores[enough[-1]]) if len(enough) else float("inf")


def _of_pairs(method: str, at: str, above: set[Pair], planted: Planted, threshold: float) -> tuple[Run, Run]:
    """Recall and precision of the pairs above a threshold."""
    right = len(above & planted.kinds.keys())
    about = {"method": method, "at": at, "threshold": round(threshold, 4) if np.isfinite(threshold) else None}
    return (
        {**about, "measure": "recall", "value": round(right / len(planted.kinds), 6)},
        {**about, "measure": "precision", "value": round(right / max(1, len(above)), 6)},
    )


def _recall(kind: str, above: set[Pair], planted: Planted) -> float:
    """The recall of the copies that were edited in one way."""
    own = {pair for pair, what in planted.kinds.items() if what == kind}
    return round(len(own & above) / len(own), 6)
