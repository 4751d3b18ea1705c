"""The event loop of a worker."""

from __future__ import annotations

import asyncio
from typing import Any

STEP = 0.0005  # seconds to wait before a connection is accepted, for each doubling of the number of open ones


class FairLoop(asyncio.SelectorEventLoop):
    """Shares connections between workers that listen on one socket: those with more open ones wait before they accept.

    The event loops of asyncio accept all connections that wait, so one worker would get nearly all of them.
    """

    def _accept_connection(
        self, protocol_factory: Any, sock: Any, sslcontext: Any = None, server: Any = None, backlog: int = 1, *more: Any
    ) -> None:
        open_ = len(self._transports)  # type: ignore[attr-defined]
        arguments = (protocol_factory, sock, sslcontext, server, 1 + open_ // 8, *more)
        if open_:
            self._remove_reader(sock.fileno())  # type: ignore[attr-defined]
            self.call_later(STEP * open_.bit_length(), self._accept_late, arguments)
        else:
            super()._accept_connection(*arguments)  # type: ignore[misc]

    def _accept_late(self, arguments: tuple[Any, ...]) -> None:
        if arguments[1].fileno() < 0:  # the server stopped meanwhile
            return
        super()._accept_connection(*arguments)  # type: ignore[misc]
        self._start_serving(*arguments)  # type: ignore[attr-defined]
