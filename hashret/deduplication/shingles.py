"""Words of texts and pairs of neighbouring words, as sets, and what they share."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hashret.extensions import extension
from hashret.tokens import runs

ALONE = np.uint64(0xFFFFFFFF)  # second part of the only pair of a text of one word

_compiled = extension("_pairs")

Items = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]


@lru_cache(1)
def words_of(text: str) -> list[str]:
    """Return the normalized words of a text, in order. Scripts without spaces give characters."""
    return [word for run, unspaced in runs(text) for word in (run if unspaced else (run,))]


class Sets:
    """Sets of numbers, one for each text."""

    def __init__(self) -> None:
        self.sets: list[Items] = []
        self._joined: tuple[Items, Numbers] | None = None

    def add(self, items: Items) -> None:
        """Take in the next set."""
        self.sets.append(np.unique(items))
        self._joined = None

    def shared(self, first: Numbers, second: Numbers) -> Numbers:
        """Return how many items each pair of sets has in common."""
        items, offsets = self._all()
        if _compiled is None:
            both = zip(first.tolist(), second.tolist(), strict=True)
            return np.array([len(np.intersect1d(self.sets[a], self.sets[b], True)) for a, b in both], np.int64)
        counts = np.zeros(len(first), np.int64)
        _compiled.shared(items, offsets, np.ascontiguousarray(first), np.ascontiguousarray(second), counts)
        return counts

    def overlaps(self, first: Numbers, second: Numbers) -> tuple[Shares, Shares]:
        """Return of each pair of sets the Jaccard similarity, and which share of the smaller set is in the other one.

        Both are 0 if a set is empty.
        """
        sizes, shared = np.diff(self._all()[1]), self.shared(first, second)
        a, b = sizes[first], sizes[second]
        return shared / np.maximum(a + b - shared, 1), shared / np.maximum(np.minimum(a, b), 1)

    def _all(self) -> tuple[Items, Numbers]:
        """Return all sets one after the other, and where each begins."""
        if self._joined is None:
            offsets = np.cumsum([0, *map(len, self.sets)]).astype(np.int64)
            self._joined = np.concatenate([np.zeros(0, np.uint64), *self.sets]), offsets
        return self._joined


class Shingles:
    """The words of texts and their pairs. Words are normalized and get numbers, so that nothing depends on a hash."""

    def __init__(self) -> None:
        self.words_of, self.pairs_of = Sets(), Sets()
        self._number: dict[str, int] = {}
        self._is_number: list[bool] = []

    def add(self, text: str) -> None:
        """Take in the next text."""
        words = np.array([self._number_of(word) for word in words_of(text)], np.uint64)
        pairs = (words[:-1] << np.uint64(32)) | words[1:] if len(words) > 1 else (words << np.uint64(32)) | ALONE
        self.words_of.add(words)
        self.pairs_of.add(pairs)

    def _number_of(self, word: str) -> int:
        if (number := self._number.get(word)) is None:
            number = self._number[word] = len(self._number)
            self._is_number.append(any(map(str.isdigit, word)))
        return number

    def differ_in_numbers(self, first: int, second: int) -> bool:
        """Whether each text has numbers that the other has not, and at least half of the words that differ are numbers.

        Such texts are often forms that were filled in differently, as invoices are.
        """
        a, b = (set(self.words_of.sets[place].tolist()) for place in (first, second))
        left, right = ([self._is_number[word] for word in own] for own in (a - b, b - a))
        return any(left) and any(right) and 2 * (sum(left) + sum(right)) >= len(left) + len(right)
