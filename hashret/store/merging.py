"""Merging: which neighbouring segments become one, so that many small changes leave few segments and rewrite little.

A segment of `GROWN` rows or more is left alone, unless more of it is deleted than not. A smaller one is merged with all
that follow it as soon as these hold `RATIO` times as much; so a document is written again about five times until its
segment is grown, whatever the size of the index, and there are at most some forty segments that are not grown.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from hashret.store.manifest import FileEntry
from hashret.store.segment import PIECE

GROWN = 1 << 13  # rows; of long documents fewer, as if each ROW_BYTES were a row
ROW_BYTES = 512
EMPTY = 34 << 10  # bytes that the file of a segment of one short document has
RATIO = 7


def worth(file: FileEntry) -> int:
    """How many rows a segment's bytes would be worth, those counted that its compressed strings have unpacked."""
    pieces = [file.arrays.get(f"{name}/pieces", (0, 0))[1] // 2 for name in ("contents", "metadata")]
    return max(0, file.bytes - EMPTY + PIECE * sum(max(0, number - 1) for number in pieces)) // ROW_BYTES


def choose(living: Sequence[int], rows: Sequence[int], worths: Sequence[int]) -> tuple[int, int] | None:
    """The next segments to merge, from the first to before the second number; None where all is well.

    Of each segment: its rows that are not deleted, all its rows, and what its bytes are worth.
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
        if stop < len(weights):  # nothing will be added between these any more
            return first, stop
        for start in numbers[:-1]:
            if RATIO * weights[start] <= sum(weights[start + 1 : stop]):
                return start, stop
    return None
