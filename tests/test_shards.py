"""Indexing with several processes: the index is that of one process, and nothing that was encoded is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from hashret import plan
from hashret.documents import Document
from hashret.errors import DataError, DuplicateIds, HashretError, UsageError
from hashret.hasher import Hasher
from hashret.index import Index, cache_of
from hashret.ingest import describe
from hashret.parts import Parts
from hashret.plan import Plan
from hashret.pools import pool
from hashret.pools.local import Local
from hashret.readers import as_source, read
from hashret.shards import Job

from .conftest import make_texts
from .samples import posix_only

COUNT = 2300
WORDS = make_texts(400)


def document(number: int) -> dict[str, Any]:
    text = WORDS[number % len(WORDS)]
    return {
        "id": f"d{number}",
        "text": f"{text.content} {number}",
        "label": text.labels,
        "number": number,
        "title": "a",
    }


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of one batch, so that few documents make several."""
    monkeypatch.setattr(plan, "BATCHES", 1)


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three files of JSON lines with 2,300 documents."""
    folder = tmp_path_factory.mktemp("files")
    paths = []
    for number, (start, stop) in enumerate(((0, 700), (700, 1900), (1900, COUNT))):
        paths.append(folder / f"{number}.jsonl")
        paths[-1].write_text("\n".join(json.dumps(document(own)) for own in range(start, stop)))
    return paths


@pytest.fixture(scope="session")
def hasher(files: list[Path]) -> Hasher:
    return Hasher.fit(read(*files), bits=16, encoder="itq")


@pytest.fixture(scope="session")
def alone(files: list[Path], hasher: Hasher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index that one process makes."""
    return create(tmp_path_factory.mktemp("alone") / "index", files, hasher)


def create(path: Path, files: Sequence[Path], hasher: Hasher | None = None, **options: Any) -> Path:
    Index.create(path, read(*files), hasher=hasher, **options).close()
    return path


def bytes_of(path: Path) -> dict[str, Any]:
    """Return the files of an index; of the manifest, what is not drawn at random."""
    found: dict[str, Any] = {}
    for file in sorted(path.rglob("*")):
        if file.is_file():
            found[str(file.relative_to(path))] = file.read_bytes()
    manifest = json.loads(found.pop("manifest.json"))
    found.pop("recovery/manifest.json", None)
    return found | {"manifest": {key: own for key, own in manifest.items() if key not in ("identity", "checksum")}}


def contents_of(path: Path) -> list[tuple[str, bytes]]:
    """Return the files of an index without the numbers in their names, which are higher after a killed run."""
    return [
        (name.split("/")[0] + Path(name).suffix, data)
        for name, data in bytes_of(path).items()
        if isinstance(data, bytes)
    ]


def leftovers(index: Path) -> list[str]:
    return sorted(path.name for path in index.parent.glob(f".{index.name}.shards/*/*"))


def test_files_give_the_index_of_one_process(files: list[Path], hasher: Hasher, alone: Path, tmp_path: Path) -> None:
    for workers in (1, 2):
        made = create(tmp_path / f"index{workers}", files, hasher, workers=workers)
        assert bytes_of(made) == bytes_of(alone)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index1", "index2"]


def write_folder(folder: Path) -> Any:
    for number in range(1100):
        place = folder / "letters" / str(number % 7)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.txt").write_text(document(number)["text"] if number % 50 else "")
    return read(folder / "letters", label="folder")


def write_two_folders(folder: Path) -> Any:
    for number in range(1100):
        place = folder / ("new" if number % 3 else "old")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.txt").write_text(document(number)["text"])
    return read(folder / "new", folder / "old")


def write_images(folder: Path) -> Any:
    rng = np.random.default_rng(0)
    for number in range(1050):
        place = folder / "images" / f"{number % 3}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)).save(place / f"{number}.png")
    return read(folder / "images")


def write_vectors(folder: Path) -> Any:
    np.save(folder / "x.npy", np.random.default_rng(0).standard_normal((2100, 24)).astype(np.float32))
    return read(folder / "x.npy")


def write_address(folder: Path) -> Any:
    pytest.importorskip("fsspec")
    for number in range(3):
        lines = (json.dumps(document(own)) for own in range(700 * number, 700 * (number + 1)))
        (folder / f"{number}.jsonl").write_text("\n".join(lines))
    return f"file://{folder}/*.jsonl"


def in_memory(folder: Path) -> Any:
    return [Document(f"d{n}", document(n)["text"], ("a",), {"n": n}) for n in range(1200)]


def iterator(folder: Path) -> Any:
    return as_source(iter(in_memory(folder)))


def long_texts(folder: Path) -> Any:
    """Batches that end by size, not by number, and segments that end in between."""
    long = "wheat was dear that year " * 25_000
    return [Document(f"d{n}", f"{n} {long[: (n * 7919) % len(long)]}") for n in range(60)]


