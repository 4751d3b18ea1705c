"""Bodies: the layers between features and bits, and their conversion to a Program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import prod

import numpy as np
import torch
from torch import Tensor, nn

from hashret.descriptors import describe
from hashret.errors import UsageError
from hashret.features import CSRMatrix, Features, Floats, mean_of
from hashret.runtime import Line, Program

ACTIVATIONS: Mapping[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}

LARGE = 16  # pixels per side; smaller images are too small for two convolutions with stride 2, or for cells of edges


def mlp(
    widths: Sequence[int], activation: str, dropout: float = 0.0, flatten: bool = False, sparse: bool = False
) -> nn.Sequential:
    """Return linear layers with activations (and dropout) between them: [n, widths[0]] -> [n, widths[-1]]."""
    layers: list[nn.Module] = [nn.Flatten()] if flatten else []
    for number, (before, after) in enumerate(pairwise(widths)):
        if number:
            layers.append(ACTIVATIONS[activation]())
            if dropout:
                layers.append(nn.Dropout(dropout))
        layers.append(SparseLinear(before, after) if sparse and not number else nn.Linear(before, after))
    return nn.Sequential(*layers)


def mirrored(
    shape: tuple[int, ...], hidden: Sequence[int], bits: int, activation: str, sparse: bool
) -> tuple[nn.Sequential, nn.Sequential]:
    """Return layers to the code, [n, *shape] -> [n, bits], and mirrored layers back, [n, bits] -> [n, dim]."""
    widths = (prod(shape), *hidden, bits)
    return mlp(widths, activation, flatten=len(shape) > 1, sparse=sparse), mlp(widths[::-1], activation)


def suited(
    shape: tuple[int, ...],
    hidden: Sequence[int],
    bits: int,
    dropout: float,
    kind: str,
    sparse: bool,
    convolved: Sequence[int] = (3,),
) -> nn.Sequential:
    """Return a body of the given kind, "conv" or "mlp", or with "auto" the one that suits the input.

    "auto" is convolutional for large enough images whose number of channels is in `convolved`, otherwise an MLP.
    Raises UsageError for a convolutional body if the input is not images of at least 4 x 4 pixels.
    """
    if kind == "conv" and (len(shape) != 3 or min(shape[1:]) < 4):
        raise UsageError(f"a convolutional body needs images of at least 4 x 4 pixels, got rows of shape {shape}")
    if kind == "conv" or (kind == "auto" and is_large(shape) and shape[0] in convolved):
        return convolutional(shape, hidden, bits)
    return mlp((prod(shape), *hidden, bits), "relu", dropout, flatten=len(shape) > 1, sparse=sparse)


def is_large(shape: tuple[int, ...]) -> bool:
    """Return whether rows of this shape are images of at least LARGE pixels per side."""
    return len(shape) == 3 and min(shape[1:]) >= LARGE


def convolutional(shape: tuple[int, ...], hidden: Sequence[int], bits: int) -> nn.Sequential:
    """Return two convolutions with stride 2 and the hidden layers: [n, channels, h, w] -> [n, bits]."""
    channels, height, across = shape
    return nn.Sequential(
        nn.Conv2d(channels, 16, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        *mlp((32 * (height // 4) * (across // 4), *hidden, bits), "relu", flatten=True),
    )


class SparseLinear(nn.Module):
    """A linear layer for sparse inputs such as tf-idf, which reads and updates only the weights of words that occur.

    `gain` multiplies the input, for encoders with learning rates tuned for word counts.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        start = nn.Linear(before, after)
        self.by_word = nn.Parameter(start.weight.detach().T.contiguous())  # [before, after]
        self.bias = nn.Parameter(start.bias.detach())
        self.register_buffer("gain", torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:  # [batch, before] -> [batch, after]
        if x.requires_grad:  # a second derivative may be needed, which embedding_bag does not support
            return x @ self.by_word * self.get_buffer("gain") + self.bias
        row, word = x.nonzero(as_tuple=True)
        starts = torch.searchsorted(row, torch.arange(len(x), device=x.device))
        weights = x[row, word] * self.get_buffer("gain")
        summed = nn.functional.embedding_bag(word, self.by_word, starts, mode="sum", per_sample_weights=weights)
        return summed + self.bias


def louder(body: nn.Module, features: Features) -> Features:
    """Set the gain so that the mean word weight is at least 1, like counts; return the scaled features."""
    words = features.input
    if not isinstance(words, CSRMatrix):
        return features
    gain = max(1.0, len(words.data) / max(float(words.data.sum()), 1e-12))
    for layer in body.modules():
        if isinstance(layer, SparseLinear):
            layer.get_buffer("gain").fill_(gain)
    return replace(features, input=replace(words, data=words.data * np.float32(gain)))


def settle(body: nn.Module) -> None:
    """Multiply the gain into the trained weights; not for tied weights."""
    for layer in body.modules():
        if isinstance(layer, SparseLinear):
            layer.by_word.data *= layer.get_buffer("gain")
            layer.get_buffer("gain").fill_(1)


class Tied(nn.Module):
    """The transpose of a layer, which shares its weights but has its own bias."""

    def __init__(self, down: nn.Linear | SparseLinear) -> None:
        super().__init__()
        self.down = (down,)  # in a tuple, so that torch does not register the weights twice
        width = len(down.by_word) if isinstance(down, SparseLinear) else down.in_features
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, code: Tensor) -> Tensor:  # [batch, after] -> [batch, before]
        (down,) = self.down
        weight = down.by_word.T if isinstance(down, SparseLinear) else down.weight
        return code @ weight + self.bias


