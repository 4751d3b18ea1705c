"""The loops over postings, codes and scores: compiled where there is a C compiler, otherwise the same in NumPy.

Each works through all documents in one fixed order, so equal input gives equal bits.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hashret.codes import Codes
from hashret.extensions import extension
from hashret.features import Floats

Ints = npt.NDArray[np.uint32]
Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

NOTHING = np.zeros(0, np.uint8)
EQUAL = 1e-6  # a deviation below this share of the largest value is rounding


_compiled = extension("_ranking")


def bm25(postings: bytes, norms: Doubles, weight: float, scores: Doubles) -> None:
    """Add weight * count / (count + norm) to the scores [rows] of the documents in a term's postings.

    Raises ValueError if the postings are damaged.
    """
    if _compiled is not None:
        _compiled.bm25(postings, norms, weight, scores)
        return
    rows, counts = _posting_rows(postings, len(scores))
    scores[rows] += weight * (counts / (counts + norms[rows]))


def count(postings: bytes, live: Mask) -> int:
    """Return the number of documents in a term's postings that are live [rows]."""
    if _compiled is not None:
        return int(_compiled.count(postings, live))
    return int(live[_posting_rows(postings, len(live))[0]].sum())


def pairs(first: bytes, first_at: bytes, second: bytes, second_at: bytes, rows: int) -> tuple[Ints, Ints]:
    """Return the documents in which the second term directly follows the first, and how often it does.

    Takes the postings and positions of the two terms.
    """
    if _compiled is not None:
        found = np.frombuffer(_compiled.pairs(first, first_at, second, second_at, rows), np.uint32)
        return found[::2], found[1::2]
    before, after = _places(first, first_at, rows), _places(second, second_at, rows)
    return tuple(np.unique(before[np.isin(before + 1, after)] >> 32, return_counts=True))


def unpack(postings: bytes | npt.NDArray[np.uint8], offsets: Ints, rows: int) -> tuple[Ints, Ints, Ints]:
    """Return the document and the count of each posting of many terms, and the number of postings of each term.

    offsets [terms + 1]: where the postings of each term begin.
    """
    if _compiled is not None:
        documents, counts, each = _compiled.unpack(postings, offsets, rows)
        return tuple(np.frombuffer(part, np.uint32) for part in (documents, counts, each))  # type: ignore[return-value]
    data, edges = bytes(postings), offsets.tolist()
    if edges != sorted(edges) or edges[-1] > len(data):
        raise ValueError("postings are damaged")
    parts = [_posting_rows(data[a:b], rows) for a, b in pairwise(edges)]
    empty = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    documents, counts = (np.concatenate(part).astype(np.uint32) for part in zip(*(empty + parts), strict=True))
    return documents, counts, np.array([len(own) for own, _ in parts], np.uint32)


def integers(data: bytes | npt.NDArray[np.uint8]) -> Ints:
    """Return the variable-length integers in a byte string; raises ValueError if it is damaged."""
    if _compiled is not None:
        return np.frombuffer(_compiled.integers(data), np.uint32)
    values = np.frombuffer(data, np.uint8).astype(np.int64)
    ends = np.flatnonzero(values < 128)
    if not len(values):
        return np.zeros(0, np.uint32)
    if not len(ends) or ends[-1] != len(values) - 1:
        raise ValueError("postings are damaged")
    starts = np.concatenate([[0], ends[:-1] + 1])
    shifts = 7 * (np.arange(len(values)) - np.repeat(starts, ends - starts + 1))
    if shifts.max() > 28 or (values[shifts == 28] > 15).any():
        raise ValueError("postings are damaged")
    return np.add.reduceat((values & 127) << shifts, starts).astype(np.uint32)


