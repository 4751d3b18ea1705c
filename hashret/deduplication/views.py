"""More candidates among images: a crop is near a part of its original, not near the whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hashret.deduplication.candidates import Candidates
from hashret.image_sketch import JOINS
from hashret.progress import report
from hashret.search.join import Pairs, pairs_between

MOST_VIEWED = 200_000  # images whose parts are compared, which takes minutes; it is 16 times the work of the wholes


def with_views(
    found: Candidates,
    views: npt.NDArray[np.uint8],
    border: int | None = None,
    threads: int | None = None,
) -> Candidates:
    """Add the pairs of which a part of one image is within the radius of the other image.

    Args:
        found: The candidates by the sketches of whole images.
        views: The sketches of the parts of all images, uint8 [n, VIEWS, 16].
        border: Keep only pairs of an image before this place and one after it.
        threads: Number of threads; by default, one per core.
    """
    if not 1 < len(found.firsts) <= MOST_VIEWED:
        return found
    own = views[found.firsts]
    sketches = [np.ascontiguousarray(own[:, view]) for view in range(own.shape[1])]
    parts = [found.pairs]
    for done, (one, other) in enumerate(JOINS):
        near = pairs_between(sketches[one], sketches[other], found.radius, threads)
        apart = near.first != near.second
        parts.append(Pairs(near.first[apart], near.second[apart], near.distances[apart]))
        report("comparing parts of images", done + 1, len(JOINS))
    return replace(found, pairs=_crossing(_nearest(parts), found, border))


def _nearest(parts: list[Pairs]) -> Pairs:
    """Return each pair once, with its least distance."""
    first = np.concatenate([np.minimum(part.first, part.second) for part in parts])
    second = np.concatenate([np.maximum(part.first, part.second) for part in parts])
    distances = np.concatenate([part.distances for part in parts])
    order = np.lexsort((distances, second, first))
    first, second, distances = first[order], second[order], distances[order]
    new = np.ones(len(first), bool)
    new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return Pairs(first[new], second[new], distances[new])


def _crossing(pairs: Pairs, found: Candidates, border: int | None) -> Pairs:
    """Return the pairs that have a document on each side of the border."""
    if border is None or not len(pairs.first):
        return pairs
    before, after = found.firsts < border, found.lasts >= border
    across = (before[pairs.first] & after[pairs.second]) | (after[pairs.first] & before[pairs.second])
    return Pairs(pairs.first[across], pairs.second[across], pairs.distances[across])
