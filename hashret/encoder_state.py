"""The encoder state of a saved hasher: what an encoder learned beyond its program, such as a decoder.

It is a file of its own, read only when an encoder is asked for more than codes. A tensor that the program contains
already is not stored twice: `shared` gives its name in the program, with .T appended where that one is transposed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hashret.errors import StoreError
from hashret.features import Floats

TURNED = ".T"


def split(state: Mapping[str, Floats], program: Mapping[str, Floats]) -> tuple[bytes, dict[str, str]]:
    """The file with the tensors of `state` that are not among the program's, and the names of those that are."""
    from safetensors.numpy import save

    shared = {name: found for name, tensor in state.items() if (found := _among(program, tensor))}
    return save({name: np.ascontiguousarray(own) for name, own in state.items() if name not in shared}), shared


def _among(program: Mapping[str, Floats], tensor: Floats) -> str:
    """The name of an equal tensor of the program; empty where there is none."""
    for name, other in program.items():
        if tensor.ndim and tensor.dtype == other.dtype:
            if tensor.shape == other.shape and np.array_equal(tensor, other):
                return name
            if tensor.ndim == 2 and tensor.shape == other.T.shape and np.array_equal(tensor, other.T):
                return name + TURNED
    return ""


def join(data: bytes, shared: Mapping[str, str], program: Mapping[str, Floats]) -> dict[str, Floats]:
    """The state that `split` was given; StoreError where the two do not fit."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        state = load(data)
        for name, source in shared.items():
            found = program[source.removesuffix(TURNED)]
            state[name] = found.T if source.endswith(TURNED) else found
    except (KeyError, AttributeError, TypeError, ValueError, SafetensorError) as error:
        raise StoreError(f"the encoder's file of the hasher is damaged ({error!r}); build the index again") from None
    return state
