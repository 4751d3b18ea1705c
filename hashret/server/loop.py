"""The event loop of a worker."""

from __future__ import annotations

import asyncio
from typing import Any


class FairLoop(asyncio.SelectorEventLoop):
    """Accepts one connection at a time. asyncio accepts all that wait, so one of several workers would get them all."""

    def _accept_connection(
        self, protocol_factory: Any, sock: Any, sslcontext: Any = None, server: Any = None, backlog: int = 1, *more: Any
    ) -> None:
        super()._accept_connection(protocol_factory, sock, sslcontext, server, 1, *more)  # type: ignore[misc]
