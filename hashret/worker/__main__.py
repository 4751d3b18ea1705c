"""The worker process: runs one function after another until its standard input closes."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hashret.errors import MissingExtra
from hashret.worker import frames

NO_LIMIT = 1 << 62
SLACK = 32 << 20  # bytes that may be allocated without being used


class _Worker:
    def __init__(self) -> None:
        # move the frames to other descriptors, away from libraries that print or read standard input
        self.requests, self.answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        self.open: Iterator[tuple[Any, bytes]] | None = None

    def run(self) -> None:
        while True:
            try:
                request, raw = frames.read(self.requests, NO_LIMIT)
            except EOFError:  # the parent process has ended
                return
            try:
                answer, out = self._answer(request, raw)
            except MissingExtra as error:
                answer, out = {"error": "missing", "reason": str(error)}, b""
            except MemoryError:
                answer, out = {"error": "memory"}, b""
            except Exception as error:  # noqa: BLE001  a parser may raise anything for a damaged file
                answer, out = {"error": "damaged", "reason": _brief(error)}, b""
            del raw
            if len(out) > request.get("largest", NO_LIMIT):
                reason = f"has an item of more than {request['largest'] >> 20} MiB"
                answer, out = {"error": "damaged", "reason": reason}, b""
            if "error" in answer:
                self.open = None
            frames.write(self.answers, answer, out)

    def _answer(self, request: dict[str, Any], raw: bytes) -> tuple[dict[str, Any], bytes]:
        if "load" in request:
            _function(request["load"])
            return {}, b""
        if "call" in request:
            _limit(request["cpu"], request["memory"])
            result = _function(request["call"])(raw, **request["arguments"])
            if isinstance(result, Iterator):
                self.open = result
            else:
                return {"result": result[0]}, result[1]
        elif "stop" in request:
            self.open = None
            return {}, b""
        assert self.open is not None
        step = next(self.open, None)
        if step is None:
            self.open = None
            return {"end": True}, b""
        return {"result": step[0]}, step[1]


def _function(name: str) -> Any:
    if name not in frames.FUNCTIONS:
        raise LookupError(f"the worker has no function {name!r}")
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def _limit(seconds: float, memory: int) -> None:
    """Limit the CPU time and memory of a call through the kernel, so that the limits hold without the watchdog.

    The watchdog usually acts first and reports a better reason. The kernel counts time in full seconds, and also stops
    memory that grows between two checks of the watchdog.
    """
    try:
        import resource
    except ImportError:  # Windows, where only the watchdog limits a call
        return
    _lower(resource.RLIMIT_CPU, int(time.process_time() + seconds) + 2)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[5])
    except OSError:  # not Linux; other systems do not enforce RLIMIT_DATA
        return
    _lower(resource.RLIMIT_DATA, pages * resource.getpagesize() + memory + SLACK)


def _lower(limit: int, soft: int) -> None:
    import resource

    _, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _no_core_files() -> None:
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _brief(error: Exception) -> str:
    """Return an exception as one short printable line."""
    text = " ".join(str(error).split())[:200]
    if not isinstance(error, frames.Refused):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if text.isprintable() else repr(text)[1:-1]


def main() -> None:
    """Answer requests until standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C and kills this process
    _no_core_files()
    worker = _Worker()
    frames.write(worker.answers, {"ready": sys.version_info[:2]})
    worker.run()
    os._exit(0)  # some libraries hang in their exit handlers


if __name__ == "__main__":
    main()
