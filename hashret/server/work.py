"""Runs searches and other work in threads, with limits on how many run and wait, and on time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, ParamSpec, Protocol, TypeVar

from hashret.server.errors import Refused
from hashret.server.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")


class Pool(Protocol):
    """What runs calls in threads."""

    def submit(self, call: Callable[[], R], /) -> Future[R]:
        """Queue a call."""


class Daemons:
    """Threads that do not keep the process alive: a map that takes minutes must not delay the end of the server."""

    def __init__(self, threads: int) -> None:
        self.queue: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        for _ in range(threads):
            threading.Thread(target=self._run, daemon=True).start()

    def submit(self, call: Callable[[], R], /) -> Future[R]:
        """Queue a call."""
        future: Future[R] = Future()
        self.queue.put((future, call))
        return future

    def _run(self) -> None:
        while True:
            future, call = self.queue.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001  # it is raised where the result is awaited
                future.set_exception(error)
            del future, call


class Work:
    """Three pools of threads: searches, slow work such as maps, and changes, which never wait for the others."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.fast = ThreadPoolExecutor(settings.running, "search")
        self.slow = Daemons(2)
        self.changes = ThreadPoolExecutor(4, "change")
        self.pending: dict[Pool, int] = {}

    async def search(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a search. Raises Refused with status 503 if too many wait, or if it takes too long."""
        limit = self.settings.running + self.settings.waiting
        return await self._run(self.fast, limit, self.settings.seconds, lambda: function(*args, **kwargs))

    async def think(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run something slow, in the same way."""
        return await self._run(self.slow, 16, self.settings.slow_seconds, lambda: function(*args, **kwargs))

    async def change(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a change. It is completed even if the client leaves, and has no limit on time."""
        future = self._submit(self.changes, 32, lambda: function(*args, **kwargs))
        return await asyncio.shield(asyncio.wrap_future(future))

    async def _run(self, pool: Pool, most: int, seconds: float, call: Callable[[], R]) -> R:
        future = self._submit(pool, most, call)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), seconds)
        except TimeoutError:
            raise Refused(503, f"the answer took more than {seconds:g} s; try again later", Retry_After="1") from None

    def _submit(self, pool: Pool, most: int, call: Callable[[], R]) -> Future[R]:
        """Queue a call. One whose client left before it started does not run."""
        if self.pending.get(pool, 0) >= most:
            raise Refused(503, "too many requests are waiting; try again later", Retry_After="1")
        self.pending[pool] = self.pending.get(pool, 0) + 1
        future, loop = pool.submit(call), asyncio.get_running_loop()

        def done(_: Future[Any]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._count_down, pool)

        future.add_done_callback(done)
        return future

    def _count_down(self, pool: Pool) -> None:
        self.pending[pool] -= 1

    def close(self) -> None:
        """Wait for changes, and drop everything that has not started."""
        self.fast.shutdown(wait=False, cancel_futures=True)
        self.changes.shutdown(wait=True)
