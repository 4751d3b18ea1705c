"""Worker processes run the parsers of foreign formats, so that a bad file cannot hang or crash this process.

`call` and `stream` run a function of `frames.FUNCTIONS` in a child process. A child serves one call after another. If
a call exceeds its CPU time or memory, or is interrupted, the child is killed and the next call starts a new one.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from hashret.errors import DataError, HashretError, MissingExtra
from hashret.worker import frames

MIB = 1 << 20
SECONDS, SECONDS_PER_MIB = 3.0, 10.0  # CPU time of a call
MEMORY, MEMORY_FACTOR = 192 * MIB, 8  # bytes in addition to what the child uses after loading its libraries
KEPT_MEMORY = 64 * MIB  # a child that still uses more than this after a call is replaced
LARGEST_ANSWER, ANSWER_FACTOR = 64 * MIB, 2  # bytes of one frame
INTERVAL = 0.02  # seconds between checks of a child
IDLE_LOOKS = 50  # checks without a running call before the watchdog sleeps
SECOND = 4  # idle children kept

_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from hashret.worker.__main__ import main; main()"

# one thread, and malloc for pyarrow, because it reserves no extra memory
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


class Unreadable(DataError):
    """A file that cannot be parsed, or not within the limits; the message is the reason without the file name."""


class WorkerUnavailable(HashretError):
    """A worker process cannot be started."""


class Limits(NamedTuple):
    """Resource limits of a call."""

    seconds: float  # CPU time
    memory: int  # bytes
    answer: int  # bytes of one frame


def limits_for(
    size: int, seconds: float = SECONDS, seconds_per_mib: float = SECONDS_PER_MIB, memory_factor: int = MEMORY_FACTOR
) -> Limits:
    """Return the limits for an input of `size` bytes; memory is at most half of the machine's."""
    memory = min(MEMORY + memory_factor * size, _machine_memory() // 2)
    return Limits(seconds + seconds_per_mib * size / MIB, memory, LARGEST_ANSWER + ANSWER_FACTOR * size)


@functools.cache
def _machine_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().total)


def call(
    function: str, size: int, raw: bytes = b"", limits: Limits | None = None, **arguments: Any
) -> tuple[Any, bytes]:
    """Run a function on an input of `size` bytes in a child process; return its (JSON value, raw bytes).

    Raises Unreadable with the reason, MissingExtra if a package is missing, and WorkerUnavailable.
    """
    pool = _pool
    child = pool.take(function)
    try:
        answer, out = child.request(function, limits or limits_for(size), raw, arguments)
        return answer["result"], out
    finally:
        pool.give(child)


def stream(function: str, size: int, raw: bytes = b"", **arguments: Any) -> Generator[tuple[Any, bytes]]:
    """The same for a generator function; the child works on a step only when it is asked for."""
    pool = _pool
    child = pool.take(function)
    try:
        answer, out = child.request(function, limits_for(size), raw, arguments)
        while "end" not in answer:
            yield answer["result"], out
            answer, out = child.more()
    finally:
        child.stop()  # needed if the caller stopped iterating early
        pool.give(child)


def require(module: str, extra: str, purpose: str) -> None:
    """Raise MissingExtra if a package is not installed, without importing it in this process."""
    if importlib.util.find_spec(module) is None:
        raise MissingExtra(f"{purpose} needs {module}; install it with: pip install 'hashret[{extra}]'")


def real(path: Path) -> str:
    """Return a path that a child can open; /dev/fd/3, for example, is a different file there."""
    return os.path.realpath(path)