@pytest.mark.parametrize(
    "source",
    [write_folder, write_two_folders, write_images, write_vectors, write_address, in_memory, iterator, long_texts],
)
def test_every_source_gives_the_index_of_one_process(source: Callable[[Path], Any], tmp_path: Path) -> None:
    documents = source(tmp_path)
    options: dict[str, Any] = {"bits": 16, "encoder": "itq"}
    Index.create(tmp_path / "alone", documents, **options).close()
    Index.create(tmp_path / "index", documents, workers=2, **options).close()
    assert bytes_of(tmp_path / "index") == bytes_of(tmp_path / "alone")
    assert leftovers(tmp_path / "index") == []


class Counting(Local):
    """Notes which shards are encoded, and stops after some of them."""

    def __init__(self, most: int = 1000) -> None:
        super().__init__(1)
        self.most = most
        self.numbers: list[int] = []

    def run(self, job: Job, numbers: Sequence[int]) -> Generator[int]:
        for done, number in enumerate(super().run(job, numbers), 1):
            self.numbers.append(number)
            yield number
            if done == self.most:
                raise KeyboardInterrupt


def counting(monkeypatch: pytest.MonkeyPatch, most: int = 1000) -> Counting:
    own = Counting(most)
    monkeypatch.setattr("hashret.index.pool", lambda workers: own)
    return own


