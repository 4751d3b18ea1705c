"""Indexing on Ray: a cluster of three nodes on this machine, one of which is lost midway."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hashret import plan
from hashret.errors import DataError, UsageError
from hashret.hasher import Hasher
from hashret.index import Index
from hashret.pools.cluster import Cluster
from hashret.readers import read
from hashret.shards import Job

from .test_shards import bytes_of, document, leftovers

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]

COUNT = 6500


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("files")
    paths = []
    for number, (start, stop) in enumerate(((0, 2700), (2700, COUNT))):
        paths.append(folder / f"{number}.jsonl")
        paths[-1].write_text("\n".join(json.dumps(document(own)) for own in range(start, stop)))
    return paths


@pytest.fixture(scope="module")
def hasher(files: list[Path]) -> Hasher:
    return Hasher.fit(read(files[0]), bits=16, encoder="itq")


@pytest.fixture(scope="module")
def alone(files: list[Path], hasher: Hasher, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("alone") / "index"
    Index.create(path, read(*files), hasher=hasher).close()
    return bytes_of(path)


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A cluster whose head runs no tasks, and two nodes that do, with one CPU each."""
    from ray.cluster_utils import Cluster as Nodes

    nodes: Any = Nodes(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes.add_node(num_cpus=1)
    nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    yield nodes
    nodes.shutdown()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "BATCHES", 1)


def test_a_lost_node_changes_nothing(
    files: list[Path],
    hasher: Hasher,
    alone: dict[str, Any],
    cluster: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Losing(Cluster):
        """Kills a node when the first shard has arrived."""

        def run(self, job: Job, numbers: Sequence[int]) -> Generator[int]:
            for done, number in enumerate(super().run(job, numbers)):
                if done == 0:
                    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
                yield number

    monkeypatch.setattr("hashret.index.pool", lambda workers: Losing(cluster.address))
    Index.create(tmp_path / "index", read(*files), hasher=hasher, workers="ray:ADDRESS").close()
    assert len(cluster.worker_nodes) == 1
    assert bytes_of(tmp_path / "index") == alone
    assert leftovers(tmp_path / "index") == []
    assert not ray.is_initialized()


def test_a_run_that_stops_on_a_cluster_continues_without_it(
    files: list[Path],
    hasher: Hasher,
    alone: dict[str, Any],
    cluster: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stopping(Cluster):
        def run(self, job: Job, numbers: Sequence[int]) -> Generator[int]:
            for done, number in enumerate(super().run(job, numbers)):
                yield number
                if done == 2:
                    raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hashret.index.pool", lambda workers: Stopping(cluster.address))
        with pytest.raises(KeyboardInterrupt):
            Index.create(tmp_path / "index", read(*files), hasher=hasher, workers="ray:ADDRESS")
    assert len(list(tmp_path.glob(".index.shards/*/shard-*"))) == 3
    Index.create(tmp_path / "index", read(*files), hasher=hasher, workers=2).close()
    assert bytes_of(tmp_path / "index") == alone


def test_a_node_that_lacks_the_source_is_named(
    files: list[Path], hasher: Hasher, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Missing(Cluster):
        """Moves the source away, as on a cluster without a shared folder."""

        def run(self, job: Job, numbers: Sequence[int]) -> Generator[int]:
            files[0].rename(tmp_path / "away")
            try:
                yield from super().run(job, numbers)
            finally:
                (tmp_path / "away").rename(files[0])

    monkeypatch.setattr("hashret.index.pool", lambda workers: Missing(cluster.address))
    with pytest.raises(UsageError, match=r"node [0-9.]+ has no '.*0\.jsonl'; put the source where all nodes see it"):
        Index.create(tmp_path / "index", read(*files), hasher=hasher, workers="ray:ADDRESS")
    assert not (tmp_path / "index").exists()


def test_ray_on_this_machine_does_not_join_a_cluster_that_runs_here(
    files: list[Path],
    hasher: Hasher,
    alone: dict[str, Any],
    cluster: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    joined: list[str] = []

    class Watched(Cluster):
        def run(self, job: Job, numbers: Sequence[int]) -> Generator[int]:
            for number in super().run(job, numbers):
                joined.append(ray.get_runtime_context().gcs_address)
                yield number

    monkeypatch.setattr("hashret.index.pool", lambda workers: Watched("local"))
    Index.create(tmp_path / "index", read(*files), hasher=hasher, workers="ray").close()
    assert bytes_of(tmp_path / "index") == alone
    assert joined
    assert cluster.address not in joined


def test_an_error_on_a_node_is_that_of_one_process(
    files: list[Path], hasher: Hasher, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text(files[0].read_text())

    class Changing(Cluster):
        def run(self, job: Job, numbers: Sequence[int]) -> Generator[int]:
            path.write_text(files[0].read_text().replace("d1100", "d9999"))
            yield from super().run(job, numbers)

    monkeypatch.setattr("hashret.index.pool", lambda workers: Changing(cluster.address))
    with pytest.raises(DataError, match="the source has changed since it was first read"):
        Index.create(tmp_path / "index", read(path), hasher=hasher, workers="ray:ADDRESS")


def test_no_cluster_at_an_address(files: list[Path], hasher: Hasher, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no Ray cluster at '127\.0\.0\.1:1' .*; give the address of its head"):
        Index.create(tmp_path / "index", read(*files), hasher=hasher, workers="ray:127.0.0.1:1")
    assert not (tmp_path / "index").exists()
