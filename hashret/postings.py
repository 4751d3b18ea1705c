"""Postings: which documents of a segment contain which term, how often and where.

Two forms of the same facts. `Occurrences` lists the terms of each document in order: it is cheap to extend, cut and
join. `arrays` turns it into the form on disk, where one term's documents are read together:

    terms       bytes uint8, offsets uint32 [terms + 1]: the terms, UTF-8, sorted
    postings    bytes uint8, offsets uint32 [terms + 1]: the documents of each term, and its count in them
    positions   bytes uint8, offsets uint32 [terms + 1]: where it occurs, in the order of its postings
    df          uint32 [terms]: number of documents that have each term
    lengths     uint32 [documents]: number of terms of each document
    pairs       uint32 [documents]: number of pairs of neighbouring terms of each document

_ranking.c describes the bytes of postings and positions. Terms without positions (stop words) form no pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from hashret import loops

NO_POSITION = -1
STRINGS = ("terms", "postings", "positions")
DTYPES: Mapping[str, type[np.generic]] = {
    **{f"{name}/bytes": np.uint8 for name in STRINGS},
    **{f"{name}/offsets": np.uint32 for name in STRINGS},
    "df": np.uint32,
    "lengths": np.uint32,
    "pairs": np.uint32,
}
"""The arrays of one field of documents on disk."""

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Occurrences:
    """The terms of documents, document by document."""

    vocabulary: list[str]
    offsets: Int64s  # [documents + 1]
    terms: Int32s  # [occurrences], numbers of terms in the vocabulary
    positions: Int32s  # [occurrences], NO_POSITION for stop words; ascending in a document
    pairs: Int64s  # [documents], number of pairs of neighbouring terms

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, rows: npt.NDArray[Any]) -> Occurrences:
        """The documents in these rows, in that order."""
        starts, lengths = self.offsets[rows], np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return Occurrences(self.vocabulary, offsets, self.terms[places], self.positions[places], self.pairs[rows])


def concatenate_occurrences(parts: Sequence[Occurrences]) -> Occurrences:
    """The documents of all parts, one after the other."""
    number: dict[str, int] = {}
    terms = []
    for part in parts:
        own = np.array([number.setdefault(term, len(number)) for term in part.vocabulary], np.int32)
        terms.append(own[part.terms] if len(own) else part.terms)
    lengths = np.concatenate([np.diff(part.offsets) for part in parts])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    positions, pairs = (np.concatenate([getattr(part, name) for part in parts]) for name in ("positions", "pairs"))
    return Occurrences(list(number), offsets, np.concatenate(terms), positions, pairs)


def arrays(found: Occurrences) -> dict[str, npt.NDArray[Any]]:
    """The form on disk, by the names in DTYPES."""
    used = np.zeros(len(found.vocabulary), bool)
    used[found.terms] = True
    each = (
        (found.vocabulary[place].encode("utf-8", "surrogatepass"), place) for place in np.flatnonzero(used).tolist()
    )
    kept = sorted(each)
    rank = np.zeros(len(found.vocabulary), np.int64)
    rank[[place for _, place in kept]] = np.arange(len(kept))
    terms = rank[found.terms] if len(found.terms) else np.zeros(0, np.int64)
    order = np.argsort(terms, kind="stable")
    terms, positions = terms[order], found.positions[order].astype(np.int64)
    documents = np.repeat(np.arange(len(found)), np.diff(found.offsets))[order]
    first = _first_of(terms, documents)
    counts = np.diff(np.append(first, len(terms)))
    lengths = np.diff(found.offsets)
    return {
        **_strings("terms", [term for term, _ in kept]),
        **_postings(terms[first], documents[first], counts, len(kept)),
        **_positions(terms, positions, first, counts, len(kept)),
        "df": np.bincount(terms[first], minlength=len(kept)).astype(np.uint32),
        "lengths": lengths.astype(np.uint32),
        "pairs": found.pairs.astype(np.uint32),
    }


def occurrences(read: Callable[[str], npt.NDArray[Any]], rows: int) -> Occurrences:
    """The form in memory of what is on disk; `read(name)` returns an array of DTYPES.

    Raises ValueError if the arrays are damaged.
    """
    data, edges = bytes(read("terms/bytes")), read("terms/offsets").tolist()
    vocabulary = [data[a:b].decode("utf-8", "surrogatepass") for a, b in pairwise(edges)]
    documents, counts, each = loops.unpack(read("postings/bytes"), read("postings/offsets"), rows)
    terms = np.repeat(np.arange(len(vocabulary)), each)
    placed = np.diff(read("positions/offsets").astype(np.int64))[terms] > 0
    steps = loops.integers(read("positions/bytes")).astype(np.int64)
    if len(steps) != counts[placed].sum():
        raise ValueError("postings and positions do not match")
    positions = np.full(int(counts.sum()), NO_POSITION, np.int32)
    positions[np.repeat(placed, counts)] = loops.running(steps, counts[placed])
    documents, terms = np.repeat(documents, counts), np.repeat(terms, counts)
    order = np.lexsort((positions, documents))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(documents, minlength=rows))]).astype(np.int64)
    return Occurrences(
        vocabulary, offsets, terms[order].astype(np.int32), positions[order], read("pairs").astype(np.int64)
    )


def _first_of(terms: Int64s, documents: Int64s) -> Int64s:
    """Where a new posting begins among occurrences sorted by term and document."""
    new = np.ones(len(terms), bool)
    new[1:] = (np.diff(terms) != 0) | (np.diff(documents) != 0)
    return np.flatnonzero(new)


def _postings(terms: Int64s, documents: Int64s, counts: Int64s, number: int) -> dict[str, npt.NDArray[Any]]:
    steps = np.diff(documents, prepend=0)
    new = np.diff(terms, prepend=-1) != 0
    steps[new] = documents[new]
    several = counts > 1
    places = np.arange(len(terms)) + np.cumsum(several) - several
    values = np.zeros(len(terms) + int(several.sum()), np.int64)
    values[places] = 2 * steps + ~several
    values[places[several] + 1] = counts[several]
    return _by_term("postings", values, np.repeat(terms, 1 + several), number)


def _positions(
    terms: Int64s, positions: Int64s, first: Int64s, counts: Int64s, number: int
) -> dict[str, npt.NDArray[Any]]:
    steps = np.diff(positions, prepend=0)
    steps[first] = positions[first]
    placed = positions != NO_POSITION
    return _by_term("positions", steps[placed], terms[placed], number)


def _by_term(name: str, values: Int64s, terms: Int64s, number: int) -> dict[str, npt.NDArray[Any]]:
    """Values as variable-length integers, and where those of each term begin."""
    data, sizes = loops.as_integers(values)
    total = np.bincount(terms, weights=sizes, minlength=number).astype(np.int64)
    return {f"{name}/bytes": data, f"{name}/offsets": _offsets(total)}


def _strings(name: str, values: Sequence[bytes]) -> dict[str, npt.NDArray[Any]]:
    lengths = np.array([len(value) for value in values], np.int64)
    return {f"{name}/bytes": np.frombuffer(b"".join(values), np.uint8), f"{name}/offsets": _offsets(lengths)}


def _offsets(lengths: Int64s) -> npt.NDArray[np.uint32]:
    ends = np.concatenate([[0], np.cumsum(lengths)])
    if ends[-1] >= 1 << 32:
        raise ValueError("postings of more than 4 GiB in one segment")
    return ends.astype(np.uint32)
