"""Worker processes: parsers of outside formats run in them, so that no file can hang, fill or crash this process.

`call` and `stream` run a function of `frames.FUNCTIONS` in a child process. A child serves one call after the other;
a call that exceeds its processor time or memory, or is interrupted, costs the child, and the next call starts another.
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
SECONDS, SECONDS_PER_MIB = 3.0, 10.0  # processor time of a call
MEMORY, MEMORY_FACTOR = 192 * MIB, 8  # bytes beyond what the child uses once its libraries are loaded
KEPT_MEMORY = 64 * MIB  # a child that keeps more after a call is replaced
LARGEST_ANSWER, ANSWER_FACTOR = 64 * MIB, 2  # bytes of one frame
INTERVAL = 0.02  # seconds between two looks at a child
IDLE_LOOKS = 50  # before the watchdog sleeps
SECOND = 4  # idle children kept

_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from hashret.worker.__main__ import main; main()"

# few threads, and pyarrow's memory from malloc, which takes no more than is asked for
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


class Unreadable(DataError):
    """A file that its parser refuses or cannot read within its limits; the message is the reason alone."""


class WorkerUnavailable(HashretError):
    """No worker process can be started here."""


class Limits(NamedTuple):
    """What a call may use."""

    seconds: float  # of processor time
    memory: int  # bytes
    answer: int  # bytes of one frame


def limits_for(
    size: int, seconds: float = SECONDS, seconds_per_mib: float = SECONDS_PER_MIB, memory_factor: int = MEMORY_FACTOR
) -> Limits:
    """The limits for an input of `size` bytes."""
    memory = min(MEMORY + memory_factor * size, _machine_memory() // 2)
    return Limits(seconds + seconds_per_mib * size / MIB, memory, LARGEST_ANSWER + ANSWER_FACTOR * size)


@functools.cache
def _machine_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().total)


def call(
    function: str, size: int, raw: bytes = b"", limits: Limits | None = None, **arguments: Any
) -> tuple[Any, bytes]:
    """Run a function on an input of `size` bytes in a child; returns its (JSON value, raw bytes).

    Unreadable with the reason, MissingExtra where a package is missing, WorkerUnavailable.
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
        child.stop()  # where the caller left it before its end
        pool.give(child)


def require(module: str, extra: str, purpose: str) -> None:
    """Raise MissingExtra where a package that a child needs is not installed, without importing it here."""
    if importlib.util.find_spec(module) is None:
        raise MissingExtra(f"{purpose} needs {module}; install it with: pip install 'hashret[{extra}]'")


def real(path: Path) -> str:
    """A path as a child can open it: /dev/fd/3 means something else there."""
    return os.path.realpath(path)


class _Child:
    """A worker process and what it works on; used by one thread at a time."""

    def __init__(self, pool: _Pool) -> None:
        import psutil

        if getattr(sys, "frozen", False) or not sys.executable:
            raise WorkerUnavailable("files of this kind are read in a Python process of their own, and there is none")
        home = str(Path(__file__).absolute().parent.parent.parent)
        paths = [path for path in sys.path if path]  # without "", the working folder
        try:
            self.process = subprocess.Popen(
                # -I: neither the working folder nor the environment choose what is imported
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
        self.baseline = self.memory = 0  # bytes, after the libraries were loaded and now
        self.calls, self.timed, self.begun = 0, 0, 0.0  # `timed`: the call that began at `begun` seconds
        self.limits = Limits(60.0, MEMORY, LARGEST_ANSWER)  # of loading a library
        try:
            self.info = psutil.Process(self.process.pid)
            self._read()
        except (psutil.Error, Unreadable) as error:
            self.kill()
            raise WorkerUnavailable(f"the worker process does not start ({sys.executable} -I)") from error

    def load(self, function: str) -> None:
        """Import what a function needs, so that its memory is no part of a call's."""
        self.limits = self.limits._replace(seconds=60.0)
        self._ask({"load": function})
        self.loaded.add(function)
        self.baseline = self.memory = self.info.memory_info().rss

    def request(self, function: str, limits: Limits, raw: bytes, arguments: dict[str, Any]) -> tuple[Any, bytes]:
        """Begin a call and wait for its first answer."""
        self.limits = limits
        self.calls += 1
        seconds, memory, largest = limits
        request = {"call": function, "cpu": seconds, "memory": memory, "largest": largest, "arguments": arguments}
        return self._ask(request, raw)

    def more(self) -> tuple[Any, bytes]:
        """Wait for the next step of a stream."""
        return self._ask({"more": True, "largest": self.limits.answer})

    def stop(self) -> None:
        """Leave a stream where it is."""
        if self.alive and os.getpid() == self.pool.process:
            with contextlib.suppress(Unreadable):
                self._ask({"stop": True})

    def _ask(self, request: dict[str, Any], raw: bytes = b"") -> tuple[Any, bytes]:
        if not self.alive:
            raise Unreadable("the process that read it is gone")
        self.pool.watch(self)
        try:
            with contextlib.suppress(OSError):  # the child is dead (EPIPE; EINVAL on Windows), and reading says why
                frames.write(self.requests, request, raw)
            answer, out = self._read()
        except BaseException:  # Ctrl-C among them: the child may be in the middle of anything
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
        """Kill the process where its call has used more than it may; called by the watchdog."""
        import psutil

        call = self.calls
        try:
            with self.info.oneshot():
                used, self.memory = sum(self.info.cpu_times()[:2]), self.info.memory_info().rss
        except psutil.Error:  # it has ended
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
        """End the process now."""
        if self.alive and os.getpid() == self.pool.process:
            self.alive = False
            self.process.kill()
            self.process.wait()
            for pipe in (self.requests, self.answers):
                with contextlib.suppress(OSError):
                    pipe.close()

    def forget(self) -> None:
        """After a fork: the process is the parent's child; let go of its pipes without a word to it."""
        self.alive = False
        self.process.returncode = 0
        for pipe in (self.requests, self.answers):
            with contextlib.suppress(OSError):
                os.close(pipe.fileno())

    def heavy(self) -> bool:
        """Whether it has kept so much memory that the next call should not begin with it."""
        if self.memory - self.baseline > KEPT_MEMORY:
            self.memory = self.info.memory_info().rss
        return self.memory - self.baseline > KEPT_MEMORY


class _Pool:
    """The children of this process."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.lock = threading.Lock()
        self.all: set[_Child] = set()
        self.free: list[_Child] = []
        self.busy: set[_Child] = set()
        self.work = threading.Event()
        self.watchdog: threading.Thread | None = None

    def take(self, function: str) -> _Child:
        """A child of the caller's own, with the function's libraries loaded."""
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
        """Take a child back."""
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
        """Have the watchdog look at a child."""
        with self.lock:
            self.busy.add(child)
            if self.watchdog is None:
                self.watchdog = threading.Thread(target=self._watch, name="hashret-watchdog", daemon=True)
                self.watchdog.start()
            if not self.work.is_set():
                self.work.set()

    def unwatch(self, child: _Child) -> None:
        """Look at it no more."""
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
        """End all children."""
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
    return f"took more than {limits.seconds:.1f} s of processor time"


def _too_much(limits: Limits) -> str:
    return f"took more than {limits.memory // MIB} MiB of memory"


def _ending(status: int, limits: Limits) -> str:
    """Why a child ended that nobody ended here."""
    if hasattr(signal, "SIGXCPU") and status == -signal.SIGXCPU:
        return _too_long(limits)
    how = f"signal {-status}" if status < 0 else f"exit code {status}"
    return f"the library that reads it crashed ({how})"
