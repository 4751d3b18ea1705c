"""Program: a fitted encoder as a short list of operations on saved tensors, run with NumPy.

Torch is used only for training. The codes of documents and of queries are both computed here, so that they come from
the same arithmetic and a query does not import torch. An operation is a function of the current value and of the
tensors named in its line; `OPERATIONS` lists all of them. Images have the shape [n, channels, height, width].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, TypeGuard

import numpy as np

from hashret.codes import MAX_BITS, Codes, pack
from hashret.descriptors import describe, described
from hashret.errors import StoreError
from hashret.features import CSRMatrix, Floats

Line = Mapping[str, Any]
"""One operation as JSON: its name ("op"), the names of its tensors, and its numbers."""

CHUNK_VALUES = 1 << 22  # values of the widest step per chunk: 16 MiB of float32
MAX_VALUES = 1 << 24  # values of the widest step per row: 64 MiB of float32
MAX_LINES = 1000


@dataclass(frozen=True)
class Program:
    """Computes logits and codes from features. The last line is a threshold with one value per bit.

    Raises StoreError if the operations are unknown, do not fit each other, or need too much memory.
    """

    lines: tuple[Line, ...]
    tensors: Mapping[str, Floats]
    shape: tuple[int, ...]  # shape of one row of the features

    def __post_init__(self) -> None:
        _ = self.steps  # check the program before it allocates memory

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """Number of values that each operation produces for one row, computed from the shapes.

        Raises StoreError if the operations do not fit each other, or one produces more than MAX_VALUES.
        """
        if not 0 < len(self.lines) <= MAX_LINES:
            raise StoreError(f"an encoder must have 1 to {MAX_LINES} operations, got {len(self.lines)}")
        if not self.shape or not all(_whole(size, 1) for size in self.shape):
            raise StoreError(f"the shape of an encoder's input must be positive whole numbers, got {self.shape!r}")
        shape, values = self.shape, [prod(self.shape)]
        for number, line in enumerate(self.lines, 1):
            _check_line(line, self.tensors)
            if (line["op"] == "threshold") != (number == len(self.lines)):
                raise StoreError("the last operation of an encoder, and no other, must be a threshold")
            step = SHAPES.get(line["op"], _unchanged)(shape, line, self.tensors)
            if step is None:
                raise StoreError(f"the encoder's operation {number}, {_shown(line)}, does not fit rows of {shape}")
            shape, held = step
            values.append(max(held, prod(shape)))
        if max(values) > MAX_VALUES:
            raise StoreError(f"the encoder needs {max(values)} values for one row; allowed: at most {MAX_VALUES}")
        return tuple(values[1:])

    @property
    def threshold(self) -> Floats:
        """The value each logit must exceed for its bit to be 1, float32 [bits]."""
        return self.tensors[self.lines[-1]["values"]]

    @property
    def bits(self) -> int:
        """Length of the codes in bits."""
        return len(self.threshold)

    def logits(self, features: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n, bits]."""
        parts = [self._run(chunk) for chunk in self._chunks(features)]
        return np.concatenate(parts) if parts else np.zeros((0, self.bits), np.float32)

    def encode(self, features: Floats | CSRMatrix) -> Codes:
        """Features [n, dim] -> codes uint8 [n, ceil(bits / 8)]."""
        return pack(self.logits(features) > self.threshold)

    def margins(self, features: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n, bits]: logits minus thresholds, positive where the bit is 1."""
        return self.logits(features) - self.threshold

    def _run(self, features: Floats | CSRMatrix) -> Floats:
        value: Any = features
        if isinstance(features, CSRMatrix):
            if self.lines[0]["op"] != "linear":
                raise StoreError(f"sparse features need a linear operation first, got {self.lines[0]['op']!r}")
        elif len(self.shape) > 1:
            value = features.reshape(len(features), *self.shape)
        for line in self.lines[:-1]:
            value = OPERATIONS[line["op"]](value, line, self.tensors)
        return np.asarray(value, np.float32)

    def _chunks(self, features: Floats | CSRMatrix) -> Iterator[Floats | CSRMatrix]:
        """Yield consecutive rows, in chunks small enough to limit the memory of the widest step."""
        widest = max([int(np.prod(self.shape)), *(t.shape[1] for t in self.tensors.values() if t.ndim == 2)])
        if any(line["op"] == "conv2d" for line in self.lines):
            widest *= 9 * max(t.shape[0] for t in self.tensors.values() if t.ndim == 4)
        widest = max(widest, *self.steps)
        many = min(4096, max(1, MAX_VALUES // max(self.steps)))
        start = 0
        while start < len(features):
            if isinstance(features, CSRMatrix):
                room = features.offsets[start] + CHUNK_VALUES // 64
                stop = min(start + many, int(np.searchsorted(features.offsets, room, "right")) - 1)
                stop = min(max(stop, start + 1), len(features))
                yield features.slice(start, stop)
            else:
                stop = start + max(1, CHUNK_VALUES // widest)
                yield features[start:stop]
            start = stop


def _linear(x: Floats | CSRMatrix, line: Line, tensors: Mapping[str, Floats]) -> Floats:
    weight = tensors[line["weight"]]  # [in, out], so that the rows used by a sparse input are contiguous
    y: Floats = x.matmul(weight) if isinstance(x, CSRMatrix) else x @ weight
    return y + tensors[line["bias"]] if "bias" in line else y


def _conv2d(x: Floats, line: Line, tensors: Mapping[str, Floats]) -> Floats:
    """2-D convolution with zero padding, [n, in, h, w] -> [n, out, h', w'], as one matrix product over all windows."""
    weight, pad, stride = tensors[line["weight"]], line.get("padding", 0), line.get("stride", 1)  # [out, in, kh, kw]
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]  # [n, in, h', w', kh, kw]
    n, _, height, across = windows.shape[:4]
    flat = windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * height * across, -1)
    y = flat @ weight.reshape(len(weight), -1).T + tensors[line["bias"]]
    return y.reshape(n, height, across, -1).transpose(0, 3, 1, 2)


def _pool(x: Floats, line: Line, tensors: Mapping[str, Floats]) -> Floats:
    """Maximum of each size x size square; rows and columns of incomplete squares are dropped."""
    size = line["size"]
    n, channels, height, across = x.shape
    whole = x[:, :, : height // size * size, : across // size * size]
    squares = whole.reshape(n, channels, height // size, size, across // size, size)
    return np.asarray(squares.max(axis=(3, 5)))


def _describe(x: Floats, line: Line, tensors: Mapping[str, Floats]) -> Floats:
    """Edges and layout of images, see `descriptors.py`."""
    return describe(x)


def _flatten(x: Floats, line: Line, tensors: Mapping[str, Floats]) -> Floats:
    return x.reshape(len(x), -1)


def _affine(x: Floats, line: Line, tensors: Mapping[str, Floats]) -> Floats:
    scale, shift = tensors[line["scale"]], tensors[line["shift"]]
    # one value per unit, channel or pixel
    column = (-1,) + (1,) * (x.ndim - 2) if len(scale) == x.shape[1] else x.shape[1:]
    return x * scale.reshape(column) + shift.reshape(column)


def _relu(x: Floats, line: Line, tensors: Mapping[str, Floats]) -> Floats:
    return np.maximum(x, 0)


def _tanh(x: Floats, line: Line, tensors: Mapping[str, Floats]) -> Floats:
    return np.tanh(x)


def _sigmoid(x: Floats, line: Line, tensors: Mapping[str, Floats]) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)), np.float32)


def _sine(x: Floats, line: Line, tensors: Mapping[str, Floats]) -> Floats:
    return np.sin(x)


def _normalize(x: Floats, line: Line, tensors: Mapping[str, Floats]) -> Floats:
    """Scale each row to length 1; rows of zeros stay unchanged."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(length > 0, length, 1), np.float32)


