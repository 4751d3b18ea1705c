"""Quantizers: features in a few bytes, near to what they were, and the same from any batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hashret import codebooks
from hashret.errors import StoreError, UsageError
from hashret.features import CSRMatrix
from hashret.quantizer import AT_ONCE, Additive, Float, Int8, Quantizer, checked_kind, default_kind, fit, restore


def features(n: int = 600, dim: int = 32, seed: int = 0) -> np.ndarray:
    """Features with a few strong directions, as those of texts have."""
    rng = np.random.default_rng(seed)
    spread = rng.standard_normal((n, dim)) * np.geomspace(3, 0.1, dim)
    return np.asarray(spread @ np.linalg.qr(rng.standard_normal((dim, dim)))[0], np.float32)


def unit(x: np.ndarray) -> np.ndarray:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def recall(x: np.ndarray, quantizer: Quantizer, k: int = 10) -> float:
    """Share of the k nearest by cosine that are among the k nearest by the decoded vectors."""
    near = np.argsort(-(unit(x) @ unit(x).T), axis=1)[:, :k]
    found = np.argsort(-(unit(x) @ quantizer.decode(quantizer.encode(x)).T), axis=1)[:, :k]
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(near.tolist(), found.tolist(), strict=True)]))


def test_more_bytes_are_nearer_and_a_few_beat_sign_bits() -> None:
    x = features()
    at = {bytes_: recall(x, Additive.fit(x, bytes_)) for bytes_ in (2, 4, 8)}
    assert at[2] < at[4] < at[8]
    signs = np.where(x @ np.random.default_rng(1).standard_normal((32, 32)) > 0, 1, -1)
    near = np.argsort(-(unit(x) @ unit(x).T), axis=1)[:, :10]
    hashed = np.argsort(-(signs @ signs.T), axis=1, kind="stable")[:, :10]
    by_signs = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(near.tolist(), hashed.tolist(), strict=True)])
    assert at[4] > by_signs + 0.1  # both have 32 bits
    assert recall(x, Int8(32)) > 0.95
    assert recall(x, Float(32)) == 1


def test_no_single_entry_could_be_better() -> None:
    x = features()
    made = Additive.fit(x, 4)
    rows, codes = unit(x), codebooks.unpacked(made.encode(x).values)
    best = np.square(rows - codebooks.decode(codes, made.codebooks)).sum(axis=1)
    for book in range(8):
        for entry in range(16):
            other = codes.copy()
            other[:, book] = entry
            worse = np.square(rows - codebooks.decode(other, made.codebooks)).sum(axis=1)
            assert (worse >= best - 1e-5).mean() > 0.98  # the descent stops after some rounds


def test_more_rounds_lower_the_error() -> None:
    x = unit(features())
    first, mean = codebooks._first(x, 8)
    first[0] += mean
    errors = [
        np.square(x - codebooks.decode(codebooks.assign(x, entries), entries)).sum()
        for entries in (first, codebooks.learn(x, 8))
    ]
    assert errors[1] < 0.8 * errors[0]


def test_codes_are_two_to_a_byte() -> None:
    codes = np.random.default_rng(0).integers(0, 16, (50, 6)).astype(np.uint8)
    assert codebooks.packed(codes).shape == (50, 3)
    assert (codebooks.unpacked(codebooks.packed(codes)) == codes).all()


@pytest.mark.parametrize("kind", [1, 4, "int8", "float"])
@pytest.mark.parametrize("centred", [False, True])
def test_norms_are_those_of_what_the_values_stand_for(kind: Any, centred: bool) -> None:
    x = features()
    x[5] = 0
    made = fit(x, kind, centred)
    vectors = made.encode(x)
    assert vectors.values.shape == (600, made.width)
    assert vectors.values.dtype == made.dtype
    assert vectors.norms[5] == 0
    assert (np.delete(vectors.norms, 5) > 0).all()
    lengths = np.linalg.norm(made.decode(vectors), axis=1)
    assert lengths[5] == 0
    assert np.delete(lengths, 5) == pytest.approx(np.ones(599), abs=1e-5)


def test_documents_are_encoded_alike_in_any_batch() -> None:
    x = features(AT_ONCE + 50)
    made = Additive.fit(x, 4)
    together = made.encode(x)
    apart = [made.encode(x[start : start + 500]) for start in range(0, len(x), 500)]
    same = (np.concatenate([part.values for part in apart]) == together.values).all(axis=1)
    assert same.mean() > 0.999  # rounding decides a bit of one in thousands


def test_sparse_and_wide_features_are_learned_from_too() -> None:
    rng = np.random.default_rng(0)
    dense = (rng.random((200, 2000)) < 0.01).astype(np.float32)
    indices, offsets = np.nonzero(dense)[1].astype(np.int32), np.concatenate([[0], np.cumsum(dense.any(axis=1) * 0)])
    offsets = np.concatenate([[0], np.cumsum((dense > 0).sum(axis=1))]).astype(np.int64)
    sparse = CSRMatrix(np.ones(len(indices), np.float32), indices, offsets, 2000)
    one, other = Additive.fit(sparse, 4), Additive.fit(dense, 4)
    assert (one.encode(sparse).values == other.encode(dense).values).all()


@pytest.mark.parametrize("kind", [1, 16, "int8", "float"])
def test_fewer_documents_than_bits_are_no_problem(kind: Any) -> None:
    for n in (1, 2, 5):
        x = features(n)
        made = fit(x, kind, False)
        assert np.isfinite(made.decode(made.encode(x))).all()
    same = np.ones((20, 8), np.float32)
    made = fit(same, kind, False)
    assert made.decode(made.encode(same)) == pytest.approx(unit(same), abs=0.2)


def test_a_fit_with_the_same_seed_is_the_same() -> None:
    x = features()
    one, other = Additive.fit(x, 4, seed=3), Additive.fit(x, 4, seed=3)
    assert (one.codebooks == other.codebooks).all()


@pytest.mark.parametrize("kind", [4, "int8", "float"])
@pytest.mark.parametrize("centred", [False, True])
def test_what_was_learned_survives(kind: Any, centred: bool) -> None:
    x = features()
    made = fit(x, kind, centred)
    again = restore(made.name, made.dim, made.state())
    assert (again.encode(x).values == made.encode(x).values).all()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("ternary", {}),
        ("additive", {"codebooks": np.zeros((3, 16, 32), np.float32)}),
        ("additive", {"codebooks": np.zeros((4, 16, 31), np.float32)}),
        ("additive", {"codebooks": np.zeros((4, 15, 32), np.float32)}),
        ("additive", {"codebooks": np.full((4, 16, 32), np.nan, np.float32)}),
        ("additive", {"more": np.zeros(2, np.float32)}),
        ("float", {}),
    ],
)
def test_what_does_not_fit_is_refused(name: str, change: dict[str, np.ndarray]) -> None:
    state = Additive.fit(features(), 4).state()
    with pytest.raises(StoreError, match="does not fit its weights"):
        restore(name, 32, state | change)


def test_kinds() -> None:
    assert [checked_kind(kind) for kind in ("auto", None, 32, "int8", "float")] == [
        *("auto", None, 32, "int8", "float")
    ]
    x = features(dim=200)
    assert [default_kind(x, pretrained) for pretrained in (False, True)] == [16, 25]
    for kind in (0, 193, True, 1.5, "additive", [16]):
        with pytest.raises(UsageError, match="vectors must be 'auto', None, a number of bytes from 1 to 192"):
            checked_kind(kind)
