"""Codebooks: a vector as a sum of entries, one of 16 from each codebook, so that two codebooks share a byte.

Additive quantization (Babenko and Lempitsky, CVPR 2014). For rows x it minimizes

    sum of |x - sum_j C_j[code_j]|^2

over the codebooks C_j by least squares, and over the codes by coordinate descent, in turn. It starts as a binary
autoencoder on the principal axes (Carreira-Perpinan and Raziperchikolaei, CVPR 2015): the entries of a codebook are the
sums of four bits with weights +w or -w, and axes get bits by their variance.

Codebooks are learned in blocks. The first has 8 bytes, and each further block describes what the blocks before it leave
of the rows. So the first 8, 16, 48 or 96 bytes of a longer code are themselves a code of that length.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hashret.extensions import extension
from hashret.features import Floats
from hashret.progress import report

ENTRIES = 16
BLOCKS = (8, 16, 48, 96)  # bytes of a code where a block ends
ROUNDS, FEWEST_ROUNDS = 20, 3
RIDGE = 0.04  # of the least squares, as a share of the rows, where there are as many entries as rows
SWEEPS = 6  # of the coordinate descent when codes are final; it stops when no code changes
FIRST_STEP = 0.8  # of a standard deviation: the weight of an axis's first bit; each further bit has half of the last
_BITS = 4
_SIGNS = np.where((np.arange(ENTRIES)[:, None] >> np.arange(_BITS)) & 1, 1, -1).astype(np.float32)  # [16, 4]

Assigned = npt.NDArray[np.uint8]  # [n, books], numbers of entries

_compiled = extension("_codebooks")


def blocks(books: int) -> list[slice]:
    """Return the codebooks of each block."""
    edges = [0, *(2 * stop for stop in BLOCKS if 2 * stop < books), books]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def learn(x: Floats, books: int) -> Floats:
    """Learn codebooks [books, 16, dim] from rows x [n, dim]."""
    learned: list[Floats] = []
    for block in blocks(books):
        entries = _learn_block(x, block.stop - block.start)
        learned.append(entries)
        if block.stop < books:
            x = x - decode(assign_block(x, entries), entries)
    return np.concatenate(learned)


def _learn_block(x: Floats, books: int) -> Floats:
    """Learn the codebooks of one block."""
    entries, mean = _first(x, books)
    codes = assign_block(x - mean, entries, 1)
    rounds = max(FEWEST_ROUNDS, min(ROUNDS, FEWEST_ROUNDS * len(x) // (ENTRIES * books)))  # else they fit x only
    for number in range(rounds):
        entries, mean = _solved(x, codes, entries, mean)
        codes = assign_block(x - mean, entries, 1, codes)
        report("learning vectors", number + 1, rounds)
    entries[0] += mean
    return entries


def assign(x: Floats, codebooks: Floats) -> Assigned:
    """Return the codes [n, books] of rows x [n, dim]."""
    found = []
    for block in blocks(len(codebooks)):
        found.append(assign_block(x, codebooks[block]))
        if block.stop < len(codebooks):
            x = x - decode(found[-1], codebooks[block])
    return np.concatenate(found, axis=1)


def assign_block(x: Floats, codebooks: Floats, sweeps: int = SWEEPS, codes: Assigned | None = None) -> Assigned:
    """Return codes [n, books] that lower the error of rows x [n, dim], starting from `codes` if they are given.

    Otherwise, the entry of each codebook is first chosen by what the codebooks before it leave.
    """
    flat = codebooks.reshape(-1, codebooks.shape[2])
    gram, products = flat @ flat.T, x @ flat.T
    lengths = np.ascontiguousarray(np.diag(gram))
    chosen = np.zeros((len(x), len(codebooks)), np.uint8) if codes is None else codes.copy()
    if _compiled is not None:
        _compiled.assign(products, len(codebooks), gram, lengths, chosen, codes is not None, sweeps)
        return chosen
    return _assigned(np.ascontiguousarray(products.T), gram, lengths.reshape(-1, ENTRIES, 1), chosen, codes, sweeps)


def _assigned(
    rest: Floats, gram: Floats, lengths: Floats, chosen: Assigned, codes: Assigned | None, sweeps: int
) -> Assigned:
    """Do in NumPy what the compiled loop does; `rest` [16 books, n] are the products of all entries with the rows."""
    each = chosen.T.astype(np.int64)
    for book, current in enumerate(each):
        own = slice(book * ENTRIES, (book + 1) * ENTRIES)
        if codes is None:
            current[:] = (2 * rest[own] - lengths[book]).argmax(axis=0)
        rest -= gram[:, book * ENTRIES + current]
    for _ in range(sweeps):
        if not _sweep(rest, gram, lengths, each):
            break
    return np.ascontiguousarray(each.T.astype(np.uint8))


def _sweep(rest: Floats, gram: Floats, lengths: Floats, chosen: npt.NDArray[np.int64]) -> bool:
    """Choose the best entry of each codebook in turn, given the others; return whether an entry changed."""
    changed = False
    for book, current in enumerate(chosen):
        start = book * ENTRIES
        own = slice(start, start + ENTRIES)
        best = (2 * (rest[own] + gram[own, own][:, current]) - lengths[book]).argmax(axis=0)
        moved = np.flatnonzero(best != current)
        if moved.size:
            rest[:, moved] -= gram[:, start + best[moved]] - gram[:, start + current[moved]]
            current[moved] = best[moved]
            changed = True
    return changed


def decode(codes: Assigned, codebooks: Floats) -> Floats:
    """Return the sums of entries, float32 [n, dim]."""
    decoded = np.zeros((len(codes), codebooks.shape[2]), np.float32)
    if _compiled is not None:
        books = np.ascontiguousarray(codebooks, np.float32)
        _compiled.decode(np.ascontiguousarray(codes), books, len(books), books.shape[2], decoded)
        return decoded
    for book, entries in zip(codes.T, codebooks, strict=True):
        decoded += entries[book]
    return decoded


def packed(codes: Assigned) -> Assigned:
    """Return codes [n, books] as bytes [n, books / 2], the first of each pair in the low half."""
    return np.asarray(codes[:, ::2] | codes[:, 1::2] << _BITS, np.uint8)


def unpacked(values: Assigned) -> Assigned:
    """Return bytes [n, books / 2] as codes [n, books]."""
    return np.stack([values & (ENTRIES - 1), values >> _BITS], axis=2).reshape(len(values), -1)


def _one_hot(chosen: npt.NDArray[np.int64]) -> Floats:
    """Codes [books, n] as a matrix [16 books, n] of zeros and ones."""
    matrix = np.zeros((len(chosen) * ENTRIES, chosen.shape[1]), np.float32)
    matrix[chosen + ENTRIES * np.arange(len(chosen))[:, None], np.arange(chosen.shape[1])] = 1
    return matrix


def _solved(x: Floats, codes: Assigned, codebooks: Floats, mean: Floats) -> tuple[Floats, Floats]:
    """Codebooks and mean by least squares, drawn to the present ones where few rows use an entry."""
    ones = np.concatenate([_one_hot(codes.T.astype(np.int64)), np.ones((1, len(x)), np.float32)])
    products = _products(ones, codes)
    entries = np.arange(len(products) - 1)
    products[entries, entries] += RIDGE * len(entries) ** 2 / len(x)
    products[np.diag_indices_from(products)] += 1e-6
    left = x - mean - decode(codes, codebooks)
    step = np.linalg.solve(products, (ones @ left).astype(np.float64)).astype(np.float32)
    return codebooks + step[:-1].reshape(codebooks.shape), mean + step[-1]


def _products(ones: Floats, codes: Assigned) -> npt.NDArray[np.float64]:
    """The products of the rows of `ones` [16 books + 1, n]: how many rows have two entries, and one entry."""
    if _compiled is None:
        return (ones @ ones.T).astype(np.float64)
    products, books = np.zeros((len(ones) - 1, len(ones) - 1)), codes.shape[1]
    _compiled.meetings(np.ascontiguousarray(codes), books, products)
    alone = np.append(np.diag(products), ones.shape[1])
    return np.vstack([np.column_stack([products, alone[:-1]]), alone])


def _first(x: Floats, books: int) -> tuple[Floats, Floats]:
    """Bits for the principal axes, always the next one where most variance is left; an axis's bit halves its spread."""
    mean = x.mean(axis=0, dtype=np.float64)
    centred = x - mean
    values, axes = np.linalg.eigh(centred.T @ centred / max(1, len(x)))
    values = np.maximum(values, 1e-12)
    bits = _BITS * books
    left, count = values.copy(), np.zeros(len(values), np.int64)
    for _ in range(bits):
        most = int(left.argmax())
        count[most] += 1
        left[most] /= 4
    chosen = np.repeat(np.arange(len(values)), count)
    halvings = np.arange(bits) - np.repeat(np.cumsum(count) - count, count)
    weight = axes[:, chosen] * np.sqrt(values[chosen]) * FIRST_STEP * 0.5**halvings  # [dim, bits]
    weight = weight[:, np.argsort(-np.linalg.norm(weight, axis=0), kind="stable")].astype(np.float32)
    return np.stack([_SIGNS @ four.T for four in np.split(weight, books, axis=1)]), mean.astype(np.float32)
