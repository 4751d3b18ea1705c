"""Ways to make vectors small, all with the same three steps: learn from some rows, store rows, search for a query.

All rows and queries have length 1. The nearest by cosine are then also those with the smallest Euclidean distance, by
which FAISS ranks.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # two OpenMP pools with active waiting slow each other down

import faiss
import numpy as np
import numpy.typing as npt

from hashret.codes import pack
from hashret.errors import UsageError
from hashret.features import Features, Floats
from hashret.loops import top
from hashret.quantizer import Additive, Float, Int8, Quantizer
from hashret.ranking import Codes, QuantizedVectors
from hashret.search import compiled, searcher

Positions = npt.NDArray[np.int64]

NORM = 4  # bytes of the norm that hashret stores with each vector
CENTROIDS = 256  # of each part of a product quantizer, a byte
QUERY_BITS = 8  # of a dimension of RaBitQ's query: recall is that of a query in floats; FAISS's default of 4 loses .01


class Method(ABC):
    """A way to make vectors small. Creating one learns from the rows `learned`; raises UsageError if it cannot."""

    sized = True  # whether the number of bytes can be chosen
    bytes: int  # stored per vector

    @abstractmethod
    def __init__(self, learned: Floats, size: int, seed: int) -> None: ...

    @abstractmethod
    def add(self, rows: Floats) -> None:
        """Store the rows to search."""

    @abstractmethod
    def search(self, query: Floats, k: int) -> Positions:
        """Return the positions of at most k rows, the nearest to the query [dim] first."""


class Quantized(Method):
    """A quantizer of hashret, as in the part `vectors` of an index; the query is not quantized."""

    quantizer: Quantizer

    def add(self, rows: Floats) -> None:
        """Store the rows to search."""
        self.stored = QuantizedVectors(self.quantizer.encode(rows), self.quantizer)

    def search(self, query: Floats, k: int) -> Positions:
        """Rank by cosine with what the stored vectors stand for."""
        return top(self.stored.cosines(query), None, k)[0]


class FloatVectors(Quantized):
    """The vectors as they are."""

    sized = False

    def __init__(self, learned: Floats, size: int, seed: int) -> None:
        self.quantizer = Float(learned.shape[1])
        self.bytes = 4 * learned.shape[1] + NORM


class Int8Vectors(Quantized):
    """A byte per dimension."""

    sized = False

    def __init__(self, learned: Floats, size: int, seed: int) -> None:
        self.quantizer = Int8(learned.shape[1])
        self.bytes = learned.shape[1] + NORM


class Sums(Quantized):
    """Additive quantization with codebooks of 16 entries."""

    def __init__(self, learned: Floats, size: int, seed: int) -> None:
        self.quantizer = Additive.fit(learned, size, seed=seed)
        self.bytes = size + NORM


class Rescored(Method):
    """Additive quantization finds `oversample` rows, which are then ranked by their int8 vectors."""

    def __init__(self, learned: Floats, size: int, seed: int, oversample: int = 100) -> None:
        self.first, self.second = Sums(learned, size, seed), Int8Vectors(learned, size, seed)
        self.bytes, self.oversample = self.first.bytes + self.second.bytes, oversample

    def add(self, rows: Floats) -> None:
        """Store the rows to search."""
        self.first.add(rows)
        self.second.add(rows)

    def search(self, query: Floats, k: int) -> Positions:
        """Rank the first rows found again; rows found after them keep their order."""
        found = self.first.search(query, max(k, self.oversample))
        stored, some = self.second.stored, found[: self.oversample]
        again = QuantizedVectors(stored.vectors.take(some), stored.quantizer).cosines(query)
        order = np.argsort(-again, kind="stable")
        return np.concatenate([some[order], found[self.oversample :]])[:k]


class Signs(Method):
    """The sign of each value, by Hamming distance."""

    sized = False

    def __init__(self, learned: Floats, size: int, seed: int) -> None:
        self.dim = learned.shape[1]
        self.bytes = (self.dim + 7) // 8

    def add(self, rows: Floats) -> None:
        """Store the rows to search."""
        self.searcher = searcher(pack(rows > 0), self.dim, "scan" if compiled() else "flat")

    def search(self, query: Floats, k: int) -> Positions:
        """Rank by Hamming distance, ties by position."""
        found = self.searcher.search(pack(query[None] > 0), k)
        return np.asarray(found.positions[0], np.int64)


class Itq(Method):
    """The encoder `itq`, by the asymmetric distance of the query's logits and the codes."""

    def __init__(self, learned: Floats, size: int, seed: int) -> None:
        from hashret.encoders import ENCODERS
        from hashret.training import Schedule

        features = Features(learned, learned.shape[1:])
        self.program = ENCODERS.get("itq")().fit(features, 8 * size, Schedule(seed=seed)).program()
        self.bytes = size

    def add(self, rows: Floats) -> None:
        """Store the rows to search."""
        self.codes = Codes(self.program.encode(rows), 8 * self.bytes)

    def search(self, query: Floats, k: int) -> Positions:
        """Rank by asymmetric distance."""
        return top(-self.codes.distances(self.program.margins(query[None])[0]), None, k)[0]


