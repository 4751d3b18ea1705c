"""Quantizers: the features of a document in a few bytes, for the part `vectors` of an index.

`BinaryAutoencoder` (Carreira-Perpinan and Raziperchikolaei, CVPR 2015): with codes b in {-1, 1}^L, one for each
document x, it minimizes

    sum of |x - m - W b|^2

over W and m by least squares, and over the codes by coordinate descent, in turn. It starts from the principal axes,
which get bits by their variance. A question q is not quantized: its score against a document is the cosine of q and
m + W b. The bits have different weights, so the Hamming distance between two of these codes means nothing.

`Int8` and `Float` keep the features themselves.

All of them work on features of length 1, after the centre is subtracted if there is one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from hashret.codes import pack, unpack
from hashret.errors import StoreError, UsageError
from hashret.features import CSRMatrix, Floats, Vectors, mean_of, take, unit
from hashret.progress import report

BYTES = 16  # of a document by default, at least
MOST_BYTES = 512
ROUNDS = 15
SWEEPS = 2  # of the coordinate descent in a round
LAST_SWEEPS = 6
FIT_ROWS = 10_000  # documents that are learned from
RIDGE = 1e-3  # of the least squares, as a share of the documents
FIRST_STEP = 0.8  # of a standard deviation: the weight of an axis's first bit; each further bit has half of the last
AT_ONCE = 4096  # documents encoded together

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Quantizer(ABC):
    """Turns features [n, dim] into vectors."""

    dim: int
    centre: Floats | None = None  # [dim], subtracted from all features

    name: ClassVar[str]
    dtype: ClassVar[type[np.generic]]

    @property
    def width(self) -> int:
        """Values stored for each document."""
        return self.dim

    def encode(self, features: Floats | CSRMatrix) -> Vectors:
        """The vectors of documents. A document without features gets a norm of 0."""
        parts = [self._encode(self.prepared(features, start)) for start in range(0, max(1, len(features)), AT_ONCE)]
        return Vectors(np.concatenate([part.values for part in parts]), np.concatenate([part.norms for part in parts]))

    def prepared(self, features: Floats | CSRMatrix, start: int = 0, count: int = AT_ONCE) -> Floats:
        """Features of some documents as dense rows of length 1, the centre subtracted; rows without features are 0."""
        rows = np.arange(start, min(start + count, len(features)))
        dense = take(features, rows).reshape(len(rows), self.dim)
        return unit(self._centred(dense))

    def _centred(self, dense: Floats) -> Floats:
        if self.centre is None:
            return dense
        return np.asarray((dense - self.centre) * dense.any(axis=1, keepdims=True), np.float32)

    @abstractmethod
    def _encode(self, rows: Floats) -> Vectors: ...

    @abstractmethod
    def decode(self, vectors: Vectors) -> Floats:
        """The features [n, dim] that the vectors stand for, of length 1."""

    def features(self, vectors: Vectors) -> Floats:
        """The decoded vectors [n, dim] with the centre added, as features of a query."""
        decoded = self.decode(vectors)
        return decoded if self.centre is None else np.asarray(decoded + self.centre, np.float32)

    def state(self) -> dict[str, Floats]:
        """What was learned."""
        return {} if self.centre is None else {"centre": self.centre}


@dataclass(frozen=True)
class BinaryAutoencoder(Quantizer):
    """One bit for each column of `weight`."""

    weight: Floats = None  # type: ignore[assignment]  # [dim, L], columns by descending length
    mean: Floats = None  # type: ignore[assignment]  # [dim]

    name = "binary"
    dtype = np.uint8

    @classmethod
    def fit(
        cls, features: Floats | CSRMatrix, bytes_: int = BYTES, centred: bool = False, seed: int = 0
    ) -> BinaryAutoencoder:
        """Learn from documents, of which at most 10,000 are drawn; no labels are used."""
        rows = np.random.default_rng(seed).permutation(len(features))[:FIT_ROWS]
        chosen = features.take(np.sort(rows)) if isinstance(features, CSRMatrix) else features[np.sort(rows)]
        centre = mean_of(chosen) if centred else None
        plain = Float(_dim(features), centre)
        x = np.concatenate([plain.prepared(chosen, start) for start in range(0, len(chosen), AT_ONCE)])
        axes, x = _reduced(x, 8 * bytes_)
        weight, mean = _fit(x.astype(np.float32), 8 * bytes_)
        return cls(
            plain.dim, centre, np.ascontiguousarray(axes @ weight, np.float32), np.asarray(axes @ mean, np.float32)
        )

    @property
    def width(self) -> int:
        """Bytes of a document's code."""
        return int(self.weight.shape[1]) // 8

    def _encode(self, rows: Floats) -> Vectors:
        products = np.asarray((rows - self.mean) @ self.weight, np.float32)
        bits = _descend(products, self.gram, LAST_SWEEPS)
        norms = np.linalg.norm(self.mean.astype(np.float64) + bits @ self.weight.T.astype(np.float64), axis=1)
        return Vectors(pack(bits > 0), np.where(rows.any(axis=1), norms, 0).astype(np.float32))

    @cached_property
    def gram(self) -> Floats:
        """The products of the columns, [L, L]."""
        return self.weight.T @ self.weight

    def decode(self, vectors: Vectors) -> Floats:
        """The features that the codes stand for."""
        bits = np.where(unpack(vectors.values, 8 * self.width), 1, -1).astype(np.float32)
        return unit((self.mean + bits @ self.weight.T) * (vectors.norms > 0)[:, None])

    def state(self) -> dict[str, Floats]:
        """What was learned."""
        return {**super().state(), "weight": self.weight, "mean": self.mean}


