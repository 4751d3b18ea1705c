"""Sets of the pairs of neighbouring words of texts, and what they share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hashret.extensions import extension
from hashret.tokens import runs

ALONE = np.uint64(0xFFFFFFFF)  # second part of the only shingle of a text of one word

_compiled = extension("_pairs")

Words = npt.NDArray[np.uint32]
Numbers = npt.NDArray[np.int64]


class Shingles:
    """The shingles of texts. Words are normalized and get numbers, so that nothing depends on a hash."""

    def __init__(self) -> None:
        self._number: dict[str, int] = {}
        self._is_number: list[bool] = []
        self._sets: list[npt.NDArray[np.uint64]] = []
        self._words: list[Words] = []
        self._joined: tuple[npt.NDArray[np.uint64], Numbers] | None = None

    def words(self, text: str) -> Words:
        """Return the numbers of the words of a text, in order. Scripts without spaces give characters."""
        found: list[int] = []
        for run, unspaced in runs(text):
            for word in run if unspaced else (run,):
                if (number := self._number.get(word)) is None:
                    number = self._number[word] = len(self._number)
                    self._is_number.append(any(map(str.isdigit, word)))
                found.append(number)
        return np.array(found, np.uint32)

    def add(self, text: str) -> None:
        """Take in the next text."""
        words = self.words(text).astype(np.uint64)
        pairs = (words[:-1] << np.uint64(32)) | words[1:] if len(words) > 1 else (words << np.uint64(32)) | ALONE
        self._sets.append(np.unique(pairs))
        self._words.append(np.unique(words).astype(np.uint32))
        self._joined = None

    def sizes(self) -> Numbers:
        """Return the number of shingles of each text."""
        return np.array([len(own) for own in self._sets], np.int64)

    def shared(self, first: Numbers, second: Numbers) -> Numbers:
        """Return how many shingles each pair of texts has in common."""
        if _compiled is None:
            both = zip(first.tolist(), second.tolist(), strict=True)
            return np.array([len(np.intersect1d(self._sets[a], self._sets[b], True)) for a, b in both], np.int64)
        if self._joined is None:
            offsets = np.concatenate([[0], np.cumsum(self.sizes())]).astype(np.int64)
            self._joined = np.concatenate([np.zeros(0, np.uint64), *self._sets]), offsets
        counts = np.zeros(len(first), np.int64)
        _compiled.shared(*self._joined, np.ascontiguousarray(first), np.ascontiguousarray(second), counts)
        return counts

    def differ_in_numbers(self, first: int, second: int) -> bool:
        """Whether each text has numbers that the other has not, and at least half of the words that differ are numbers.

        Such texts are often forms that were filled in differently, as invoices are.
        """
        a, b = set(self._words[first].tolist()), set(self._words[second].tolist())
        left, right = ([self._is_number[word] for word in own] for own in (a - b, b - a))
        return any(left) and any(right) and 2 * (sum(left) + sum(right)) >= len(left) + len(right)