def test_a_second_run_encodes_only_what_is_missing(
    files: list[Path], hasher: Hasher, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = counting(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        create(tmp_path / "index", files, hasher, workers=1)
    assert not (tmp_path / "index").exists()
    assert first.numbers == [0, 1]
    left = [2] if len(list(tmp_path.glob(".index.shards/*/shard-*"))) == 2 else []  # the process may have gone on
    second = counting(monkeypatch)
    assert bytes_of(create(tmp_path / "index", files, hasher, workers=1)) == bytes_of(alone)
    assert second.numbers == left
    assert leftovers(tmp_path / "index") == []


def test_a_run_with_another_hasher_or_other_files_starts_anew(
    files: list[Path], hasher: Hasher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        create(tmp_path / "index", files, hasher, workers=1)
    kept = leftovers(tmp_path / "index")
    other = Hasher.fit(read(*files), bits=16, encoder="lsh")
    for number, (own, some) in enumerate(((other, files), (hasher, files[:2]))):
        made = counting(monkeypatch)
        create(tmp_path / f"alone{number}", some, own)
        create(tmp_path / "index", some, own, workers=1, force=True)
        with Index.open(tmp_path / "index") as mine, Index.open(tmp_path / f"alone{number}") as theirs:
            assert mine.ids == theirs.ids
            assert (mine.codes == theirs.codes).all()
        assert 0 in made.numbers
    assert leftovers(tmp_path / "index") == kept  # of the first run, which can still be continued


def test_a_damaged_shard_is_encoded_again(
    files: list[Path], hasher: Hasher, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        create(tmp_path / "index", files, hasher, workers=1)
    [file] = tmp_path.glob(".index.shards/*/shard-000001/segments/*.h5")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    second = counting(monkeypatch)
    assert bytes_of(create(tmp_path / "index", files, hasher, workers=1)) == bytes_of(alone)
    assert 1 in second.numbers
    assert 0 not in second.numbers


def test_files_of_others_in_the_folder_of_a_run_are_kept(
    files: list[Path], hasher: Hasher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        create(tmp_path / "index", files, hasher, workers=1)
    [folder] = tmp_path.glob(".index.shards/*")
    (folder / "notes.txt").write_text("mine")
    counting(monkeypatch)
    create(tmp_path / "index", files, hasher, workers=1)
    assert leftovers(tmp_path / "index") == ["notes.txt"]


@posix_only("SIGKILL")
def test_the_shard_of_a_lost_process_is_encoded_again(
    files: list[Path], hasher: Hasher, alone: Path, tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill() -> None:
        while not killed:
            for child in psutil.Process().children():
                if list(tmp_path.glob(".index.shards/*/.shard-*.part")) and "hashret.pools" in str(child.cmdline()):
                    child.kill()
                    killed.append(child.pid)
                    return
            time.sleep(0.001)

    thread = threading.Thread(target=kill)
    thread.start()
    made = create(tmp_path / "index", files, hasher, workers=2)
    thread.join()
    assert killed
    assert bytes_of(made) == bytes_of(alone)
    assert leftovers(made) == []


def test_a_process_that_always_dies_is_reported(
    files: list[Path], hasher: Hasher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashret.pools.local._START", "import sys; sys.stdin.readline(); sys.exit(1)")
    with pytest.raises(HashretError, match="a process ended 3 times while it encoded shard 1 of 3"):
        create(tmp_path / "index", files, hasher, workers=1)
    assert not (tmp_path / "index").exists()


def test_a_paused_attempt_that_goes_on_later_changes_nothing(files: list[Path], hasher: Hasher, tmp_path: Path) -> None:
    cut = Plan(read(*files))
    documents = list(cut)
    parts = Parts.fit(hasher, documents, None, "none")
    job = Job.prepare(tmp_path / "index", cut, hasher, parts, describe(cut.source, hasher), cache_of(tmp_path / "i"))
    paused, other = job.attempt(1), job.attempt(1)
    job.encode(1, paused)  # paused before it is committed
    job.encode(1, other)
    job.commit(1, other)
    before = bytes_of(job.path(1))
    job.commit(1, paused)
    assert bytes_of(job.path(1)) == before
    assert not paused.exists()
    assert job.missing() == [0, 2]


def test_a_source_that_changes_between_the_readings_is_refused(hasher: Hasher, tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(json.dumps(document(n)) for n in range(1200)))

    class Changing(Local):
        def run(self, job: Job, numbers: Sequence[int]) -> Generator[int]:
            path.write_text(path.read_text().replace("d1100", "d9999"))
            yield from super().run(job, numbers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hashret.index.pool", lambda workers: Changing(1))
        with pytest.raises(DataError, match=r"the source has changed since it was first read \(.*200 documents\)"):
            create(tmp_path / "index", [path], hasher, workers=1)
    assert not (tmp_path / "index").exists()


def test_errors_are_those_of_one_process(files: list[Path], hasher: Hasher, tmp_path: Path) -> None:
    twice = tmp_path / "twice.jsonl"
    twice.write_text((files[0].read_text() + "\n") * 2)
    with pytest.raises(DuplicateIds, match="duplicate ids in the source: 'd0'"):
        create(tmp_path / "index", [twice], hasher, workers=2)
    with pytest.raises(DataError, match="no documents"):
        Index.create(tmp_path / "index", [], workers=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["twice.jsonl"]


@pytest.mark.parametrize(
    ("workers", "words"),
    [
        (0, "workers must be 1 to 1024, got 0"),
        ("-2", 'workers must be a number, "ray" or "ray:ADDRESS", got'),
        ("spark", 'workers must be a number, "ray" or "ray:ADDRESS", got \'spark\''),
        ("ray:", "workers must be a number"),
        (1.5, "workers must be a whole number"),
    ],
)
def test_wrong_workers_are_refused_before_anything_is_read(workers: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        Index.create(tmp_path / "index", tmp_path / "missing.jsonl", workers=workers)
    with pytest.raises(UsageError, match=words):
        pool(workers)


def test_the_bytes_do_not_depend_on_the_hash_seed_of_python() -> None:
    program = """
import hashlib
import numpy as np
from hashret.features import Vectors
from hashret.store import Derived, Record, hdf5
vectors = Vectors(np.ones((2, 3), np.uint8), np.ones(2, np.float32))
image, _ = hdf5.image(np.ones((2, 1), np.uint8), [Record("a"), Record("b")], Derived(vectors))
print(hashlib.sha256(image).hexdigest())
"""
    seeds = [os.environ | {"PYTHONHASHSEED": str(seed)} for seed in range(4)]
    command = [sys.executable, "-c", program]
    assert len({subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE).stdout for env in seeds}) == 1


@posix_only("SIGKILL")
def test_a_killed_run_continues(files: list[Path], hasher: Hasher, alone: Path, tmp_path: Path) -> None:
    hasher.save(tmp_path / "hasher")
    command = [sys.executable, "-m", "hashret", "index", *map(str, files)]
    command += ["--hasher", str(tmp_path / "hasher"), "-i", str(tmp_path / "index"), "--workers", "1"]
    start = "import sys; from hashret import plan; from hashret.cli import main; plan.BATCHES = 1; main()"
    command[1:3] = ["-c", start]
    process = subprocess.Popen(command, env=os.environ)
    try:
        while process.poll() is None and not list(tmp_path.glob(".index.shards/*/shard-000000")):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    finally:
        process.wait()
    assert process.returncode == -signal.SIGKILL
    first = next(tmp_path.glob(".index.shards/*/shard-000000"))
    made = (first / "manifest.json").stat().st_mtime_ns
    kept = tmp_path / "kept"
    while list(tmp_path.glob(".index.shards/*/.shard-*.part")):  # its process ends after the shard in progress
        time.sleep(0.01)
    shutil.copytree(first, kept)
    assert (kept / "manifest.json").stat().st_mtime_ns == made
    subprocess.run(command, check=True)
    assert contents_of(tmp_path / "index") == contents_of(alone)
    assert leftovers(tmp_path / "index") == []