@dataclass(frozen=True)
class Float(Quantizer):
    """The features as they are, 4 bytes a dimension."""

    name = "float"
    dtype = np.float32

    def _encode(self, rows: Floats) -> Vectors:
        return Vectors(rows, np.asarray(rows.any(axis=1), np.float32))

    def decode(self, vectors: Vectors) -> Floats:
        """The features."""
        return np.asarray(vectors.values, np.float32)


@dataclass(frozen=True)
class Int8(Quantizer):
    """The features rounded to 255 steps of a size of their own, a byte a dimension."""

    name = "int8"
    dtype = np.int8

    def _encode(self, rows: Floats) -> Vectors:
        largest = np.abs(rows).max(axis=1, initial=0)[:, None]
        values = np.rint(127 * rows / np.where(largest > 0, largest, 1)).astype(np.int8)
        return Vectors(values, np.asarray(np.linalg.norm(values.astype(np.float32), axis=1), np.float32))

    def decode(self, vectors: Vectors) -> Floats:
        """About the features."""
        return unit(vectors.values.astype(np.float32))


KINDS: Mapping[str, type[Quantizer]] = {kind.name: kind for kind in (BinaryAutoencoder, Float, Int8)}


def fit(features: Floats | CSRMatrix, kind: int | str, centred: bool, seed: int = 0) -> Quantizer:
    """A quantizer for these features; `kind` is as `checked_kind` returns it."""
    if isinstance(kind, int):
        return BinaryAutoencoder.fit(features, kind, centred, seed)
    centre = mean_of(features) if centred else None
    return KINDS[kind](_dim(features), centre)


