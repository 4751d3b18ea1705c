"""The encoder state of a saved hasher: tensors that are not needed for codes, such as a decoder.

It is a separate file, read only when an encoder is used for more than codes. Tensors that the program already contains
are not stored twice: `shared` maps a tensor to its name in the program, with .T appended if that one is transposed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hashret.errors import StoreError
from hashret.features import Floats

TURNED = ".T"


def split(state: Mapping[str, Floats], program: Mapping[str, Floats]) -> tuple[bytes, dict[str, str]]:
    """Return a file with the tensors of `state` that are not in the program, and a mapping of those that are."""
    from safetensors.numpy import save

    shared = {name: found for name, tensor in state.items() if (found := _among(program, tensor))}
    return save({name: np.ascontiguousarray(own) for name, own in state.items() if name not in shared}), shared


def _among(program: Mapping[str, Floats], tensor: Floats) -> str:
    """Return the name of an equal tensor of the program; empty if there is none."""
    for name, other in program.items():
        if tensor.ndim and tensor.dtype == other.dtype:
            if tensor.shape == other.shape and np.array_equal(tensor, other):
                return name
            if tensor.ndim == 2 and tensor.shape == other.T.shape and np.array_equal(tensor, other.T):
                return name + TURNED
    return ""


def join(data: bytes, shared: Mapping[str, str], program: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return the state that was passed to `split`. Raises StoreError if file and program do not fit."""
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
