"""Quantizers: the features of a document in a few bytes, for the part `vectors` of an index.

`Additive` describes features as sums of entries of codebooks, see `codebooks.py`. A question q is not quantized: its
score against a document is the cosine of q and the sum. Two codes cannot be compared by themselves: only the sums can.
`Int8` and `Float` keep the features themselves.

All of them work on features of length 1, after the centre is subtracted if there is one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hashret import codebooks
from hashret.errors import StoreError, UsageError
from hashret.features import CSRMatrix, Floats, Vectors, mean_of, take, unit

BYTES = 16  # of a document by default, at least
MOST_BYTES = 192
MOST_AUTO = 96  # bytes by default, at most
FIT_ROWS = 10_000  # documents that are learned from
AT_ONCE = 4096  # documents encoded together


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
class Additive(Quantizer):
    """Codes of 4 bits for each codebook [books, 16, dim]."""

    codebooks: Floats = None  # type: ignore[assignment]  # [books, 16, dim]

    name = "additive"
    dtype = np.uint8

    @classmethod
    def fit(cls, features: Floats | CSRMatrix, bytes_: int = BYTES, centred: bool = False, seed: int = 0) -> Additive:
        """Learn from documents, of which at most 10,000 are drawn; no labels are used."""
        rows = np.random.default_rng(seed).permutation(len(features))[:FIT_ROWS]
        chosen = features.take(np.sort(rows)) if isinstance(features, CSRMatrix) else features[np.sort(rows)]
        centre = mean_of(chosen) if centred else None
        plain = Float(_dim(features), centre)
        x = np.concatenate([plain.prepared(chosen, start) for start in range(0, len(chosen), AT_ONCE)])
        axes, x = _reduced(x, 8 * bytes_)
        learned = codebooks.learn(np.asarray(x, np.float32), 2 * bytes_)
        return cls(plain.dim, centre, learned if axes is None else np.asarray(learned @ axes.T, np.float32))

    @property
    def width(self) -> int:
        """Bytes of a document's code."""
        return len(self.codebooks) // 2

    def _encode(self, rows: Floats) -> Vectors:
        codes = codebooks.assign(rows, self.codebooks)
        norms = np.linalg.norm(codebooks.decode(codes, self.codebooks).astype(np.float64), axis=1)
        return Vectors(codebooks.packed(codes), np.where(rows.any(axis=1), norms, 0).astype(np.float32))

    def decode(self, vectors: Vectors) -> Floats:
        """The sums of entries that the codes stand for."""
        sums = codebooks.decode(codebooks.unpacked(vectors.values), self.codebooks)
        return unit(sums * (vectors.norms > 0)[:, None])

    def state(self) -> dict[str, Floats]:
        """What was learned."""
        return {**super().state(), "codebooks": self.codebooks}


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


KINDS: Mapping[str, type[Quantizer]] = {kind.name: kind for kind in (Additive, Float, Int8)}


def fit(features: Floats | CSRMatrix, kind: int | str, centred: bool, seed: int = 0) -> Quantizer:
    """A quantizer for these features; `kind` is as `checked_kind` returns it."""
    if isinstance(kind, int):
        return Additive.fit(features, kind, centred, seed)
    centre = mean_of(features) if centred else None
    return KINDS[kind](_dim(features), centre)


def default_kind(features: Floats | CSRMatrix, pretrained: bool) -> int:
    """Bytes a document by default: 16, and a bit a dimension for features of a model trained elsewhere."""
    return min(max(BYTES, -(-_dim(features) // 8)), MOST_AUTO) if pretrained else BYTES


def checked_kind(kind: object) -> int | str | None:
    """What `vectors` asks for: bytes, "int8", "float", "auto" or None. Raises UsageError for anything else."""
    if kind is None or kind in ("auto", "int8", "float"):
        return kind
    if isinstance(kind, int) and not isinstance(kind, bool) and 1 <= kind <= MOST_BYTES:
        return kind
    raise UsageError(
        f"vectors must be 'auto', None, a number of bytes from 1 to {MOST_BYTES}, 'int8' or 'float', got {kind!r}"
    )


def checked_rescore(rescore: object, vectors: int | str | None) -> str | None:
    """Return "int8", "float" or None. Raises UsageError for anything else, or if `vectors` are stored like that."""
    if rescore is None:
        return None
    if rescore not in (Int8.name, Float.name):
        raise UsageError(f"rescore must be None, 'int8' or 'float', got {rescore!r}")
    if vectors is None or (isinstance(vectors, str) and vectors in KINDS):
        raise UsageError(
            f"rescore needs vectors of a number of bytes, but vectors is {vectors!r}; leave one of them out"
        )
    return str(rescore)


def restore(name: str, dim: int, state: Mapping[str, Floats]) -> Quantizer:
    """A quantizer from what `state` returned; raises StoreError if the parts do not fit."""
    wanted = {"codebooks"} if name == Additive.name else set()
    fits = name in KINDS and wanted <= state.keys() <= wanted | {"centre"}
    fits = fits and ("centre" not in state or state["centre"].shape == (dim,))
    fits = fits and all(np.isfinite(own).all() for own in state.values())
    if fits and wanted:
        books, *rest = state["codebooks"].shape
        fits = rest == [codebooks.ENTRIES, dim] and books > 0 and books % 2 == 0
    if not fits:
        raise StoreError(f"the quantizer {name!r} of {dim} dimensions does not fit its weights")
    return KINDS[name](dim, **state)


def _dim(features: Floats | CSRMatrix) -> int:
    return features.width if isinstance(features, CSRMatrix) else int(np.prod(features.shape[1:]))


def _reduced(x: Floats, bits: int) -> tuple[Floats | None, Floats]:
    """Axes [dim, fewer] with nearly all that `bits` bits can hold, and x along them: wide features are cut first."""
    most = max(2 * bits, 256)
    if x.shape[1] <= 2 * most:
        return None, x
    from sklearn.utils.extmath import randomized_svd

    axes = np.ascontiguousarray(randomized_svd(x, min(most, len(x)), n_iter=4, random_state=0)[2].T, np.float32)
    return axes, x @ axes
