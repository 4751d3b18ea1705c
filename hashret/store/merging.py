"""The merge policy: which adjacent segments to merge, so that many small changes leave few segments.

Segments with at least `GROWN` rows are not merged, but are rewritten when more than half of their rows are deleted. A
smaller segment is merged with its successors as soon as these have `RATIO` times as many rows. So each document is
rewritten about five times, regardless of the size of the index, and at most about forty small segments exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from hashret.store.manifest import FileEntry
from hashret.store.segment import PIECE

GROWN = 1 << 13  # rows; a segment of long documents counts one row per ROW_BYTES
ROW_BYTES = 512
EMPTY = 34 << 10  # size in bytes of a segment with one short document
RATIO = 7


def worth(file: FileEntry) -> int:
    """Return the uncompressed size of a segment without fixed overhead, in units of ROW_BYTES."""
    pieces = [file.arrays.get(f"{name}/pieces", (0, 0))[1] // 2 for name in ("contents", "metadata")]
    return max(0, file.bytes - EMPTY + PIECE * sum(max(0, number - 1) for number in pieces)) // ROW_BYTES


def choose(living: Sequence[int], rows: Sequence[int], worths: Sequence[int]) -> tuple[int, int] | None:
    """Return the next segments to merge as (start, stop), or None.

    The arguments have one item per segment: its rows that are not deleted, all its rows, and its `worth`.
    """
    for number, (left, all_) in enumerate(zip(living, rows, strict=True)):
        if left < all_ - left:
            return number, number + 1
    weights = [max(a, worth * a // b) for a, b, worth in zip(living, rows, worths, strict=True)]
    for grown, run in groupby(range(len(weights)), key=lambda number: weights[number] >= GROWN):
        numbers = list(run)
        first, stop = numbers[0], numbers[-1] + 1
        if grown or len(numbers) == 1:
            continue
        if stop < len(weights):  # a grown segment follows, so this run cannot grow any more
            return first, stop
        for start in numbers[:-1]:
            if RATIO * weights[start] <= sum(weights[start + 1 : stop]):
                return start, stop
    return None
