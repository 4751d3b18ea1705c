"""Workers share connections: those with fewer open ones accept first."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

from hashret.server.loop import FairLoop

CONNECTIONS = 16


class Worker(threading.Thread):
    """Accepts connections on a socket, keeps them open, and answers each byte with one."""

    def __init__(self, bound: socket.socket) -> None:
        super().__init__(daemon=True)
        self.bound, self.loop, self.open = bound, FairLoop(), 0
        self.start()

    def run(self) -> None:
        self.loop.run_until_complete(self._begin())
        self.loop.run_forever()
        self.loop.close()

    async def _begin(self) -> None:
        self.server = await asyncio.start_server(self._answer, sock=self.bound.dup())

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        while byte := await reader.read(1):
            writer.write(byte)
        writer.close()

    def stop(self) -> None:
        async def end() -> None:
            self.server.close()
            await self.server.wait_closed()
            await asyncio.sleep(0.05)  # a late acceptance finds the socket closed
            self.loop.stop()

        asyncio.run_coroutine_threadsafe(end(), self.loop)
        self.join(10)


def test_connections_are_shared() -> None:
    bound = socket.create_server(("127.0.0.1", 0))
    bound.setblocking(False)
    workers = [Worker(bound), Worker(bound)]
    clients: list[Any] = [socket.create_connection(bound.getsockname(), timeout=10) for _ in range(CONNECTIONS)]
    for client in clients:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
    counts = sorted(worker.open for worker in workers)
    assert sum(counts) == CONNECTIONS
    assert counts[0] >= CONNECTIONS // 4
    for client in clients:
        client.close()
    for worker in workers:
        worker.stop()
        assert not worker.is_alive()
    bound.close()
