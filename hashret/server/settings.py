"""The settings of a server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hashret.address import is_address

RECEIVE_SECONDS = 20.0  # for receiving the head of a request, and for its body
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server offers and what it refuses. `indexes` are paths or addresses by name."""

    indexes: Mapping[str, str]
    token: str | None = None  # needed to change an index; None: nothing can be changed
    hosts: tuple[str, ...] = ()  # names in the headers Host and Origin that are accepted in addition to loopback
    root_path: str = ""  # prefix of all addresses, if a proxy passes on requests below one
    most_bytes: int = 32 << 20  # of the body of a request
    most_k: int = 1000  # results of a query
    most_queries: int = 64  # queries of a request
    running: int = max(2, os.cpu_count() or 1)  # searches that run at once
    waiting: int = 256  # searches that wait; more are refused
    seconds: float = 30.0  # for a search, waiting included
    slow_seconds: float = 600.0  # for a map, clusters, health or an explanation
    receive_seconds: float = RECEIVE_SECONDS  # for receiving the body of a request
    stop_seconds: int = 20  # for requests in progress, when the server stops

    def allows(self, host: str) -> bool:
        """Whether a host name, without port, may be in the headers Host and Origin."""
        return host.lower() in (*LOOPBACK, *(own.lower() for own in self.hosts))


def named(paths: list[str]) -> dict[str, str]:
    """Names for indexes: the last part of their paths, with a number if it is taken."""
    found: dict[str, str] = {}
    for path in paths:
        plain = path.partition("?")[0].rstrip("/") if is_address(path) else str(Path(path).resolve())
        name = base = plain.rsplit("/", 1)[-1] or "index"
        number = 2
        while name in found:
            name, number = f"{base}-{number}", number + 1
        found[name] = path if is_address(path) else str(Path(path).resolve())
    return found
