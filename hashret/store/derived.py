"""Vectors, words, titles, original features and sketches of documents, which an index stores beside their codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from hashret import loops, postings
from hashret.codes import Codes
from hashret.features import Vectors, concatenate_vectors
from hashret.postings import Occurrences, concatenate_occurrences

FIELDS = ("words", "titles")
VECTORS = ("vectors/uint8", "vectors/int8", "vectors/float32")
"""Possible names of the array of vectors, one per dtype."""
ORIGINALS = ("originals/int8", "originals/float32")
"""Possible names of the array of features that vectors were made of."""
SKETCHES = "sketches"


@dataclass(frozen=True, slots=True)
class Derived:
    """What is stored of n documents for ranking and for duplicates. Parts that the index does not store are None."""

    vectors: Vectors | None = None
    words: Occurrences | None = None
    titles: Occurrences | None = None
    originals: npt.NDArray[Any] | None = None  # features [n, dim], int8 or float32, to score the best documents again
    sketches: Codes | None = None  # uint8 [n, 16], see hashret/sketches.py

    def take(self, rows: npt.NDArray[Any]) -> Derived:
        """Return the documents at these rows, in this order."""
        return Derived(
            None if self.vectors is None else self.vectors.take(rows),
            None if self.words is None else self.words.take(rows),
            None if self.titles is None else self.titles.take(rows),
            None if self.originals is None else self.originals[rows],
            None if self.sketches is None else self.sketches[rows],
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays to store in a segment, by name."""
        found: dict[str, npt.NDArray[Any]] = {}
        if self.vectors is not None:
            found |= {f"vectors/{self.vectors.values.dtype}": self.vectors.values, "vectors/norms": self.vectors.norms}
        if self.originals is not None:
            found[f"originals/{self.originals.dtype}"] = self.originals
        if self.sketches is not None:
            found[SKETCHES] = self.sketches
        for name, own in zip(FIELDS, (self.words, self.titles), strict=True):
            if own is not None:
                found |= {f"{name}/{key}": array for key, array in postings.arrays(own).items()}
        return found


def concatenate_derived(parts: Sequence[Derived]) -> Derived:
    """Concatenate documents. All `parts` must have the same parts set; only sketches are left out if one lacks them."""
    vectors = [part.vectors for part in parts if part.vectors is not None]
    words = [part.words for part in parts if part.words is not None]
    titles = [part.titles for part in parts if part.titles is not None]
    originals = [part.originals for part in parts if part.originals is not None]
    sketches = [part.sketches for part in parts if part.sketches is not None]
    return Derived(
        concatenate_vectors(vectors) if vectors else None,
        concatenate_occurrences(words) if words else None,
        concatenate_occurrences(titles) if titles else None,
        np.concatenate(originals) if originals else None,
        np.concatenate(sketches) if len(sketches) == len(parts) else None,  # made again when they are needed
    )


class Postings:
    """The postings of one field of a segment, read one term at a time."""

    def __init__(self, rows: int, read: Callable[[str], npt.NDArray[Any]]) -> None:
        self.rows = rows
        self._read = cache(read)  # returns a complete array of postings.DTYPES

    def find(self, term: str) -> tuple[bytes, bytes, int] | None:
        """Return the postings and positions of a term, as bytes, and its document frequency. None if not found."""
        wanted = term.encode("utf-8", "surrogatepass")
        offsets, data = self._read("terms/offsets"), self._read("terms/bytes")
        low, high = 0, len(offsets) - 1
        while low < high:
            middle = (low + high) // 2
            found = data[offsets[middle] : offsets[middle + 1]].tobytes()
            if found == wanted:
                return self._slice("postings", middle), self._slice("positions", middle), int(self._read("df")[middle])
            low, high = (middle + 1, high) if found < wanted else (low, middle)
        return None

    def _slice(self, name: str, term: int) -> bytes:
        offsets = self._read(f"{name}/offsets")
        return self._read(f"{name}/bytes")[offsets[term] : offsets[term + 1]].tobytes()

    def lengths(self) -> npt.NDArray[np.uint32]:
        """Return the number of terms of each document, [rows]."""
        return self._read("lengths")

    def pairs(self) -> npt.NDArray[np.uint32]:
        """Return the number of pairs of adjacent terms of each document, [rows]."""
        return self._read("pairs")

    def occurrences(self) -> Occurrences:
        """Return all postings, grouped by document. Raises ValueError if they are damaged."""
        return postings.occurrences(self._read, self.rows)

    def check(self) -> None:
        """Raise ValueError if the arrays are inconsistent."""
        for name in postings.STRINGS:
            offsets = self._read(f"{name}/offsets").astype(np.int64)
            if len(offsets) != len(self._read("terms/offsets")) or offsets[0] or (np.diff(offsets) < 0).any():
                raise ValueError(f"{name} has wrong offsets")
            if offsets[-1] != len(self._read(f"{name}/bytes")):
                raise ValueError(f"{name} has the wrong length")
        _, _, each = loops.unpack(self._read("postings/bytes"), self._read("postings/offsets"), self.rows)
        if len(each) != len(self._read("df")) or (each != self._read("df")).any():
            raise ValueError("df differs from the postings")
        found = self.occurrences()
        if found.vocabulary != sorted(set(found.vocabulary), key=lambda term: term.encode("utf-8", "surrogatepass")):
            raise ValueError("terms are not sorted")
        if (np.diff(found.offsets) != self.lengths()).any():
            raise ValueError("lengths differ from the postings")
