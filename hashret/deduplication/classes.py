"""Classes: documents with equal contents. Only one of each is compared with others."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

from hashret.deduplication.candidates import Candidates
from hashret.deduplication.collection import Collection, Item
from hashret.deduplication.sameness import Sameness
from hashret.search.join import Pairs

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Similar:
    """Two classes whose contents are similar."""

    first: int
    second: int
    distance: int
    similarity: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides which document is kept."""

    length: int
    size: int
    labels: int


@dataclass(frozen=True)
class Classes:
    """The classes of all documents that have a candidate."""

    members: list[list[int]]
    """The places of the documents of each class, ascending."""
    facts: dict[int, Facts]
    """By place."""
    of_sketch: dict[int, list[int]]
    """The classes with each sketch, in order of their first documents."""

    @classmethod
    def read(cls, documents: Collection, found: Candidates, sameness: Sameness | None) -> Classes:
        """Read the documents that have a candidate. Without `sameness`, all with one sketch are one class."""
        paired = np.zeros(len(found.members), bool)
        paired[found.pairs.first] = paired[found.pairs.second] = True
        active = [n for n, own in enumerate(found.members) if paired[n] or len(own) > 1]
        sketch = np.full(len(documents), -1)
        for number in active:
            sketch[found.members[number]] = number
        classes: dict[tuple[int, bytes], int] = {}
        made = cls([], {}, defaultdict(list))
        for place, item in documents.items(np.flatnonzero(sketch >= 0)):
            key = int(sketch[place]), b"" if sameness is None else sameness.key(item)
            number = classes.setdefault(key, len(made.members))
            if number == len(made.members):
                made.members.append([])
                made.of_sketch[key[0]].append(number)
                if sameness is not None:
                    sameness.add(item)
            made.members[number].append(place)
            made.facts[place] = _facts(item)
        return made

    def pairs(self, pairs: Pairs, most: int) -> tuple[Numbers, Numbers, Numbers]:
        """Return the pairs of classes to compare and the distances of their sketches.

        Of the classes with one sketch, the first `most` are compared with all others, so that the time is linear.
        """
        found: list[tuple[int, int, int]] = []
        for own in self.of_sketch.values():
            found += [(a, b, 0) for a, b in combinations(own[:most], 2)]
            found += [(a, b, 0) for a, b in product(own[:most], own[most:])]
        only = np.full(1 + max(self.of_sketch, default=0), -1)  # the class of each sketch that has one
        for sketch, own in self.of_sketch.items():
            only[sketch] = own[0] if len(own) == 1 else -1
        first, second = only[pairs.first], only[pairs.second]
        simple = (first >= 0) & (second >= 0)
        rest = zip(*(own[~simple].tolist() for own in (pairs.first, pairs.second, pairs.distances)), strict=True)
        for one, other, distance in rest:
            both = product(self.of_sketch[one][:most], self.of_sketch[other][:most])
            found += [(a, b, distance) for a, b in both]
        more = np.array(found, np.int64).reshape(-1, 3).T
        columns = (first[simple], second[simple], pairs.distances[simple].astype(np.int64))
        one, other, distances = (np.concatenate(own) for own in zip(more, columns, strict=True))
        return one, other, distances


def _facts(item: Item) -> Facts:
    return Facts(item.length, item.size, item.labels)
