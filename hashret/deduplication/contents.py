"""The contents that are compared, by their digests."""

from __future__ import annotations

import hashlib

import numpy as np

from hashret.deduplication.collection import Collection, Item
from hashret.deduplication.memory import Digests, Numbers
from hashret.deduplication.sameness import Sameness


class Contents:
    """Takes in each different content once."""

    def __init__(self, sameness: Sameness) -> None:
        self.sameness = sameness
        self._number: dict[tuple[int, int], int] = {}

    def add(self, item: Item) -> tuple[int, int]:
        """Take in a content, and return its digest."""
        data = hashlib.blake2b(self.sameness.key(item), digest_size=16).digest()
        digest = int.from_bytes(data[:8], "little"), int.from_bytes(data[8:], "little")
        if digest not in self._number:
            self._number[digest] = len(self._number)
            self.sameness.add(item)
        return digest

    def numbers(self, digests: Digests, places: Numbers, documents: Collection) -> Numbers:
        """Return the number of each content in `sameness`; those that were not read yet are read at these places."""
        wanted = list(zip(*digests.T.tolist(), strict=True))
        missing = [place for place, digest in zip(places.tolist(), wanted, strict=True) if digest not in self._number]
        for _, item in documents.items(np.array(sorted(missing), np.int64)):
            self.add(item)
        return np.array([self._number[digest] for digest in wanted], np.int64)
