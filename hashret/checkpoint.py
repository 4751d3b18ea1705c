"""Checkpoints of training, from which an interrupted fit continues.

    with resumable(folder, bits, seconds, about, world):    # one fit
        phase = next_phase()                # each training loop of the fit, in order
        saved = phase.load()                # None, or the state that was saved last
        ...
        if phase.is_due():
            phase.save(State(values, tensors))

A fit is a sequence of training loops with deterministic work between them. A finished loop leaves its result, so that a
resumed fit skips it and repeats only the work between the loops. Each file is replaced atomically. Of several processes
that train together, the first one reads and writes.

    DIR/about.json                     what is fitted: data, options and versions; another fit is refused
    DIR/lock                           held by the process that trains
    DIR/64-bits/phase-0001.safetensors the state of a loop; values and a checksum are in the metadata of the file
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from hashret import files
from hashret.distributed import World
from hashret.errors import DataError, UsageError
from hashret.features import CSRMatrix, Features
from hashret.files import Root

KIND = "hashret checkpoint"
ABOUT, LOCK = "about.json", "lock"
OWN = re.compile(r"about\.json|lock|\d+-bits|\.about\.json\.\d+\.tmp")
"""Names in the folder of a checkpoint."""


@dataclass(frozen=True)
class State:
    """The state of a training loop: JSON-serializable values, and tensors by name."""

    values: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    finished: bool = False  # whether the loop has ended


class Phase:
    """One training loop of a fit. Without a checkpoint, it is never due and has nothing to load."""

    def __init__(self, checkpoint: Checkpoint | None = None, number: int = 0) -> None:
        self.checkpoint = checkpoint
        self.name = f"phase-{number:04d}.safetensors"

    def is_due(self) -> bool:
        """Whether it is time to save the state."""
        return self.checkpoint is not None and self.checkpoint.is_due()

    def load(self) -> State | None:
        """Return the state that was saved last, or None. Raises DataError if the file is damaged."""
        return None if self.checkpoint is None else self.checkpoint.load(self.name)

    def save(self, state: State) -> None:
        """Replace the saved state atomically."""
        if self.checkpoint is not None:
            self.checkpoint.save(self.name, state)


class Checkpoint:
    """The checkpoint of one fit. `root` is None in processes that leave reading and writing to the first one."""

    def __init__(self, root: Root | None, folder: str, seconds: float, world: World) -> None:
        self.root, self.folder, self.seconds, self.world = root, folder, seconds, world
        self.phases = 0  # loops begun in this fit
        self.saved = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time to save; all processes get the same answer."""
        return self.world.first_says(time.monotonic() - self.saved >= self.seconds)

    def load(self, name: str) -> State | None:
        """Return the state in a file, or None if there is no file."""
        from safetensors.torch import load

        data = None
        if self.root is not None and self.root.exists(f"{self.folder}/{name}"):
            data = self.root.read(f"{self.folder}/{name}")
        if (data := self.world.bytes_of_first(data)) is None:
            return None
        try:
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
            tensors, values = load(data), json.loads(header["values"])
            if header["sha256"] != _digest(header["values"], tensors):
                raise ValueError("the checksum does not match")
            return State(values, tensors, header["finished"] == "true")
        except (SafetensorError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise DataError(
                f"{name!r} in the checkpoint is damaged ({error}); remove this file, and training starts earlier"
            ) from error

    def save(self, name: str, state: State) -> None:
        """Write the state to a file, which is replaced atomically."""
        from safetensors.torch import save

        if self.root is not None:
            tensors = {key: value.detach().cpu().contiguous().clone() for key, value in state.tensors.items()}
            values = json.dumps(dict(state.values))
            about = {"values": values, "sha256": _digest(values, tensors), "finished": json.dumps(state.finished)}
            self.root.make_folder(self.folder)
            self.root.replace(f"{self.folder}/{name}", save(tensors, about))
            self.root.sync(self.folder)
        self.saved = time.monotonic()


_current: ContextVar[Checkpoint | None] = ContextVar("checkpoint", default=None)


@contextmanager
def resumable(
    folder: str | Path | None, bits: int, seconds: float, about: Mapping[str, Any], world: World
) -> Iterator[None]:
    """Save the training loops inside the block to `folder` every `seconds`, or resume them; None: do neither.

    Raises UsageError if the folder holds the checkpoint of a fit for which `about` differs, or other files, or if
    another process uses it. Fits of other lengths can share the folder.
    """
    if folder is None:
        yield
        return
    path = Path(folder).resolve()
    with _opened(path, about) if world.rank == 0 else nullcontext() as root:
        token = _current.set(Checkpoint(root, f"{bits}-bits", seconds, world))
        try:
            yield
        finally:
            _current.reset(token)


def next_phase() -> Phase:
    """Return the next training loop of the current fit."""
    checkpoint = _current.get()
    if checkpoint is None:
        return Phase()
    checkpoint.phases += 1
    return Phase(checkpoint, checkpoint.phases)


@contextmanager
def _opened(path: Path, about: Mapping[str, Any]) -> Iterator[Root]:
    """Open and lock the folder of a checkpoint, which is created if missing."""
    from filelock import lock_descriptor, unlock_descriptor

    try:
        files.make_root(path)
        opened = Root(path)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"checkpoint {str(path)!r} is not a folder; name a new folder") from None
    with opened as root:
        if strange := [name for name in root.names() if not OWN.fullmatch(name)]:
            raise UsageError(f"folder {str(path)!r} holds other files, such as {strange[0]!r}; name a new folder")
        descriptor, _ = root.open_lock(LOCK)
        try:
            if not lock_descriptor(descriptor, blocking=False):
                raise UsageError(f"another process trains with checkpoint {str(path)!r}; wait, or name another folder")
            _check(root, path, about)
            yield root
            unlock_descriptor(descriptor)
        finally:
            os.close(descriptor)


def _check(root: Root, path: Path, about: Mapping[str, Any]) -> None:
    """Write what is fitted, or compare it with what the checkpoint says. Raises UsageError if it differs."""
    wanted = json.loads(json.dumps({"kind": KIND, **about}))
    try:
        found = json.loads(root.read(ABOUT))
    except FileNotFoundError:
        root.replace(ABOUT, json.dumps(wanted, indent=1).encode())
        root.sync()
        return
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise UsageError(f"{str(path / ABOUT)!r} does not describe a checkpoint; name a new folder")
    differing = [
        f"{name}: {_brief(found.get(name))} there, {_brief(wanted.get(name))} now"
        for name in {**wanted, **found}
        if found.get(name) != wanted.get(name)
    ]
    if differing:
        raise UsageError(f"checkpoint {str(path)!r} is of another fit ({'; '.join(differing)}); name a new folder")


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _digest(values: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(values.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def digest_of(features: Features) -> str:
    """Return a digest of features, which identifies the data of a fit."""
    digest = hashlib.sha256(f"{features.shape} {features.feature_type}".encode())
    for matrix in (features.input, *features.views):
        arrays = (matrix.data, matrix.indices, matrix.offsets) if isinstance(matrix, CSRMatrix) else (matrix,)
        for array in arrays:
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data.cast("B"))
    return digest.hexdigest()[:32]
