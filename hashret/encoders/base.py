"""Encoder: features -> a Program whose bits are the codes. Loads no training library; nets build on `net.py`.

What an encoder can do beyond codes is a method each, which those have that can: `CAPABILITIES` lists them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, Self, runtime_checkable

from hashret.features import CSRMatrix, Features, Floats
from hashret.options import Options
from hashret.runtime import Program

if TYPE_CHECKING:
    from hashret.training import Schedule


@dataclass(kw_only=True, repr=False, eq=False)
class Encoder(Options, ABC):
    """Learns from features, without labels, how to make N bits of a document."""

    name: ClassVar[str]
    summary: ClassVar[str]
    accepted_types: ClassVar[tuple[str, ...]] = ("unit", "counts", "real")  # of features.FEATURE_TYPES, best first
    trained: ClassVar[bool] = True  # whether a net is trained, so that the schedule matters

    @abstractmethod
    def fit(self, features: Features, bits: int, schedule: Schedule) -> Self:
        """Learn from features [n, dim]; the same features, bits and seed give the same program."""

    @abstractmethod
    def program(self) -> Program:
        """What was learned, to be run without this class."""

    def state(self) -> Mapping[str, Floats]:
        """What was learned, by name, where more than the program is needed for what the encoder can do beyond codes."""
        return {}

    def restore(self, like: Features, bits: int, state: Mapping[str, Floats]) -> Self:
        """Take up what `state` gave; `like` has the shape and kind of the features it was fitted on, and no rows."""
        return self

    def bits_to_project(self, features: Features, bits: int) -> int:
        """The length of code to fit where only `project` is wanted, for an index of so many bits."""
        return bits


@runtime_checkable
class Reconstructs(Protocol):
    """Makes documents again from what it keeps of them."""

    def reconstruct(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> what is left of them, float32 [n, dim]; of sparse words, their shares of a document."""
        ...


@runtime_checkable
class ScoresOutliers(Protocol):
    """Tells how unlike the documents it learned from others are."""

    def outlier_scores(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n], the greater the more unlike."""
        ...


@runtime_checkable
class Assigns(Protocol):
    """Has found clusters."""

    def assign(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n, clusters], how much of each cluster a document is; a row's sum is 1."""
        ...


@runtime_checkable
class Projects(Protocol):
    """Draws documents in a plane."""

    def project(self, x: Floats | CSRMatrix) -> Floats:
        """Features [n, dim] -> float32 [n, 2]."""
        ...


@runtime_checkable
class Samples(Protocol):
    """Makes documents that never were."""

    def sample(self, count: int, seed: int = 0) -> Floats:
        """float32 [count, dim], as `reconstruct` gives them."""
        ...


CAPABILITIES: Mapping[str, type] = {
    "reconstruct": Reconstructs,
    "outlier_scores": ScoresOutliers,
    "assign": Assigns,
    "project": Projects,
    "sample": Samples,
}


def abilities(kind: type[Encoder] | Encoder) -> list[str]:
    """The capabilities that an encoder has."""
    return [name for name in CAPABILITIES if hasattr(kind, name)]
