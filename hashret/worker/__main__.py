"""The worker: runs one function after the other until its standard input closes."""

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
SLACK = 32 << 20  # bytes allocated and not used


class _Worker:
    def __init__(self) -> None:
        # a library that prints, or reads standard input, must not touch the frames
        self.requests, self.answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        self.open: Iterator[tuple[Any, bytes]] | None = None

    def run(self) -> None:
        while True:
            try:
                request, raw = frames.read(self.requests, NO_LIMIT)
            except EOFError:  # the process that uses this one has ended
                return
            try:
                answer, out = self._answer(request, raw)
            except MissingExtra as error:
                answer, out = {"error": "missing", "reason": str(error)}, b""
            except MemoryError:
                answer, out = {"error": "memory"}, b""
            except Exception as error:  # noqa: BLE001  a foreign library may raise anything for a damaged file
                answer, out = {"error": "damaged", "reason": _brief(error)}, b""
            del raw
            if len(out) > request.get("largest", NO_LIMIT):
                reason = f"holds more than {request['largest'] >> 20} MiB in one piece"
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
    """Bound the processor time and the memory of a call, also when nobody watches any more.

    The watchdog gives better reasons and comes first, but for time of which the kernel counts whole seconds and memory
    that is filled between two of its looks.
    """
    try:
        import resource
    except ImportError:  # Windows; there the watchdog alone limits a call
        return
    _lower(resource.RLIMIT_CPU, int(time.process_time() + seconds) + 2)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[5])
    except OSError:  # no Linux; other systems do not hold to RLIMIT_DATA
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
    """An exception in one short line that a terminal may show."""
    text = " ".join(str(error).split())[:200]
    if not isinstance(error, frames.Refused):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if text.isprintable() else repr(text)[1:-1]


def main() -> None:
    """Answer requests until standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that uses this one, which ends it
    _no_core_files()
    worker = _Worker()
    frames.write(worker.answers, {"ready": sys.version_info[:2]})
    worker.run()
    os._exit(0)  # libraries may hang when they are torn down


if __name__ == "__main__":
    main()