def default_kind(features: Floats | CSRMatrix, pretrained: bool) -> int:
    """Bytes a document by default: 16, and a bit a dimension for features of a model trained elsewhere."""
    return min(max(BYTES, -(-_dim(features) // 8)), MOST_BYTES) if pretrained else BYTES


def checked_kind(kind: object) -> int | str | None:
    """What `vectors` asks for: bytes, "int8", "float", "auto" or None. Raises UsageError for anything else."""
    if kind is None or kind in ("auto", "int8", "float"):
        return kind
    if isinstance(kind, int) and not isinstance(kind, bool) and 1 <= kind <= MOST_BYTES:
        return kind
    raise UsageError(
        f"vectors must be 'auto', None, a number of bytes from 1 to {MOST_BYTES}, 'int8' or 'float', got {kind!r}"
    )


def restore(name: str, dim: int, state: Mapping[str, Floats]) -> Quantizer:
    """A quantizer from what `state` returned; raises StoreError if the parts do not fit."""
    shapes = {"centre": (dim,), "mean": (dim,)}
    wanted = {"weight", "mean"} if name == BinaryAutoencoder.name else set()
    fits = name in KINDS and wanted <= state.keys() <= wanted | {"centre"}
    fits = fits and all(state[own].shape == shape for own, shape in shapes.items() if own in state)
    fits = fits and all(np.isfinite(own).all() for own in state.values())
    if fits and wanted:
        weight = state["weight"]
        fits = weight.ndim == 2 and len(weight) == dim and weight.shape[1] % 8 == 0 and weight.shape[1] > 0
    if not fits:
        raise StoreError(f"the quantizer {name!r} of {dim} dimensions does not fit its weights")
    return KINDS[name](dim, **state)


def _dim(features: Floats | CSRMatrix) -> int:
    return features.width if isinstance(features, CSRMatrix) else int(np.prod(features.shape[1:]))


def _reduced(x: Floats, bits: int) -> tuple[Floats, Floats]:
    """Axes [dim, fewer] with nearly all that `bits` bits can hold, and x along them: wide features are cut first."""
    most = max(2 * bits, 256)
    if x.shape[1] <= 2 * most:
        return np.eye(x.shape[1], dtype=np.float32), x
    from sklearn.utils.extmath import randomized_svd

    axes = np.ascontiguousarray(randomized_svd(x, min(most, len(x)), n_iter=4, random_state=0)[2].T, np.float32)
    return axes, x @ axes


def _fit(x: Floats, bits: int) -> tuple[Floats, Floats]:
    """The weight [dim, bits] and the mean [dim] of features x [n, dim]."""
    weight, mean = _first(x, bits)
    codes = _descend(np.asarray((x - mean) @ weight, np.float32), weight.T @ weight, SWEEPS)
    for number in range(ROUNDS):
        ones = np.concatenate([codes, np.ones((len(codes), 1), np.float32)], axis=1).astype(np.float64)
        products = ones.T @ ones
        products[np.arange(bits), np.arange(bits)] += RIDGE * len(x)
        solved = np.linalg.solve(products, ones.T @ x).astype(np.float32)
        weight, mean = solved[:-1].T, solved[-1]
        codes = _descend((x - mean) @ weight, weight.T @ weight, SWEEPS, codes)
        report("learning vectors", number + 1, ROUNDS)
    order = np.argsort(-np.linalg.norm(weight, axis=0), kind="stable")
    return weight[:, order], mean


def _first(x: Floats, bits: int) -> tuple[Floats, Floats]:
    """Bits for the principal axes, always the next one where most variance is left; an axis's bit halves its spread."""
    mean = x.mean(axis=0, dtype=np.float64)
    centred = x - mean
    values, axes = np.linalg.eigh(centred.T @ centred / max(1, len(x)))
    values = np.maximum(values, 1e-12)
    left, count = values.copy(), np.zeros(len(values), np.int64)
    for _ in range(bits):
        most = int(left.argmax())
        count[most] += 1
        left[most] /= 4
    chosen = np.repeat(np.arange(len(values)), count)
    halvings = np.arange(bits) - np.repeat(np.cumsum(count) - count, count)
    weight = axes[:, chosen] * np.sqrt(values[chosen]) * FIRST_STEP * 0.5**halvings
    order = np.argsort(-np.linalg.norm(weight, axis=0), kind="stable")
    return weight[:, order].astype(np.float32), mean.astype(np.float32)


def _descend(products: Floats, gram: Floats, sweeps: int, codes: Floats | None = None) -> Floats:
    """Codes [n, L] in {-1, 1} that lower |x - m - W b| bit by bit; products: (x - m) W, gram: W^T W.

    Without codes to begin with, each bit is first set by what the bits before it leave.
    """
    bits = gram.shape[0]
    rest = np.ascontiguousarray(products.T)  # [L, n]; (x - m - W b) W, kept up to date
    rows = np.zeros_like(rest)
    if codes is None:
        for bit in range(bits):
            rows[bit] = np.where(rest[bit] >= 0, 1, -1)
            rest[bit + 1 :] -= gram[bit, bit + 1 :, None] * rows[bit]
    else:
        rows[:] = codes.T
    rest = np.ascontiguousarray(products.T) - gram @ rows
    for _ in range(sweeps):
        changed = False
        for bit in range(bits):
            better = np.where(rest[bit] + gram[bit, bit] * rows[bit] >= 0, 1, -1).astype(np.float32)
            step = better - rows[bit]
            if (moved := np.flatnonzero(step)).size:
                rest[:, moved] -= gram[:, bit, None] * step[moved]
                rows[bit] = better
                changed = True
        if not changed:
            break
    return np.ascontiguousarray(rows.T)
