"""What requests share, and how routes get it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from fastapi import Request

from hashret.server.metrics import Metrics
from hashret.server.settings import Settings
from hashret.server.shelf import Served, Shelf
from hashret.server.work import Work


@dataclass(frozen=True, slots=True)
class State:
    """The settings, the indexes, the threads and the metrics of a server."""

    settings: Settings
    shelf: Shelf
    work: Work
    metrics: Metrics


def state_of(request: Request) -> State:
    """The state of the server of a request."""
    return cast("State", request.app.state.hashret)


def served(request: Request, index: str) -> Served:
    """The index that a path names. Raises IndexNotFound if there is none."""
    return state_of(request).shelf[index]