def as_integers(values: npt.NDArray[np.integer]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return unsigned integers of at most 32 bits as variable-length integers: the bytes, and the size of each."""
    values = np.asarray(values, np.int64)
    sizes = np.ones(len(values), np.int64)
    for shift in (7, 14, 21, 28):
        sizes += values >= 1 << shift
    starts = np.cumsum(sizes) - sizes
    data = np.zeros(int(sizes.sum()), np.uint8)
    for place in range(int(sizes.max(initial=0))):
        here = sizes > place
        more = np.where(sizes[here] > place + 1, 128, 0)
        data[starts[here] + place] = (values[here] >> 7 * place) & 127 | more
    return data, sizes


def table_scores(
    codes: Codes, table: npt.NDArray[np.int32], scale: float, offset: float, norms: Floats | None = None
) -> Doubles:
    """Return scale * (sum of the entries of a code's bytes in a table int32 [width, 256]) + offset, for each code.

    codes [n, width]. If there are norms [n], each is divided by its norm; it is 0 where the norm is 0.
    """
    if _compiled is not None:
        scores = np.empty(len(codes))
        tables, given = np.ascontiguousarray(table), NOTHING if norms is None else np.ascontiguousarray(norms)
        _compiled.table_scores(np.ascontiguousarray(codes), codes.shape[1], tables, scale, offset, given, scores)
        return scores
    sums = np.zeros(len(codes), np.int32)
    for place in range(codes.shape[1]):
        sums += table[place][codes[:, place]]
    values = np.asarray(sums * scale + offset, np.float64)
    if norms is not None:
        values = np.where(norms > 0, values / np.where(norms > 0, norms, 1).astype(np.float64), 0.0)
    return values


def standardize(values: Doubles, absent: Mask | None, weight: float, scores: Doubles) -> float:
    """Add weight * (value - mean) / deviation to the scores [n]. Returns the deviation.

    Values that are `absent` [n] count nowhere and add nothing. A deviation that is only rounding counts as 0: then
    nothing is added.
    """
    if _compiled is not None:
        return float(_compiled.standardize(values, NOTHING if absent is None else absent, weight, scores))
    here = np.ones(len(values), bool) if absent is None else ~absent
    if not here.any():
        return 0.0
    mean = values[here].mean()
    deviation = float(np.sqrt(np.square(values[here] - mean).mean()))
    if not deviation > EQUAL * np.abs(values[here]).max():
        return 0.0
    scores[here] += weight * ((values[here] - mean) / deviation)
    return deviation


def top(scores: Doubles, allowed: Mask | None, k: int) -> tuple[npt.NDArray[np.int64], int]:
    """Return the positions of the k highest scores [n], best first, ties by position, of those that are allowed [n].

    The second value is the number of allowed documents with the score of the last one.
    """
    if _compiled is not None:
        positions, ties = _compiled.top(scores, NOTHING if allowed is None else allowed, k)
        return np.frombuffer(positions, np.int64), ties
    places = np.arange(len(scores)) if allowed is None else np.flatnonzero(allowed)
    order = places[np.argsort(-scores[places], kind="stable")]
    chosen = order[:k]
    return chosen, int((scores[places] == scores[chosen[-1]]).sum()) if len(chosen) else 0


def _posting_rows(postings: bytes, rows: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The documents and counts of a term's postings."""
    values = iter(integers(postings).tolist())
    documents: list[int] = []
    counts: list[int] = []
    row = -1
    for value in values:
        row = max(row, 0) + (value >> 1)
        count = 1 if value & 1 else next(values, 0)
        if row >= rows or (documents and row == documents[-1]) or (count < 2 and not value & 1):
            raise ValueError("postings are damaged")
        documents.append(row)
        counts.append(count)
    return np.array(documents, np.int64), np.array(counts, np.int64)


def _places(postings: bytes, positions: bytes, rows: int) -> npt.NDArray[np.int64]:
    """Document * 2^32 + position, of each occurrence of a term."""
    documents, counts = _posting_rows(postings, rows)
    steps = integers(positions).astype(np.int64)
    if len(steps) != counts.sum():
        raise ValueError("postings are damaged")
    return (np.repeat(documents, counts) << 32) + running(steps, counts)


def running(steps: npt.NDArray[np.int64], counts: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Cumulative sums within groups of `counts` values."""
    sums = np.cumsum(steps)
    before = np.concatenate([[0], sums])[np.cumsum(counts) - counts]
    return np.asarray(sums - np.repeat(before, counts), np.int64)
