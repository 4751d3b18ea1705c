"""The runtime: each operation does what torch's does, and a program that cannot run is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from hashret.errors import StoreError
from hashret.runtime import OPERATIONS, Program, linear_program

from .conftest import sparse

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def some_zeros(*shape: int) -> np.ndarray:
    values = numbers(*shape)
    values[np.random.default_rng(1).random(shape) < 0.8] = 0
    values[2] = 0
    return values


def apply(op: str, x: Any, tensors: dict[str, np.ndarray] | None = None, **line: Any) -> np.ndarray:
    names = {role: role for role in tensors or {}}
    return OPERATIONS[op](x, {"op": op, **names, **line}, tensors or {})


def as_torch(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x))


def test_linear_is_torchs_over_dense_rows() -> None:
    x, weight, bias = numbers(9, 20), numbers(20, 5, seed=1), numbers(5, seed=2)
    found = apply("linear", x, {"weight": weight, "bias": bias})
    np.testing.assert_allclose(found, functional.linear(as_torch(x), as_torch(weight.T), as_torch(bias)), **CLOSE)


def test_linear_is_torchs_over_sparse_rows_and_needs_no_bias() -> None:
    x, weight = some_zeros(9, 20), numbers(20, 5, seed=1)
    found = apply("linear", sparse(x), {"weight": weight})
    np.testing.assert_allclose(found, functional.linear(as_torch(x), as_torch(weight.T)), **CLOSE)


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("kernel", [(3, 3), (1, 1), (5, 3)])
@pytest.mark.parametrize("stride", [1, 2])
def test_conv2d_is_torchs(padding: int, kernel: tuple[int, int], stride: int) -> None:
    x, weight, bias = numbers(4, 3, 9, 7), numbers(6, 3, *kernel, seed=1), numbers(6, seed=2)
    wanted = functional.conv2d(as_torch(x), as_torch(weight), as_torch(bias), padding=padding, stride=stride)
    found = apply("conv2d", x, {"weight": weight, "bias": bias}, padding=padding, stride=stride)
    np.testing.assert_allclose(found, wanted, **CLOSE)


@pytest.mark.parametrize("shape", [(8, 8), (9, 7), (5, 4), (3, 3)])
@pytest.mark.parametrize("size", [2, 3])
def test_pool_is_torchs_also_of_odd_sizes(shape: tuple[int, int], size: int) -> None:
    x = numbers(3, 2, *shape)
    np.testing.assert_array_equal(apply("pool", x, size=size), functional.max_pool2d(as_torch(x), size))


def test_flatten_is_torchs() -> None:
    x = numbers(3, 2, 4, 5).transpose(0, 1, 3, 2)
    np.testing.assert_array_equal(apply("flatten", x), as_torch(x).flatten(1))


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 3, 5)])
def test_affine_is_a_batch_norm_with_its_running_figures(shape: tuple[int, ...]) -> None:
    x, scale, shift = numbers(*shape), numbers(4, seed=1), numbers(4, seed=2)
    zeros, ones = torch.zeros(4), torch.ones(4)
    wanted = functional.batch_norm(as_torch(x), zeros, ones, as_torch(scale), as_torch(shift), eps=0.0)
    np.testing.assert_allclose(apply("affine", x, {"scale": scale, "shift": shift}), wanted, **CLOSE)


@pytest.mark.parametrize(
    ("op", "wanted"), [("relu", torch.relu), ("tanh", torch.tanh), ("sigmoid", torch.sigmoid), ("sine", torch.sin)]
)
def test_activations_are_torchs(op: str, wanted: Callable[[torch.Tensor], torch.Tensor]) -> None:
    x = np.concatenate([numbers(3, 50), [[-1000, -90, -20, 0, 20, 90, 1000, *[0.5] * 43]]]).astype(np.float32)
    found = apply(op, x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted(as_torch(x)), rtol=1e-5, atol=1e-4 if op == "sine" else 1e-6)


def test_normalize_is_torchs_and_leaves_a_row_of_zeros() -> None:
    x = some_zeros(6, 12)
    np.testing.assert_allclose(apply("normalize", x), functional.normalize(as_torch(x)), **CLOSE)
    assert not apply("normalize", x)[2].any()


def test_a_bit_is_one_where_its_logit_exceeds_the_threshold() -> None:
    lines = ({"op": "threshold", "values": "t"},)
    program = Program(lines, {"t": np.array([0.5, -1, 2], np.float32)}, (3,))
    assert program.bits == 3
    assert program.encode(np.array([[0.5, 0, 3], [0.6, -1, 1]], np.float32)).tolist() == [[0b110], [0b001]]


def test_no_documents_have_no_codes() -> None:
    program = linear_program(numbers(4, 9), numbers(9), (4,))
    assert program.encode(np.zeros((0, 4), np.float32)).shape == (0, 2)
    assert program.logits(np.zeros((0, 4), np.float32)).shape == (0, 9)


def convolving() -> Program:
    lines = (
        {"op": "conv2d", "weight": "c", "bias": "cb", "padding": 1},
        {"op": "relu"},
        {"op": "pool", "size": 2},
        {"op": "flatten"},
        {"op": "linear", "weight": "w", "bias": "b"},
        {"op": "threshold", "values": "t"},
    )
    tensors = {"c": numbers(8, 1, 3, 3), "cb": numbers(8), "w": numbers(72, 10), "b": numbers(10)}
    return Program(lines, tensors | {"t": np.zeros(10, np.float32)}, (1, 6, 7))


@pytest.mark.parametrize("kind", ["dense", "sparse", "convolving"])
def test_a_documents_logits_do_not_depend_on_the_others(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = convolving() if kind == "convolving" else linear_program(numbers(42, 10), numbers(10), (42,))
    dense = numbers(40, 42) if kind != "sparse" else some_zeros(40, 42)
    rows: Any = sparse(dense) if kind == "sparse" else dense
    at_once = program.logits(rows)
    one_by_one = np.concatenate(
        [program.logits(rows.slice(i, i + 1) if kind == "sparse" else rows[i : i + 1]) for i in range(40)]
    )
    spread = float(np.ptp(at_once))
    assert np.abs(at_once - one_by_one).max() < 1e-5 * spread
    monkeypatch.setattr("hashret.runtime.CHUNK_VALUES", 200)
    in_chunks = program.logits(rows)
    assert np.abs(at_once - in_chunks).max() < 1e-5 * spread
    if kind == "sparse":
        assert (at_once == one_by_one).all()


ZEROS = {"t": np.zeros(3, np.float32)}
LAST = {"op": "threshold", "values": "t"}


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ({"op": "relu"},),
        (LAST, {"op": "relu"}),
        ({"op": "threshold"},),
        ({"op": "threshold", "values": "gone"},),
        ({"op": "linear", "weight": "gone"}, LAST),
        ({"op": "linear"}, LAST),
        ({"op": "affine", "scale": "t"}, LAST),
        ({"op": "conv2d", "weight": "t"}, LAST),
        ({"op": "pool"}, LAST),
        ({"op": "exec", "weight": "t"}, LAST),
        ({}, LAST),
        ("relu", LAST),
    ],
)
def test_a_program_that_cannot_run_is_refused(lines: Any) -> None:
    with pytest.raises(StoreError):
        Program(lines, ZEROS, (3,))
