"""Phases: training that goes by several losses in turn."""

from __future__ import annotations

from dataclasses import replace

from hashret.training import Schedule


def share(schedule: Schedule, part: float) -> Schedule:
    """The schedule with so large a part of its steps."""
    steps = {name: max(1, round(part * getattr(schedule, name))) for name in ("epochs", "least_steps", "most_steps")}
    return replace(schedule, **steps)
