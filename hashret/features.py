"""Features: documents as dense or sparse matrices, produced by a vectorizer and read by an encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, overload

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

LENGTHS = 0.05  # a length that is further than this from 1 is not that of a normalized vector


FEATURE_TYPES = {
    "counts": "word counts: whole numbers of at least 0",
    "unit": "values from 0 to 1: pixel brightness, or word weights in rows of length 1",
    "real": "any real numbers",
}


@dataclass(frozen=True, slots=True)
class CSRMatrix:
    """A sparse matrix [n, width] in CSR format: row i has data[offsets[i]:offsets[i + 1]] at columns indices[...]."""

    data: Floats  # [nonzeros]
    indices: npt.NDArray[np.int32]  # [nonzeros]
    offsets: npt.NDArray[np.int64]  # [n + 1]
    width: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, rows: npt.NDArray[Any]) -> CSRMatrix:
        """Return the rows with these numbers, in the given order."""
        starts, lengths = self.offsets[rows], np.diff(self.offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return CSRMatrix(self.data[places], self.indices[places], offsets, self.width)

    def slice(self, start: int, stop: int) -> CSRMatrix:
        """Return rows `start` to `stop` without copying their values."""
        offsets = self.offsets[start : stop + 1]
        here = slice(int(offsets[0]), int(offsets[-1]))
        return CSRMatrix(self.data[here], self.indices[here], offsets - offsets[0], self.width)

    def dense(self) -> Floats:
        """Return the dense matrix, float32 [n, width]."""
        matrix = np.zeros((len(self), self.width), np.float32)
        matrix[np.repeat(np.arange(len(self)), np.diff(self.offsets)), self.indices] = self.data
        return matrix

    def matmul(self, weight: Floats) -> Floats:
        """Multiply by weight [width, out] -> float32 [n, out], row by row, so that results do not depend on batches."""
        result = np.zeros((len(self), weight.shape[1]), np.float32)
        edges = self.offsets.tolist()
        for row, (start, stop) in enumerate(pairwise(edges)):
            np.matmul(self.data[start:stop], weight[self.indices[start:stop]], out=result[row])
        return result


@dataclass(frozen=True, slots=True)
class Features:
    """The features of some documents, which may include further views of the same documents."""

    input: Floats | CSRMatrix  # [n, dim]
    shape: tuple[int, ...]  # shape of one row, such as (1, 28, 28)
    feature_type: str = "real"  # a key of FEATURE_TYPES
    views: tuple[Floats | CSRMatrix, ...] = ()  # other matrices of the same documents, for the neighbour graph

    def __len__(self) -> int:
        return len(self.input)

    def take(self, rows: npt.NDArray[Any]) -> Features:
        """The documents with these numbers, in that order."""
        some = [part.take(rows) if isinstance(part, CSRMatrix) else part[rows] for part in (self.input, *self.views)]
        return Features(some[0], self.shape, self.feature_type, tuple(some[1:]))


@dataclass(frozen=True, slots=True)
class Vectors:
    """Features made small; a quantizer knows what the values mean."""

    values: npt.NDArray[Any]  # [n, width], uint8, int8 or float32
    norms: Floats  # [n], length of what the values stand for; 0 for a document without features

    def take(self, rows: npt.NDArray[Any]) -> Vectors:
        """The rows of these numbers, in that order."""
        return Vectors(self.values[rows], self.norms[rows])


def concatenate_vectors(parts: Sequence[Vectors]) -> Vectors:
    """The rows of all, one after the other."""
    return Vectors(np.concatenate([part.values for part in parts]), np.concatenate([part.norms for part in parts]))


def stacked(parts: Sequence[Floats | CSRMatrix]) -> Floats | CSRMatrix:
    """Concatenate the rows of all parts; there must be at least one, and all must be dense or all sparse."""
    sparse = [part for part in parts if isinstance(part, CSRMatrix)]
    if not sparse:
        return np.concatenate([part for part in parts if not isinstance(part, CSRMatrix)])
    lengths = np.concatenate([np.diff(part.offsets) for part in sparse])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    data, indices = (np.concatenate([getattr(part, name) for part in sparse]) for name in ("data", "indices"))
    return CSRMatrix(data, indices, offsets, sparse[0].width)


def take(matrix: Floats | CSRMatrix, rows: npt.NDArray[Any]) -> Floats:
    """Return the rows with these numbers as a dense matrix, float32 [len(rows), dim]."""
    return matrix.take(rows).dense() if isinstance(matrix, CSRMatrix) else matrix[rows]


def mean_of(matrix: Floats | CSRMatrix) -> Floats:
    """Return the mean of the rows, float32 [dim]."""
    if isinstance(matrix, CSRMatrix):
        total = np.bincount(matrix.indices, weights=matrix.data, minlength=matrix.width)
        return (total / len(matrix)).astype(np.float32)
    return np.asarray(matrix.mean(axis=0, dtype=np.float64), np.float32)


def not_normalized(lengths: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_] | None:
    """Return which lengths of vectors are not 1, bool [n]; None if all are, or if most are not."""
    others = (np.abs(lengths - 1) > LENGTHS) & (lengths > 0)
    return others if 0 < 2 * others.sum() < len(lengths) else None


@overload
def unit(matrix: Floats) -> Floats: ...
@overload
def unit(matrix: CSRMatrix) -> CSRMatrix: ...
def unit(matrix: Floats | CSRMatrix) -> Floats | CSRMatrix:
    """Scale each row to length 1; rows of zeros stay unchanged."""
    if isinstance(matrix, CSRMatrix):
        count = np.diff(matrix.offsets)
        lengths = np.sqrt(np.bincount(np.repeat(np.arange(len(matrix)), count), matrix.data**2, len(matrix)))
        scale = np.repeat(1 / np.where(lengths > 0, lengths, 1), count).astype(np.float32)
        return CSRMatrix(matrix.data * scale, matrix.indices, matrix.offsets, matrix.width)
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.asarray(matrix / np.where(lengths > 0, lengths, 1), np.float32)
