"""Sketches: 128-bit codes that need no training, whose Hamming distance says how much two documents share.

Near-duplicates are found by them. A learned code says which kind of document it is, so too many documents share it.

A text is the set of its terms, each weighted by its length: 1-bit MinHash (Li and Koenig 2010), where two texts with
Jaccard similarity J differ in 64 (1 - J) bits on average. A vector gives the signs of its products with 128 random
directions (Charikar 2002), where two vectors at an angle differ in a share of bits that is the share of a half circle.
Images have their own module, `image_sketch`.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from hashret.codes import Codes, pack
from hashret.extensions import extension
from hashret.features import CSRMatrix, Floats
from hashret.postings import Occurrences

BITS = 128
LONG = 6  # the weight of a term of 8 characters or more; shorter terms, such as those of grammar, have less
GOLDEN = 0x9E3779B97F4A7C15

_compiled = extension("_pairs")


def sketches_of_texts(words: Occurrences) -> Codes:
    """Return the sketches of texts, uint8 [n, 16], from their terms. A text without terms has only zeros."""
    items = np.array([_hash(term) for term in words.vocabulary], np.uint64)
    weights = np.array([min(LONG, max(1, len(term) - 2)) for term in words.vocabulary], np.uint8)
    terms, offsets = _distinct(words)
    if _compiled is None:
        return _by_numpy(items, weights, terms, offsets)
    sketches = np.zeros((len(words), BITS // 8), np.uint8)
    _compiled.sketch(items, weights, terms, offsets, sketches)
    return sketches


def sketches_of_vectors(features: Floats | CSRMatrix) -> Codes:
    """Return the sketches of vectors, uint8 [n, 16]."""
    directions = _directions(features.width if isinstance(features, CSRMatrix) else features.shape[1])
    products = features.matmul(directions) if isinstance(features, CSRMatrix) else features @ directions
    return pack(products > 0)


@lru_cache(4)
def _directions(dim: int) -> Floats:
    """Sums of eight random bytes, nearly normal. They do not depend on the version of NumPy."""
    drawn = mixed(np.arange(1, dim * BITS + 1, dtype=np.uint64) * np.uint64(GOLDEN))
    sums = drawn.view(np.uint8).reshape(dim, BITS, 8).sum(axis=2, dtype=np.int64)
    return np.asarray(sums - 1020, np.float32)


def _hash(term: str) -> int:
    return int.from_bytes(hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _distinct(words: Occurrences) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Return the distinct terms of each text and their offsets, so that a repeated term is hashed once."""
    rows = np.repeat(np.arange(len(words)), np.diff(words.offsets))
    keys = np.unique(rows * max(1, len(words.vocabulary)) + words.terms)
    rows, terms = np.divmod(keys, max(1, len(words.vocabulary)))
    return terms.astype(np.int32), np.searchsorted(rows, np.arange(len(words) + 1)).astype(np.int64)


def _by_numpy(
    items: npt.NDArray[np.uint64],
    weights: npt.NDArray[np.uint8],
    terms: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
) -> Codes:
    """The same as `sketch` of _pairs.c."""
    copies = weights[terms].astype(np.int64)
    number = np.arange(copies.sum()) - np.repeat(np.cumsum(copies) - copies, copies)
    hashes = mixed(np.repeat(items[terms], copies) + number.astype(np.uint64) * np.uint64(GOLDEN))
    low, high = (hashes & np.uint64(0xFFFFFFFF)).astype(np.uint32), (hashes >> np.uint64(32)).astype(np.uint32)
    edges = np.concatenate([[0], np.cumsum(copies)])[offsets]
    filled = np.flatnonzero(np.diff(edges))
    bits = np.zeros((len(offsets) - 1, BITS), bool)
    drawn = mixed(np.arange(1, BITS + 1, dtype=np.uint64) * np.uint64(GOLDEN)).tolist()
    for bit, value in enumerate(drawn):
        y = low * np.uint32(value & 0xFFFFFFFF | 1) + (high ^ np.uint32(value >> 32))
        y = (y ^ (y >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
        y = (y ^ (y >> np.uint32(13))) * np.uint32(0x297A2D39)
        y ^= y >> np.uint32(16)
        if len(filled):
            least = np.minimum.reduceat(y, edges[filled])
            bits[filled, bit] = (least * np.uint32(0x9E3779B1)) >> np.uint32(31)
    return pack(bits)


def mixed(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return hashes of 64-bit integers: the finalizer of splitmix64 (Steele, Lea and Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
