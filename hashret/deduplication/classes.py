"""Classes: documents with equal contents. Only one of each is compared with others."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

from hashret.deduplication.candidates import Candidates
from hashret.deduplication.collection import Collection
from hashret.deduplication.contents import Contents
from hashret.deduplication.memory import UNKNOWN, Digests, Memory
from hashret.search.join import Pairs

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Similar:
    """Two classes whose contents are similar."""

    first: int
    second: int
    distance: int
    similarity: float


@dataclass(frozen=True)
class Classes:
    """The classes of all documents that have a candidate."""

    members: list[list[int]]
    """The places of the documents of each class, ascending."""
    of_sketch: dict[int, list[int]]
    """The classes with each sketch, in order of their first documents."""
    digests: Digests
    """Of the contents of each class."""
    documents: Memory
    """The documents that were read now or before."""
    facts: Numbers
    """Length, size and number of labels of each document that has a candidate, by place."""

    @classmethod
    def read(
        cls, documents: Collection, found: Candidates, contents: Contents | None, memory: Memory | None
    ) -> Classes:
        """Read the documents that have a candidate and are not known.

        Without `contents`, all documents with one sketch are one class.
        """
        sketch = _active(found)
        places = np.flatnonzero(sketch >= 0)
        digests, own = np.zeros((len(places), 2), np.uint64), np.zeros((len(places), 3), np.int64)
        keys = documents.keys(places)
        known = np.zeros(len(places), bool)
        if memory is not None and contents is not None:
            place = memory.find_documents(keys)
            known = place != UNKNOWN
            digests[known], own[known] = memory.digests[place[known]], memory.facts[place[known]]
        unknown = np.flatnonzero(~known)
        for number, (_, item) in zip(unknown.tolist(), documents.items(places[unknown]), strict=True):
            own[number] = item.length, item.size, item.labels
            if contents is not None:
                digests[number] = contents.add(item)
        facts = np.zeros((len(documents), 3), np.int64)
        facts[places] = own
        members, firsts, of_sketch = list[list[int]](), list[int](), defaultdict[int, list[int]](list)
        classes: dict[tuple[int, int, int], int] = {}
        contained = zip(sketch[places].tolist(), *digests.T.tolist(), strict=True)
        for row, (at, key) in enumerate(zip(places.tolist(), contained, strict=True)):
            number = classes.setdefault(key, len(members))
            if number == len(members):
                members.append([])
                firsts.append(row)
                of_sketch[key[0]].append(number)
            members[number].append(at)
        fixed = keys >= 0
        kept = Memory.of_documents(keys[fixed], digests[fixed], own[fixed])
        return cls(members, of_sketch, digests[firsts], kept, facts)

    def pairs(self, pairs: Pairs, most: int) -> tuple[Numbers, Numbers, Numbers]:
        """Return the pairs of classes to compare and the distances of their sketches.

        Of the classes with one sketch, the first `most` are compared with all others, so that the time is linear.
        """
        found, parts = list[tuple[int, int, int]](), list[Numbers]()
        for own in self.of_sketch.values():
            found += [(a, b, 0) for a, b in combinations(own[:most], 2)]
            if len(own) > most:
                one, other = np.repeat(own[:most], len(own) - most), np.tile(own[most:], most)
                parts.append(np.stack([one, other, np.zeros_like(one)]))
        only = np.full(1 + max(self.of_sketch, default=0), -1)  # the class of each sketch that has one
        for sketch, own in self.of_sketch.items():
            only[sketch] = own[0] if len(own) == 1 else -1
        first, second = only[pairs.first], only[pairs.second]
        simple = (first >= 0) & (second >= 0)
        rest = zip(*(own[~simple].tolist() for own in (pairs.first, pairs.second, pairs.distances)), strict=True)
        for one, other, distance in rest:
            both = product(self.of_sketch[one][:most], self.of_sketch[other][:most])
            found += [(a, b, distance) for a, b in both]
        parts.append(np.array(found, np.int64).reshape(-1, 3).T)
        parts.append(np.stack([first[simple], second[simple], pairs.distances[simple].astype(np.int64)]))
        one, other, distances = np.concatenate(parts, axis=1)
        return one, other, distances


def _active(found: Candidates) -> Numbers:
    """Return the sketch of each document that has a candidate, -1 for the others."""
    active = found.lasts > found.firsts
    active[found.pairs.first] = active[found.pairs.second] = True
    return np.where(active[found.sketch], found.sketch, -1)
