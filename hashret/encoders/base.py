"""The base class `Encoder`, which learns a `Program` that computes codes, and the protocols of other capabilities.

This module does not import torch; neural encoders subclass `nn.net.Autoencoder`. A capability other than codes is a
method that only some encoders have; `CAPABILITIES` lists them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, runtime_checkable

from hashret.features import CSRMatrix, Features, Floats
from hashret.options import Options
from hashret.runtime import Program

if TYPE_CHECKING:
    from hashret.training import Schedule


@dataclass(kw_only=True, repr=False, eq=False)
class Encoder(Options, ABC):
    """Base class of encoders, which learn from features, without labels, to compute codes of N bits."""

    name: ClassVar[str]
    summary: ClassVar[str]
    accepted_types: ClassVar[tuple[str, ...]] = ("unit", "counts", "real")  # of features.FEATURE_TYPES, best first
    trained: ClassVar[bool] = True  # whether it trains a network and uses the schedule

    @abstractmethod
    def fit(self, features: Features, bits: int, schedule: Schedule) -> Self:
        """Learn from features [n, dim] and return self; equal features, bits and seed produce the same program."""

    @abstractmethod
    def program(self) -> Program:
        """Return the learned program, which computes codes without this class."""

    def state(self) -> Mapping[str, Floats]:
        """Return the learned tensors by name that capabilities other than codes need; empty if there are none."""
        return {}

    def restore(self, like: Features, bits: int, state: Mapping[str, Floats]) -> Self:
        """Load what `state` returned and return self; `like` is empty, with shape and type of the fitted features."""
        return self

    def starts(self) -> Sequence[Mapping[str, Any]]:
        """Return the starts that `fit` compared, see `nn/restarts.py`; empty if there was only one."""
        return ()

    def bits_to_project(self, features: Features, bits: int) -> int:
        """Return the code length to fit if only `project` is needed, for an index with codes of `bits` bits."""
        return bits


@runtime_checkable
class Reconstructs(Protocol):
    """Encoders that reconstruct documents from their codes."""

    def reconstruct(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> reconstruction, float32 [n, dim]; for sparse words, their shares in a document."""
        ...


@runtime_checkable
class ScoresOutliers(Protocol):
    """Encoders that score how unusual documents are."""

    def outlier_scores(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n]; a higher score means more different from the training documents."""
        ...


@runtime_checkable
class Assigns(Protocol):
    """Encoders that assign documents to clusters."""

    def assign(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n, clusters], the membership of each document; each row sums to 1."""
        ...


@runtime_checkable
class Projects(Protocol):
    """Encoders that map documents to two dimensions."""

    def project(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n, 2]."""
        ...


@runtime_checkable
class Samples(Protocol):
    """Encoders that generate new documents."""

    def sample(self, count: int, seed: int = 0) -> Floats:
        """Return float32 [count, dim], in the format of `reconstruct`."""
        ...


CAPABILITIES: Mapping[str, type] = {
    "reconstruct": Reconstructs,
    "outlier_scores": ScoresOutliers,
    "assign": Assigns,
    "project": Projects,
    "sample": Samples,
}


def abilities(kind: type[Encoder] | Encoder) -> list[str]:
    """Return the names of the capabilities of an encoder."""
    return [name for name in CAPABILITIES if hasattr(kind, name)]
