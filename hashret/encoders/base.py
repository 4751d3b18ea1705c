"""Encoder: features -> a Program whose bits are the codes. Loads no training library; nets build on `net.py`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from hashret.features import Features
from hashret.options import Options
from hashret.runtime import Program

if TYPE_CHECKING:
    from hashret.training import Schedule


@dataclass(kw_only=True, repr=False, eq=False)
class Encoder(Options, ABC):
    """Learns from features, without labels, how to make N bits of a document."""

    name: ClassVar[str]
    summary: ClassVar[str]
    wants: ClassVar[tuple[str, ...]] = ("unit", "counts", "real")  # of features.GIVES, best first
    trained: ClassVar[bool] = True  # whether a net is trained, so that the schedule matters

    @abstractmethod
    def fit(self, features: Features, bits: int, schedule: Schedule) -> Self:
        """Learn from features [n, dim]; the same features, bits and seed give the same program."""

    @abstractmethod
    def program(self) -> Program:
        """What was learned, to be run without this class."""
