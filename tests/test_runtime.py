"""The runtime: each operation matches torch, and invalid programs are rejected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from hashret.descriptors import describe, described
from hashret.errors import StoreError
from hashret.runtime import OPERATIONS, Program, linear_program

from .conftest import sparse

CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


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


@pytest.mark.parametrize("channels", [1, 3])
def test_describe_is_edges_and_layout(channels: int) -> None:
    x = np.abs(numbers(5, channels, 9, 12))
    np.testing.assert_array_equal(apply("describe", x), describe(x))
    lines = [{"op": "describe"}, {"op": "linear", "weight": "w"}, {"op": "threshold", "values": "t"}]
    tensors = {"w": numbers(described(channels), 4), "t": np.zeros(4, np.float32)}
    made = Program(tuple(lines), tensors, x.shape[1:])
    np.testing.assert_allclose(made.logits(x.reshape(5, -1)), describe(x) @ tensors["w"], **CLOSE)
    for shape in [(2, 9, 12), (9, 12)]:
        with pytest.raises(StoreError, match="does not fit rows"):
            Program(tuple(lines), tensors, shape)


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


def fitting(**changes: Any) -> tuple[list[dict[str, Any]], dict[str, np.ndarray], tuple[Any, ...]]:
    """Return lines, tensors and shape of a valid program with changes: "op_key" or the name of a tensor."""
    lines: list[dict[str, Any]] = [dict(line) for line in convolving().lines]
    tensors, shape = dict(convolving().tensors), convolving().shape
    for name, value in changes.items():
        op, _, key = name.partition("_")
        if name == "shape":
            shape = value
        elif key:
            next(line for line in lines if line["op"] == op)[key] = value
        else:
            tensors[name] = value
    return lines, tensors, shape


BAD: list[dict[str, Any]] = [
    *({"conv2d_padding": bad} for bad in (10_000, 10**30, -1, True, 1.0, "1", None)),
    *({"conv2d_stride": bad} for bad in (0, -1, 10**30, True, 0.5, "1", None)),
    *({"pool_size": bad} for bad in (0, -2, 9, 10**30, True, 2.0, "2", None)),
    *({"shape": bad} for bad in ((), (42,), (1, 6), (1, 6, 7, 1), (2, 6, 7), (1, 0, 7), (1, -6, 7), (1, 6, 2**40))),
    *({"shape": bad} for bad in ((1, 6.0, 7), (1, "6", 7), (True, 6, 7), (1, 6, 10**40))),
    *({"c": numbers(*bad)} for bad in ((8,), (8, 3, 3), (8, 2, 3, 3), (8, 1, 9, 3), (8, 1, 3, 0), (0, 1, 3, 3))),
    *({"w": numbers(*bad)} for bad in ((72,), (71, 10), (10, 72), (72, 10, 1), (72, 9), (72, 0))),
    *({"cb": numbers(7)}, {"cb": numbers(8, 1)}, {"b": numbers(1)}, {"b": numbers(10, 1)}),
    *({"t": numbers(9)}, {"t": numbers(10, 1)}, {"t": np.zeros(10, int)}, {"w": np.zeros((72, 10), bool)}),
    *({"linear_weight": bad} for bad in (["w"], 3, None, "c", "t")),
]


@pytest.mark.parametrize("changes", BAD, ids=[f"{next(iter(change))}-{number}" for number, change in enumerate(BAD)])
def test_shapes_and_numbers_that_do_not_fit_are_refused_before_anything_runs(changes: dict[str, Any]) -> None:
    lines, tensors, shape = fitting()
    assert Program(tuple(lines), tensors, shape).bits == 10
    lines, tensors, shape = fitting(**changes)
    with pytest.raises(StoreError) as refused:
        Program(tuple(lines), tensors, shape)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("scale", [(3,), (12,), (3, 4), (4,), (1,)])
def test_an_affine_operation_has_a_value_a_channel_or_a_value_a_number(scale: tuple[int, ...]) -> None:
    values = {"s": numbers(*scale), "t": numbers(12)}
    lines = ({"op": "affine", "scale": "s", "shift": "s"}, {"op": "flatten"}, LAST)
    if scale in ((3,), (12,)):
        assert Program(lines, values, (3, 2, 2)).encode(numbers(5, 12)).shape == (5, 2)
    else:
        with pytest.raises(StoreError, match=r"operation 1, .*does not fit rows of"):
            Program(lines, values, (3, 2, 2))


def test_many_rows_of_a_wide_step_are_run_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        {"op": "conv2d", "weight": "c", "bias": "b", "padding": 1000},
        {"op": "pool", "size": 2001},
        {"op": "flatten"},
    )
    program = Program((*lines, LAST), {"c": numbers(1, 1, 1, 1), "b": numbers(1), "t": numbers(1)}, (1, 1, 1))
    seen: list[int] = []
    run = Program._run

    def counted(self: Program, x: Any) -> Any:
        seen.append(len(x))
        return run(self, x)

    monkeypatch.setattr(Program, "_run", counted)
    assert program.encode(numbers(3, 1)).shape == (3, 1)
    assert seen == [1, 1, 1]


def test_sparse_rows_and_no_linear_operation_are_refused() -> None:
    program = Program(({"op": "relu"}, LAST), ZEROS, (3,))
    with pytest.raises(StoreError, match="sparse features need a linear operation first, got 'relu'"):
        program.encode(sparse(some_zeros(4, 3)))