def _threshold(x: Floats, line: Line, tensors: Mapping[str, Floats]) -> Floats:
    return x  # `encode` compares the logits with the thresholds


OPERATIONS: Mapping[str, Callable[[Any, Line, Mapping[str, Floats]], Floats]] = {
    "linear": _linear,
    "conv2d": _conv2d,
    "pool": _pool,
    "describe": _describe,
    "flatten": _flatten,
    "affine": _affine,
    "relu": _relu,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "sine": _sine,
    "normalize": _normalize,
    "threshold": _threshold,
}

ROLES: Mapping[str, tuple[str, ...]] = {  # tensors that an operation requires
    "linear": ("weight",),
    "conv2d": ("weight", "bias"),
    "affine": ("scale", "shift"),
    "threshold": ("values",),
}

Shape = tuple[int, ...]
Step = tuple[Shape, int] | None
"""Row shape after an operation and number of its temporary values; None if the operation does not fit its input."""


def _whole(value: Any, low: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def _shown(line: Any) -> str:
    return repr(line)[:200]


def _check_line(line: Any, tensors: Mapping[str, Floats]) -> None:
    """Raise StoreError if the operation is unknown or a tensor is missing."""
    if not isinstance(line, Mapping) or line.get("op") not in [*OPERATIONS]:
        raise StoreError(f"the encoder's operation {_shown(line)} is unknown; it may need a newer version of hashret")
    roles = [*ROLES.get(line["op"], ()), *(["bias"] if "bias" in line else [])]
    for name in [line.get(role) for role in roles]:
        if not isinstance(name, str) or name not in tensors or tensors[name].dtype.kind != "f":
            raise StoreError(f"the encoder's operation {_shown(line)} has no tensor of floats for each of its roles")


def _unchanged(shape: Shape, line: Line, tensors: Mapping[str, Floats]) -> Step:
    return shape, 0


def _after_linear(shape: Shape, line: Line, tensors: Mapping[str, Floats]) -> Step:
    weight = tensors[line["weight"]].shape
    if len(shape) != 1 or len(weight) != 2 or weight[0] != shape[0] or weight[1] < 1:
        return None
    if "bias" in line and tensors[line["bias"]].shape != weight[1:]:
        return None
    return (weight[1],), 0


def _after_conv2d(shape: Shape, line: Line, tensors: Mapping[str, Floats]) -> Step:
    weight, bias = tensors[line["weight"]].shape, tensors[line["bias"]].shape
    pad, stride = line.get("padding", 0), line.get("stride", 1)
    if len(shape) != 3 or len(weight) != 4 or weight[1] != shape[0] or bias != weight[:1] or min(weight) < 1:
        return None
    if not _whole(pad, 0) or not _whole(stride, 1):
        return None
    padded = [size + 2 * pad for size in shape[1:]]
    height, across = ((size - kernel) // stride + 1 for size, kernel in zip(padded, weight[2:], strict=True))
    if min(height, across) < 1:
        return None
    windows = height * across * prod(weight[1:])
    return (weight[0], height, across), max(shape[0] * prod(padded), windows)


def _after_pool(shape: Shape, line: Line, tensors: Mapping[str, Floats]) -> Step:
    size = line.get("size")
    if len(shape) != 3 or not _whole(size, 1) or min(shape[1:]) < size:
        return None
    return (shape[0], shape[1] // size, shape[2] // size), 0


def _after_describe(shape: Shape, line: Line, tensors: Mapping[str, Floats]) -> Step:
    return ((described(shape[0]),), 9 * prod(shape)) if len(shape) == 3 and shape[0] in (1, 3) else None


def _after_flatten(shape: Shape, line: Line, tensors: Mapping[str, Floats]) -> Step:
    return (prod(shape),), 0


def _after_affine(shape: Shape, line: Line, tensors: Mapping[str, Floats]) -> Step:
    scale, shift = tensors[line["scale"]].shape, tensors[line["shift"]].shape
    return (shape, 0) if scale == shift and scale in ((shape[0],), (prod(shape),)) else None


def _after_threshold(shape: Shape, line: Line, tensors: Mapping[str, Floats]) -> Step:
    values = tensors[line["values"]].shape
    return (shape, 0) if values == shape and len(shape) == 1 and shape[0] <= MAX_BITS else None


SHAPES: Mapping[str, Callable[[Shape, Line, Mapping[str, Floats]], Step]] = {
    "linear": _after_linear,
    "conv2d": _after_conv2d,
    "pool": _after_pool,
    "describe": _after_describe,
    "flatten": _after_flatten,
    "affine": _after_affine,
    "threshold": _after_threshold,
}


def linear_program(weight: Floats, bias: Floats, shape: tuple[int, ...]) -> Program:
    """Return the program of a linear projection with weight [dim, bits] and bias [bits]; the bits are its signs."""
    lines = [
        *([{"op": "flatten"}] if len(shape) > 1 else []),
        {"op": "linear", "weight": "weight", "bias": "bias"},
        {"op": "threshold", "values": "threshold"},
    ]
    zeros = np.zeros(len(bias), np.float32)
    return Program(tuple(lines), {"weight": np.ascontiguousarray(weight), "bias": bias, "threshold": zeros}, shape)
