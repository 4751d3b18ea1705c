"""`Local`: processes on this machine. A process that dies is replaced, and its shard encoded again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from hashret import errors
from hashret.errors import HashretError
from hashret.shards import Job

TRIES = 3  # attempts at a shard whose process dies
_START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from hashret.pools.process import main; main()"


class Local:
    """A number of processes on this machine."""

    def __init__(self, count: int) -> None:
        self.count = count

    def run(self, job: Job, numbers: Sequence[int]) -> Generator[int]:
        """Encode these shards, each of which is yielded when it is in the folder of the job."""
        waiting: SimpleQueue[int | None] = SimpleQueue()
        finished: SimpleQueue[int | BaseException] = SimpleQueue()
        for number in numbers:
            waiting.put(number)
        workers = [_Worker(job, waiting, finished) for _ in range(min(self.count, len(numbers)))]
        for _ in workers:
            waiting.put(None)  # each worker ends at one of these
        for worker in workers:
            worker.start()
        try:
            for _ in numbers:
                result = finished.get()
                if isinstance(result, BaseException):
                    raise result
                yield result
        finally:
            for worker in workers:
                worker.stop()


class _Worker(Thread):
    """Serves one process at a time: sends it the number of a shard, and waits for the answer."""

    def __init__(self, job: Job, waiting: SimpleQueue[int | None], finished: SimpleQueue[int | BaseException]) -> None:
        super().__init__(daemon=True)
        self.job, self.waiting, self.finished = job, waiting, finished
        self.process: subprocess.Popen[bytes] | None = None
        self.stopped = False

    def run(self) -> None:
        """Encode shards until there are no more. The first error ends the run."""
        try:
            while (number := self.waiting.get()) is not None and not self.stopped:
                self._encode(number)
                self.finished.put(number)
        except BaseException as error:  # noqa: BLE001  raised in the thread that waits for the shards
            self.finished.put(error)
        finally:
            self._end()

    def _encode(self, number: int) -> None:
        for _ in range(TRIES):
            answer = self._ask(number)
            if answer is not None:
                if "error" in answer:
                    kind = getattr(errors, answer["error"], HashretError)
                    raise kind(answer["message"])
                return
            if self.stopped:
                return
            self._end()
        words = f"a process ended {TRIES} times while it encoded shard {number + 1} of {len(self.job.shards)}"
        raise HashretError(f"{words}; there may be too little memory for so many workers; run again to continue")

    def _ask(self, number: int) -> dict[str, str] | None:
        """Return the answer of the process, or None if it died."""
        if self.process is None:
            self.process = _start(self.job.folder)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(f"{number}\n".encode())
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except OSError:
            return None
        return dict(json.loads(line)) if line.endswith(b"\n") else None

    def _end(self) -> None:
        """End the process: without input, it ends by itself."""
        if self.process is not None:
            if self.stopped:
                self.process.kill()
            self.process.communicate()
            self.process = None

    def stop(self) -> None:
        """Kill the process, if it is still working, and wait until the thread has ended."""
        self.stopped = True
        if (process := self.process) is not None:
            process.kill()
        self.join()


def _start(folder: Path) -> subprocess.Popen[bytes]:
    home = str(Path(__file__).absolute().parent.parent.parent)
    paths = [path for path in sys.path if path]  # without "", the working folder
    return subprocess.Popen(
        [sys.executable, "-c", _START, json.dumps(paths if home in paths else [*paths, home]), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ,
    )
