"""The remainder of a saved hasher: what an encoder learned and its program does not hold, such as a decoder.

It lies in a file of its own, read only when an encoder is asked for more than codes. A tensor that the program has
already is not stored twice: the file's metadata name the program's, with .T behind it where that one is transposed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hashret.errors import StoreError
from hashret.features import Floats

FILE = "encoder.safetensors"
TURNED = ".T"


def write(folder: Path, state: Mapping[str, Floats], program: Mapping[str, Floats]) -> None:
    """Write the tensors of `state` that are not among the program's."""
    from safetensors.numpy import save

    same = {name: found for name, tensor in state.items() if (found := _among(program, tensor))}
    own = {name: np.ascontiguousarray(tensor) for name, tensor in state.items() if name not in same}
    (folder / FILE).write_bytes(save(own, metadata={"same": json.dumps(same)}))


def _among(program: Mapping[str, Floats], tensor: Floats) -> str:
    """The name of an equal tensor of the program; empty where there is none."""
    for name, other in program.items():
        if tensor.ndim and tensor.dtype == other.dtype:
            if tensor.shape == other.shape and np.array_equal(tensor, other):
                return name
            if tensor.ndim == 2 and tensor.shape == other.T.shape and np.array_equal(tensor, other.T):
                return name + TURNED
    return ""


def read(folder: Path, program: Mapping[str, Floats]) -> dict[str, Floats]:
    """What `write` was given, nothing where nothing was written; StoreError where it does not fit."""
    from safetensors import SafetensorError, safe_open

    if not (folder / FILE).is_file():
        return {}
    try:
        with safe_open(folder / FILE, "numpy") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            same = json.loads(file.metadata()["same"])
        for name, source in same.items():
            found = program[source.removesuffix(TURNED)]
            state[name] = found.T if source.endswith(TURNED) else found
    except (KeyError, SafetensorError) as error:
        raise StoreError(
            f"the encoder's file in {str(folder)!r} is damaged ({error!r}); build the index again"
        ) from None
    return state
