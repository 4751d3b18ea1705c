"""How similar the contents of two documents are, 0 to 1. One class per type of document."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from hashret.deduplication.collection import Item
from hashret.deduplication.images import NEAR, SIMILAR, Prepared, similarity
from hashret.deduplication.shingles import Shingles, words_of
from hashret.image_sketch import RADIUS, digest

Numbers = npt.NDArray[np.int64]
Similarities = npt.NDArray[np.float64]

PREPARED = 1000  # images kept ready to be compared, 0.2 MB each


class Sameness(ABC):
    """Compares contents. They are added one by one, and are then known by their numbers."""

    thresholds: ClassVar[dict[str, float]]
    """Least similarity by preset."""

    @abstractmethod
    def radii(self, threshold: float) -> Sequence[int]:
        """Return within how many of 128 bits the sketches of documents so similar differ.

        Several numbers are in descending order: a wider radius misses less, and has more pairs to verify.
        """

    @abstractmethod
    def key(self, item: Item) -> bytes:
        """Return what is equal for equal contents."""

    @abstractmethod
    def add(self, item: Item) -> None:
        """Take in the next content."""

    @abstractmethod
    def similarities(self, first: Numbers, second: Numbers) -> Similarities:
        """Return the similarity of each pair of contents."""

    def apart(self, first: int, second: int) -> bool:
        """Whether two similar contents differ in what makes them different documents, such as numbers."""
        return False


class Texts(Sameness):
    """Two fifths each of the Jaccard similarities of words and of pairs of neighbouring words, and a fifth of the
    containment of the words, which is the share of the shorter text's words that the other one has (Broder 1997).
    """

    thresholds: ClassVar = {"exact": 1.0, "near": 0.55, "similar": 0.45}
    widths: ClassVar = (48, 44, 40, 36, 33, 30)
    of_near: ClassVar = (36, 33, 30)  # of edited texts so similar, 1 to 4 % differ in more than 36 bits, 1 to 8 % in 30

    def __init__(self) -> None:
        self.shingles = Shingles()

    def radii(self, threshold: float) -> Sequence[int]:
        """See `Sameness`."""
        if threshold >= 1:
            return (0,)
        return self.of_near if threshold >= self.thresholds["near"] else self.widths

    def key(self, item: Item) -> bytes:
        """Equal for texts with the same words in the same order; a text without words is equal to itself only."""
        text = " ".join(words_of(item.content)) or f"\0{item.content.strip()}"
        return text.encode("utf-8", "surrogatepass")

    def add(self, item: Item) -> None:
        """Take in the next text."""
        self.shingles.add(item.content)

    def similarities(self, first: Numbers, second: Numbers) -> Similarities:
        """Return the similarity of each pair of texts."""
        words, contained = self.shingles.words_of.overlaps(first, second)
        pairs, _ = self.shingles.pairs_of.overlaps(first, second)
        return 0.4 * words + 0.4 * pairs + 0.2 * contained

    def apart(self, first: int, second: int) -> bool:
        """Whether each has numbers that the other has not, and at least half of the words that differ are numbers."""
        return self.shingles.differ_in_numbers(first, second)


class Vectors(Sameness):
    """The cosine."""

    thresholds: ClassVar = {"exact": 1 - 1e-6, "near": 0.95, "similar": 0.9}

    def __init__(self) -> None:
        self.rows: list[npt.NDArray[np.float32]] = []

    def radii(self, threshold: float) -> Sequence[int]:
        """The mean of the bits that differ at this cosine, and 2.5 standard deviations more."""
        share = np.arccos(np.clip(threshold, -1, 1)) / np.pi
        return (int(np.ceil(128 * share + 2.5 * np.sqrt(128 * share * (1 - share)))),)

    def key(self, item: Item) -> bytes:
        """Equal for equal vectors."""
        return np.ascontiguousarray(item.content, np.float32).tobytes()

    def add(self, item: Item) -> None:
        """Take in the next vector."""
        vector = np.asarray(item.content, np.float32)
        self.rows.append(vector / max(float(np.linalg.norm(vector)), 1e-30))

    def similarities(self, first: Numbers, second: Numbers) -> Similarities:
        """Return the cosine of each pair of vectors."""
        found = [float(self.rows[a] @ self.rows[b]) for a, b in zip(first.tolist(), second.tolist(), strict=True)]
        return np.clip(np.array(found, np.float64), 0, 1)


class Images(Sameness):
    """The correlation of the pixels of small copies, after one is laid over the other."""

    thresholds: ClassVar = {"exact": 1.0, "near": NEAR, "similar": SIMILAR}

    def __init__(self) -> None:
        self.images: list[npt.NDArray[np.uint8]] = []
        self.motions: list[bytes] = []
        self.prepared = lru_cache(PREPARED)(lambda number: Prepared(self.images[number]))

    def radii(self, threshold: float) -> Sequence[int]:
        """See `image_sketch`."""
        return (0 if threshold >= 1 else RADIUS,)

    def key(self, item: Item) -> bytes:
        """Equal for equal pixels, and of animations only for equal files."""
        return digest(item.content) + item.motion

    def add(self, item: Item) -> None:
        """Take in the next image."""
        self.images.append(item.content)
        self.motions.append(item.motion)

    def similarities(self, first: Numbers, second: Numbers) -> Similarities:
        """Return the similarity of each pair of images."""
        pairs = zip(first.tolist(), second.tolist(), strict=True)
        return np.array([similarity(self.prepared(a), self.prepared(b)) for a, b in pairs], np.float64)

    def apart(self, first: int, second: int) -> bool:
        """Whether one of them moves: only their first frames were compared."""
        return self.motions[first] != self.motions[second]


KINDS: dict[str, type[Sameness]] = {"text": Texts, "vector": Vectors, "image": Images}
