"""The compiled loop of additive quantization: the same as NumPy's, and safe for any input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hashret import codebooks
from hashret.extensions import extension

compiled = extension("_codebooks")
needs_kernel = pytest.mark.skipif(compiled is None, reason="the extension is not compiled")


def rows(n: int = 200, dim: int = 24, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


@needs_kernel
@pytest.mark.parametrize("books", [2, 6, 32])
@pytest.mark.parametrize("sweeps", [0, 1, 6])
def test_the_compiled_loop_chooses_as_numpy_does(books: int, sweeps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, entries = rows(), rows(books * 16, seed=1).reshape(books, 16, 24)
    found = codebooks.assign_block(x, entries, sweeps)
    again = codebooks.assign_block(x, entries, sweeps, found)
    monkeypatch.setattr(codebooks, "_compiled", None)
    assert (codebooks.assign_block(x, entries, sweeps) == found).mean() > 0.999
    assert (codebooks.assign_block(x, entries, sweeps, found) == again).mean() > 0.999
    assert found.max() < 16


def test_codes_that_are_given_only_get_better() -> None:
    x, entries = rows(), rows(6 * 16, seed=1).reshape(6, 16, 24)
    given = np.random.default_rng(2).integers(0, 16, (200, 6)).astype(np.uint8)
    before = np.square(x - codebooks.decode(given, entries)).sum(axis=1)
    kept = given.copy()
    after = np.square(x - codebooks.decode(codebooks.assign_block(x, entries, 1, given), entries)).sum(axis=1)
    assert (after <= before + 1e-4).all()
    assert after.sum() < 0.7 * before.sum()
    assert (given == kept).all()


def test_no_rows_and_equal_entries() -> None:
    entries = np.zeros((4, 16, 3), np.float32)
    assert codebooks.assign(rows(0, 3), entries).shape == (0, 4)
    assert not codebooks.assign(rows(5, 3), entries).any()


def test_the_first_bytes_of_a_code_are_a_shorter_code() -> None:
    x = rows(300, 40)
    longest = codebooks.learn(x, 96)
    codes = codebooks.assign(x, longest)
    errors = []
    for size in (8, 16, 48):
        learned = codebooks.learn(x, 2 * size)
        assert (longest[: 2 * size] == learned).all()
        assert (codes[:, : 2 * size] == codebooks.assign(x, learned)).all()
        errors.append(float(np.square(x - codebooks.decode(codes[:, : 2 * size], learned)).mean()))
    assert errors[0] > 1.2 * errors[1] > 2 * errors[2]


def test_blocks_end_where_shorter_codes_do() -> None:
    for size, stops in ((1, [1]), (8, [8]), (9, [8, 9]), (48, [8, 16, 48]), (192, [8, 16, 48, 96, 192])):
        found = codebooks.blocks(2 * size)
        assert [block.stop // 2 for block in found] == stops
        assert [block.start for block in found] == [0, *(block.stop for block in found[:-1])]


WRONG: list[tuple[str, Any, str]] = [
    ("products", np.zeros(31, np.float32), "products must hold"),
    ("gram", np.zeros(1000, np.float32), "gram must hold"),
    ("lengths", np.zeros(31, np.float32), "lengths must hold"),
    ("codes", np.full(2, 16, np.uint8), "codes must be less than 16"),
    ("books", 0, "1 to 65536 codebooks"),
]


@needs_kernel
@pytest.mark.parametrize(("name", "value", "message"), WRONG)
def test_wrong_buffers_are_refused(name: str, value: Any, message: str) -> None:
    assert compiled is not None
    given: dict[str, Any] = {
        "products": np.zeros(32, np.float32),
        "books": 2,
        "gram": np.zeros(1024, np.float32),
        "lengths": np.zeros(32, np.float32),
        "codes": np.zeros(2, np.uint8),
    }
    with pytest.raises(ValueError, match=message):
        compiled.assign(*(given | {name: value}).values(), True, 1)


@needs_kernel
@pytest.mark.parametrize(("books", "dim"), [(1, 1), (2, 5), (16, 40), (96, 17)])
def test_sums_and_counts_without_the_kernel(books: int, dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(books)
    codes = rng.integers(0, 16, (200, books), np.uint8)
    entries = rng.standard_normal((books, 16, dim)).astype(np.float32)
    ones = np.concatenate([codebooks._one_hot(codes.T.astype(np.int64)), np.ones((1, 200), np.float32)])
    sums, counts = codebooks.decode(codes, entries), codebooks._products(ones, codes)
    monkeypatch.setattr(codebooks, "_compiled", None)
    assert (sums == codebooks.decode(codes, entries)).all()
    assert (counts == codebooks._products(ones, codes)).all()


@needs_kernel
def test_the_kernel_checks_codes() -> None:
    assert compiled is not None
    codes, entries = np.full((2, 2), 16, np.uint8), np.zeros((2, 16, 3), np.float32)
    with pytest.raises(ValueError, match="codes must be less than 16"):
        compiled.decode(codes, entries, 2, 3, np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match="codes must be less than 16"):
        compiled.meetings(codes, 2, np.zeros((32, 32)))
    with pytest.raises(ValueError, match="sums must hold 6"):
        compiled.decode(codes % 16, entries, 2, 3, np.zeros((2, 2), np.float32))
