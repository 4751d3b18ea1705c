"""`Cluster`: Ray, on this machine or on a cluster.

A task gets the files of the job and returns those of an encoded shard, so that the nodes need not share the folder of
the index. Ray repeats the tasks of a node that is lost. This process alone writes shards, one result for each.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from hashret import errors, files
from hashret.errors import HashretError, UsageError, need
from hashret.shards import HASHER, JOB, Job

TRIES = 3  # repetitions of a task whose node or process is lost
AHEAD = 2  # tasks per CPU that are submitted at once; their results take memory
WAIT = 10  # seconds for the head of a cluster to answer
VERSION = sys.modules["hashret"].__version__

Files = Mapping[str, bytes]


class Cluster:
    """The nodes of a Ray cluster, or a number of processes that Ray starts on this machine ("local")."""

    def __init__(self, address: str) -> None:
        need("ray", "ray", "encoding on Ray")
        self.address = address

    def run(self, job: Job, numbers: Sequence[int]) -> Generator[int]:
        """Encode these shards, each of which is yielded when it is in the folder of the job."""
        if not numbers:
            return
        with _connected(self.address) as ray:
            _check_nodes(ray, [] if self.address == "local" else job.paths)
            task = ray.remote(num_cpus=1, max_retries=TRIES)(encode)
            sent, left = ray.put(_files_of(job)), list(reversed(numbers))
            running: dict[Any, int] = {}
            while left or running:
                most = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
                while left and len(running) < most:
                    number = left.pop()
                    running[task.remote(sent, number)] = number
                [done], _ = ray.wait(list(running), num_returns=1)
                number = running.pop(done)
                try:
                    found, problem = ray.get(done)
                except ray.exceptions.RayError as error:
                    words = f"shard {number + 1} of {len(job.shards)} was lost {TRIES + 1} times on the cluster"
                    raise HashretError(f"{words} ({type(error).__name__}); run again to continue") from error
                if problem:
                    raise getattr(errors, problem[0], HashretError)(problem[1])
                _write(job, number, found)
                yield number


@contextmanager
def _connected(address: str) -> Generator[Any]:
    """Connect to a cluster that is named, never to one that happens to run here, and disconnect afterwards."""
    import ray

    if ray.is_initialized():  # by the caller
        yield ray
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no report to the makers of Ray
    try:
        if found := re.fullmatch(r"(?:ray://)?(.+):(\d+)", address):  # Ray itself tries for minutes
            socket.create_connection((found[1].strip("[]"), int(found[2])), WAIT).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, OverflowError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"no Ray cluster at {address!r} ({reason}); give the address of its head") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_nodes(ray: Any, paths: Sequence[str]) -> None:
    """Raise UsageError if a node has another version of hashret, or lacks a file of the source."""
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    nodes = [node for node in ray.nodes() if node["Alive"]]
    task = ray.remote(num_cpus=0, max_retries=0)(look)
    asked = [
        task.options(scheduling_strategy=strategy(node_id=node["NodeID"], soft=False)).remote(list(paths))
        for node in nodes
    ]
    for node, reference in zip(nodes, asked, strict=True):
        name = node["NodeManagerAddress"]
        try:
            version, missing = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            reason = str(error.cause)
            raise UsageError(f"node {name} cannot run hashret ({reason}); install {VERSION} there") from error
        except ray.exceptions.RayError:
            continue  # lost meanwhile
        if version != VERSION:
            raise UsageError(f"node {name} has hashret {version}, this is {VERSION}; install the same version there")
        if missing:
            raise UsageError(
                f"node {name} has no {missing[0]!r}; put the source where all nodes see it, or give an address such as "
                "s3://bucket/*.jsonl"
            )


def look(paths: Sequence[str]) -> tuple[str, list[str]]:
    """Return the version of hashret, and which of these paths do not exist; runs on a node."""
    return VERSION, [path for path in paths if not Path(path).exists()]


def encode(given: Files, number: int) -> tuple[Files, tuple[str, str] | None]:
    """Return the files of an encoded shard, or the kind and message of an error; runs on a node."""
    try:
        job = _job(tuple(sorted(given.items())))
        with tempfile.TemporaryDirectory(prefix="hashret-") as scratch:
            shard = Path(scratch) / "shard"
            job.encode(number, shard)
            return {str(path.relative_to(shard)): path.read_bytes() for path in _files_in(shard)}, None
    except HashretError as error:
        return {}, (type(error).__name__, str(error))


@lru_cache(maxsize=1)
def _job(given: tuple[tuple[str, bytes], ...]) -> Job:
    """Return the job with these files, of which all that encoding needs is loaded."""
    with tempfile.TemporaryDirectory(prefix="hashret-") as scratch:
        for name, data in given:
            path = Path(scratch) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        job = Job(Path(scratch))
        job.parts  # noqa: B018  loads the hasher too
    return job


def _files_of(job: Job) -> dict[str, bytes]:
    """Return the files of a job that a node needs."""
    names = [JOB, *job.parts.files, *(f"{HASHER}/{path.name}" for path in (job.folder / HASHER).iterdir())]
    return {name: (job.folder / name).read_bytes() for name in names}


def _files_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def _write(job: Job, number: int, found: Files) -> None:
    """Write the files of a shard, and make it the encoded shard."""
    attempt = job.attempt(number)
    files.make_root(attempt)
    with files.Root(attempt) as root:
        for name, data in found.items():
            if "/" in name:
                root.make_folder(name.rpartition("/")[0])
            root.write(name, data)
        root.sync()
    job.commit(number, attempt)