class Describe(nn.Module):
    """The edges and the layout of images, see `descriptors.py`; nothing is learned in it."""

    def forward(self, x: Tensor) -> Tensor:  # [batch, channels, height, width] -> [batch, described(channels)]
        return torch.from_numpy(describe(x.detach().cpu().numpy())).to(x.device)


class Standardize(nn.Module):
    """Computes (x - mean) * scale with one scale for all dimensions, which preserves relative distances."""

    def __init__(self, mean: Floats, scale: float) -> None:
        super().__init__()
        self.register_buffer("scale", torch.full((len(mean),), scale))
        self.register_buffer("shift", torch.from_numpy(-mean * np.float32(scale)))

    @classmethod
    def of(cls, matrix: Floats | CSRMatrix, centre: bool = True) -> Standardize:
        """Return the scaling to mean 0 (if `centre`) and variance 1, the mean over all dimensions."""
        mean = mean_of(matrix) * np.float32(centre)
        squares = matrix.data if isinstance(matrix, CSRMatrix) else matrix
        total = float(np.square(squares, dtype=np.float64).sum()) / len(matrix)
        variance = total - float(np.square(mean, dtype=np.float64).sum())
        return cls(mean, (variance / len(mean)) ** -0.5 if variance > 1e-9 * total else 1.0)

    def forward(self, x: Tensor) -> Tensor:  # [batch, *shape] -> [batch, *shape]
        flat = x.flatten(1) * self.get_buffer("scale") + self.get_buffer("shift")
        return flat.reshape(x.shape)

    def undo(self, y: Tensor) -> Tensor:  # [batch, dim] -> [batch, dim]
        """Invert the scaling."""
        return (y - self.get_buffer("shift")) / self.get_buffer("scale")


def program(body: nn.Module, threshold: Floats, shape: tuple[int, ...]) -> Program:
    """Convert a trained body to a Program, with the tensor names of the body. Raises TypeError for other layers."""
    lines: list[Line] = []
    tensors: dict[str, Floats] = {}
    for name, layer in body.named_modules():
        line, values = _translate(layer, name)
        lines += line
        tensors |= {key: np.ascontiguousarray(value.detach().cpu().numpy()) for key, value in values.items()}
    lines.append({"op": "threshold", "values": "threshold"})
    return Program(tuple(lines), tensors | {"threshold": threshold.astype(np.float32)}, shape)


def _translate(layer: nn.Module, name: str) -> tuple[list[Line], dict[str, Tensor]]:
    """Return the operations of a layer and the tensors they use."""
    weight, bias = f"{name}.weight", f"{name}.bias"
    match layer:
        case nn.Sequential() | nn.Dropout() | nn.Identity():
            return [], {}
        case nn.Linear():
            return [{"op": "linear", "weight": weight, "bias": bias}], {weight: layer.weight.T, bias: layer.bias}
        case SparseLinear():
            taken = layer.by_word * layer.get_buffer("gain")
            return [{"op": "linear", "weight": weight, "bias": bias}], {weight: taken, bias: layer.bias}
        case nn.Conv2d():
            assert layer.bias is not None
            steps = {"padding": int(layer.padding[0]), "stride": int(layer.stride[0])}
            return [{"op": "conv2d", "weight": weight, "bias": bias, **steps}], {weight: layer.weight, bias: layer.bias}
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            return _fold(layer, name)
        case Standardize():
            names = {role: f"{name}.{role}" for role in ("scale", "shift")}
            return [{"op": "affine", **names}], {names[role]: layer.get_buffer(role) for role in names}
        case Describe():
            return [{"op": "describe"}], {}
        case nn.MaxPool2d():
            return [{"op": "pool", "size": int(np.max(layer.kernel_size))}], {}
        case nn.Flatten() | nn.ReLU() | nn.Tanh() | nn.Sigmoid():
            return [{"op": type(layer).__name__.lower()}], {}
    raise TypeError(f"no operation for layer {type(layer).__name__}; use layers that hashret.runtime supports")


def _fold(layer: nn.BatchNorm1d | nn.BatchNorm2d, name: str) -> tuple[list[Line], dict[str, Tensor]]:
    """Return batch normalisation with running statistics as x * scale + shift."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    scale = (layer.running_var + layer.eps).rsqrt()
    if layer.affine:
        scale = scale * layer.weight
    shift = -layer.running_mean * scale
    if layer.affine:
        shift = shift + layer.bias
    names = (f"{name}.scale", f"{name}.shift")
    return [{"op": "affine", "scale": names[0], "shift": names[1]}], {names[0]: scale, names[1]: shift}