class Product(Method):
    """FAISS's product quantizer: the dimensions in parts, a byte for each part."""

    def __init__(self, learned: Floats, size: int, seed: int) -> None:
        if len(learned) < CENTROIDS:
            raise UsageError(f"it learns {CENTROIDS} centroids, of at least as many vectors; there are {len(learned)}")
        self.bytes, self.columns, self.width = size, *_columns(learned.shape[1], size)
        rows = self._arranged(learned)
        self.rotation = self._rotation(rows, size, seed)
        self.index = faiss.IndexPQ(rows.shape[1], size, 8)
        _prepare(self.index.pq, seed)
        self.index.train(self._turned(rows))

    def _rotation(self, rows: Floats, size: int, seed: int) -> faiss.OPQMatrix | None:
        return None

    def add(self, rows: Floats) -> None:
        """Store the rows to search."""
        self.index.add(self._turned(self._arranged(rows)))

    def search(self, query: Floats, k: int) -> Positions:
        """Rank by the distance of the query and the centroids."""
        return _found(self.index.search(self._turned(self._arranged(query[None])), k)[1])

    def _arranged(self, rows: Floats) -> Floats:
        """Return rows with zeros between the parts, so that all parts have the same number of dimensions."""
        wide = np.zeros((len(rows), self.width), np.float32)
        wide[:, self.columns] = rows
        return wide

    def _turned(self, rows: Floats) -> Floats:
        return rows if self.rotation is None else np.asarray(self.rotation.apply(rows), np.float32)


class RotatedProduct(Product):
    """FAISS's OPQ: a rotation is learned before the product quantizer."""

    def _rotation(self, rows: Floats, size: int, seed: int) -> faiss.OPQMatrix | None:
        rotation = faiss.OPQMatrix(rows.shape[1], size)
        self.quantizer = faiss.ProductQuantizer(rows.shape[1], size, 8)  # the rotation only points to it
        _prepare(self.quantizer, seed)
        rotation.pq = self.quantizer
        rotation.train(rows)
        return rotation


class RaBitQ(Method):
    """FAISS's RaBitQ: a random rotation and a bit per dimension, of principal components where bytes are fewer."""

    def __init__(self, learned: Floats, size: int, seed: int) -> None:
        dim = learned.shape[1]
        if not hasattr(faiss, "IndexRaBitQ"):
            raise UsageError("this version of FAISS does not have it")
        if 8 * size >= dim + 8:
            raise UsageError(f"it has one bit for each of {dim} dimensions")
        if 8 * size < dim and len(learned) < 8 * size:
            raise UsageError(f"it learns {8 * size} principal components, of at least as many vectors")
        self.index = faiss.index_factory(dim, f"PCAR{8 * size},RaBitQ" if 8 * size < dim else f"RR{dim},RaBitQ")
        self.index.train(learned)
        whole: Any = self.index
        inner: Any = faiss.downcast_index(whole.index)
        inner.qb = QUERY_BITS
        self.bytes = int(self.index.sa_code_size())

    def add(self, rows: Floats) -> None:
        """Store the rows to search."""
        self.index.add(rows)

    def search(self, query: Floats, k: int) -> Positions:
        """Rank by estimated distance."""
        return _found(self.index.search(query[None], k)[1])


METHODS: Mapping[str, type[Method]] = {
    "float": FloatVectors,
    "int8": Int8Vectors,
    "signs": Signs,
    "additive": Sums,
    "rescored": Rescored,
    "itq": Itq,
    "pq": Product,
    "opq": RotatedProduct,
    "rabitq": RaBitQ,
}


def _prepare(quantizer: faiss.ProductQuantizer, seed: int) -> None:
    quantizer.cp.seed = seed
    quantizer.cp.min_points_per_centroid = 1  # suppresses a warning of FAISS on standard error


def _columns(dim: int, parts: int) -> tuple[Positions, int]:
    """Return the column of each dimension if all parts have the same number of columns, and the number of columns."""
    each = -(-dim // parts)
    sizes = [len(part) for part in np.array_split(np.arange(dim), parts)]
    return np.concatenate([number * each + np.arange(size) for number, size in enumerate(sizes)]), each * parts


def _found(positions: Positions) -> Positions:
    """Return the positions of one query without the places that FAISS left empty."""
    return np.asarray(positions[0][positions[0] >= 0], np.int64)
