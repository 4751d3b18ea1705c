"""Pools: processes that encode the shards of a job, on this machine or on a cluster."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

from hashret.errors import UsageError, shown, whole_number
from hashret.shards import Job

MOST = 1024  # processes


class Pool(Protocol):
    """Processes that encode shards."""

    def run(self, job: Job, numbers: Sequence[int]) -> Generator[int]:
        """Encode these shards, each of which is yielded when it is in the folder of the job."""
        ...


def pool(workers: int | str) -> Pool:
    """Return a number of processes on this machine, "ray" for Ray on this machine, or "ray:ADDRESS" for a cluster.

    Raises UsageError for anything else, and MissingExtra if Ray is not installed.
    """
    if isinstance(workers, str) and not workers.isdecimal():
        kind, colon, address = workers.partition(":")
        if kind != "ray" or (colon and not address):
            raise UsageError(f'workers must be a number, "ray" or "ray:ADDRESS", got {shown(workers)}')
        from hashret.pools.cluster import Cluster

        return Cluster(address or "local")
    from hashret.pools.local import Local

    return Local(whole_number(int(workers) if isinstance(workers, str) else workers, "workers", 1, MOST))