class _Child:
    """A worker process and the state of its current call; used by one thread at a time."""

    def __init__(self, pool: _Pool) -> None:
        import psutil

        if getattr(sys, "frozen", False) or not sys.executable:
            raise WorkerUnavailable("this kind of file needs a separate Python process, and sys.executable is not set")
        home = str(Path(__file__).absolute().parent.parent.parent)
        paths = [path for path in sys.path if path]  # without "", the working folder
        try:
            self.process = subprocess.Popen(
                # -I: neither the working folder nor the environment affects imports
                [sys.executable, "-I", "-c", _START, json.dumps(paths if home in paths else [*paths, home])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | _ENVIRONMENT,
            )
        except OSError as error:
            raise WorkerUnavailable(f"cannot start a worker process: {error.strerror or error}") from error
        self.pool = pool
        self.requests = cast(IO[bytes], self.process.stdin)
        self.answers = cast(IO[bytes], self.process.stdout)
        self.alive, self.reason = True, ""
        self.loaded: set[str] = set()
        self.baseline = self.memory = 0  # bytes used after loading the libraries, and now
        self.calls, self.timed, self.begun = 0, 0, 0.0  # call number `timed` started at `begun` seconds of CPU time
        self.limits = Limits(60.0, MEMORY, LARGEST_ANSWER)  # for loading libraries
        try:
            self.info = psutil.Process(self.process.pid)
            self._read()
        except (psutil.Error, Unreadable) as error:
            self.kill()
            raise WorkerUnavailable(f"the worker process does not start; try {sys.executable} -I") from error

    def load(self, function: str) -> None:
        """Import the libraries of a function before a call, so that their memory does not count for the call."""
        self.limits = self.limits._replace(seconds=60.0)
        self._ask({"load": function})
        self.loaded.add(function)
        self.baseline = self.memory = self.info.memory_info().rss

    def request(self, function: str, limits: Limits, raw: bytes, arguments: dict[str, Any]) -> tuple[Any, bytes]:
        """Start a call and wait for its first answer."""
        self.limits = limits
        self.calls += 1
        seconds, memory, largest = limits
        request = {"call": function, "cpu": seconds, "memory": memory, "largest": largest, "arguments": arguments}
        return self._ask(request, raw)

    def more(self) -> tuple[Any, bytes]:
        """Request the next result of a stream and wait for it."""
        return self._ask({"more": True, "largest": self.limits.answer})

    def stop(self) -> None:
        """Stop a stream that was not read to its end."""
        if self.alive and os.getpid() == self.pool.process:
            with contextlib.suppress(Unreadable):
                self._ask({"stop": True})

    def _ask(self, request: dict[str, Any], raw: bytes = b"") -> tuple[Any, bytes]:
        if not self.alive:
            raise Unreadable("its worker process has ended; read it again")
        self.pool.watch(self)
        try:
            with contextlib.suppress(OSError):  # the child is dead (EPIPE; EINVAL on Windows), and reading says why
                frames.write(self.requests, request, raw)
            answer, out = self._read()
        except BaseException:  # including KeyboardInterrupt: the child may be in any state
            self.kill()
            raise
        finally:
            self.pool.unwatch(self)
        if (error := answer.get("error")) is not None:
            if error == "missing":
                raise MissingExtra(answer["reason"])
            raise Unreadable(_too_much(self.limits) if error == "memory" else answer["reason"])
        return answer, out

    def _read(self) -> tuple[Any, bytes]:
        try:
            return frames.read(self.answers, self.limits.answer + MIB)
        except (EOFError, ValueError) as error:
            self.kill()
            raise Unreadable(self.reason or _ending(self.process.returncode, self.limits)) from error

    def look(self) -> None:
        """Kill the process if its call exceeds the limits; called by the watchdog."""
        import psutil

        call = self.calls
        try:
            with self.info.oneshot():
                used, self.memory = sum(self.info.cpu_times()[:2]), self.info.memory_info().rss
        except psutil.Error:  # the process has ended
            return
        if self.timed != call:
            self.timed, self.begun = call, used
        if used - self.begun > self.limits.seconds:
            self._end(call, _too_long(self.limits))
        elif self.baseline and self.memory - self.baseline > self.limits.memory:
            self._end(call, _too_much(self.limits))

    def _end(self, call: int, reason: str) -> None:
        with self.pool.lock:
            if self in self.pool.busy and self.calls == call:
                self.reason = reason
                self.process.kill()

    def kill(self) -> None:
        """Kill the process and close its pipes."""
        if self.alive and os.getpid() == self.pool.process:
            self.alive = False
            self.process.kill()
            self.process.wait()
            for pipe in (self.requests, self.answers):
                with contextlib.suppress(OSError):
                    pipe.close()

    def forget(self) -> None:
        """After a fork, close the pipes in the new process without stopping the child, which belongs to the parent."""
        self.alive = False
        self.process.returncode = 0
        for pipe in (self.requests, self.answers):
            with contextlib.suppress(OSError):
                os.close(pipe.fileno())

    def heavy(self) -> bool:
        """Whether the child kept too much memory to be used for another call."""
        if self.memory - self.baseline > KEPT_MEMORY:
            self.memory = self.info.memory_info().rss
        return self.memory - self.baseline > KEPT_MEMORY


class _Pool:
    """The worker processes of this process, with the watchdog thread that enforces their limits."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.lock = threading.Lock()
        self.all: set[_Child] = set()
        self.free: list[_Child] = []
        self.busy: set[_Child] = set()
        self.work = threading.Event()
        self.watchdog: threading.Thread | None = None

    def take(self, function: str) -> _Child:
        """Return a child for exclusive use, with the libraries of the function loaded."""
        with self.lock:
            child = self.free.pop() if self.free else None
        if child is not None and (child.process.poll() is not None or child.heavy()):
            self._drop(child)
            child = None
        if child is None:
            child = _Child(self)
            with self.lock:
                self.all.add(child)
        if function not in child.loaded:
            try:
                child.load(function)
            except BaseException:
                self.give(child)
                raise
        return child

    def give(self, child: _Child) -> None:
        """Return a child to the pool after use."""
        with self.lock:
            if child.alive and len(self.free) < SECOND and self is _pool:
                self.free.append(child)
                return
        self._drop(child)

    def _drop(self, child: _Child) -> None:
        child.kill()
        with self.lock:
            self.all.discard(child)

    def watch(self, child: _Child) -> None:
        """Let the watchdog check a child, starting the watchdog if needed."""
        with self.lock:
            self.busy.add(child)
            if self.watchdog is None:
                self.watchdog = threading.Thread(target=self._watch, name="hashret-watchdog", daemon=True)
                self.watchdog.start()
            if not self.work.is_set():
                self.work.set()

    def unwatch(self, child: _Child) -> None:
        """Stop checking a child."""
        with self.lock:
            self.busy.discard(child)

    def _watch(self) -> None:
        idle = 0
        while True:
            time.sleep(INTERVAL)
            with self.lock:
                busy = list(self.busy)
                idle = 0 if busy else idle + 1
                if idle > IDLE_LOOKS:
                    self.work.clear()
            if idle > IDLE_LOOKS:
                self.work.wait()
            for child in busy:
                child.look()

    def close(self) -> None:
        """Kill all children."""
        for child in list(self.all):
            child.kill()
        self.free.clear()
        self.all.clear()


_pool = _Pool()


def _after_fork() -> None:
    global _pool
    old, _pool = _pool, _Pool()
    for child in old.all:
        child.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(lambda: _pool.close())


def _too_long(limits: Limits) -> str:
    return f"took more than {limits.seconds:.1f} s of CPU time"


def _too_much(limits: Limits) -> str:
    return f"took more than {limits.memory // MIB} MiB of memory"


def _ending(status: int, limits: Limits) -> str:
    """Return the reason why a child ended that the watchdog did not kill."""
    if hasattr(signal, "SIGXCPU") and status == -signal.SIGXCPU:
        return _too_long(limits)
    how = f"signal {-status}" if status < 0 else f"exit code {status}"
    return f"its parser crashed ({how})"
