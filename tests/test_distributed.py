"""Training on two processes that torchrun starts: each has its share of the documents, and both the same weights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from .conftest import make_texts
from .samples import linux_only

pytestmark = [linux_only("torchrun and gloo are tested on Linux"), pytest.mark.timeout(300)]

PROGRAM = Path(__file__).parent / "together.py"


def torchrun(*arguments: str, processes: int = 2) -> list[str]:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [*start, *arguments]


def run(folder: Path, task: dict[str, Any], processes: int = 2) -> list[dict[str, Any]]:
    """Run a task of `together.py` and return the result of each process."""
    command = torchrun(str(PROGRAM), str(folder), json.dumps(task), processes=processes)
    done = subprocess.run(command, env=environment(), stderr=subprocess.PIPE, text=True)
    assert not done.returncode, done.stderr
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(processes)]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


def test_101_documents_are_shared_by_two_processes(tmp_path: Path) -> None:
    plan = {"epochs": 4, "batch_size": 33, "min_steps": 1, "validation_fraction": 0.17}
    both = run(tmp_path, {"task": "watch", "documents": 101, **plan})
    held = sorted(row for one in both for row in one["watched"][0])
    assert len(held) == 17
    for epoch in range(4):
        watched = [row for one in both for row in one["watched"][epoch]]
        assert sorted(watched) == held  # each document is validated once
        steps = [row for one in both for step in one["steps"][2 * epoch : 2 * epoch + 2] for row in step]
        assert len(set(steps)) == len(steps) == 66  # no document twice
        assert not set(steps) & set(held)
    assert [len(one["steps"]) for one in both] == [12, 12]
    assert {len(step) for step in both[0]["steps"]} == {17}
    assert {len(step) for step in both[1]["steps"]} == {16}


def test_the_processes_have_equal_weights_and_their_own_noise(tmp_path: Path) -> None:
    plan = {"epochs": 4, "batch_size": 33, "min_steps": 1}
    first, second = run(tmp_path, {"task": "watch", "documents": 101, **plan})
    assert first["weights"] == second["weights"]
    assert not set(first["noise"]) & set(second["noise"])
    assert len(set(first["noise"])) == len(first["noise"])
    assert (first["before"], first["after"]) == (second["before"], second["after"])


def test_no_thread_of_the_process_group_is_left(tmp_path: Path) -> None:
    """Such a thread can crash a process when Python ends."""
    plan = {"epochs": 1, "batch_size": 33, "min_steps": 1}
    assert [one["gloo"] for one in run(tmp_path, {"task": "watch", "documents": 101, **plan})] == [[], []]


def test_two_processes_compute_the_gradient_of_one(tmp_path: Path) -> None:
    """Without batch normalisation and noise, the result is that of one process, but for rounding."""
    task = {"task": "quality", "encoder": "autoencoder", "kind": "real", "bits": 16, "seeds": 1}
    task |= {"epochs": 2, "min_steps": 20, "max_steps": 20, "batch_size": 64}
    (one,) = run(tmp_path, task, processes=1)
    both = run(tmp_path, task)
    assert both[0] == both[1]
    assert one["precision"] == pytest.approx(both[0]["precision"], abs=0.01)


def test_different_documents_are_refused(tmp_path: Path) -> None:
    for result in run(tmp_path, {"task": "differing", "documents": 50}):
        assert result["error"].startswith("DataError: the processes read different documents")


@pytest.mark.slow
@pytest.mark.parametrize(("encoder", "kind"), [("neighborhood", "sparse"), ("neighborhood", "grey"), ("deep", "grey")])
def test_the_quality_is_that_of_one_process(encoder: str, kind: str, tmp_path: Path) -> None:
    task = {"task": "quality", "encoder": encoder, "kind": kind, "bits": 16, "seeds": 4}
    task |= {"epochs": 3, "min_steps": 120, "max_steps": 120, "batch_size": 64}
    (one,) = run(tmp_path, task, processes=1)
    both = run(tmp_path, task)
    assert both[0] == both[1]
    noise = max(np.std(one["precision"]), np.std(both[0]["precision"]), 0.01)
    assert abs(np.mean(one["precision"]) - np.mean(both[0]["precision"])) < 2 * noise


def write_texts(folder: Path) -> None:
    lines = (json.dumps({"id": text.id, "text": text.content}) for text in make_texts(101))
    (folder / "texts.jsonl").write_text("\n".join(lines))


def fit(hasher: str, *more: str) -> list[str]:
    options = {"max_steps": 250, "min_steps": 250, "batch_size": 33, "validation_fraction": 0.1, "epochs": 10}
    settings = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    start = ["-m", "hashret", "fit", "texts.jsonl", "--hasher", hasher, "--bits", "16", "--device", "cpu"]
    return torchrun(*start, *settings, *more)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_killed_fit_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    write_texts(tmp_path)
    kept = ("-o", "checkpoint=kept", "-o", "checkpoint_seconds=0.05")
    process = psutil.Popen(fit("killed", *kept), cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL)
    file = tmp_path / "kept" / "16-bits" / "phase-0002.safetensors"
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE and not file.exists():
        time.sleep(0.01)
    for own in [process, *process.children(recursive=True)]:
        own.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed").exists()
    for command in (fit("killed", *kept), fit("straight")):
        subprocess.run(command, cwd=tmp_path, env=environment(), check=True, stderr=subprocess.DEVNULL)
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "straight")
    about = json.loads((tmp_path / "kept" / "about.json").read_text())
    assert about["processes"] == 2


def test_a_process_that_dies_ends_the_others(tmp_path: Path) -> None:
    write_texts(tmp_path)
    command = fit("killed", "-o", "max_steps=100000", "-o", "min_steps=100000", "-o", "checkpoint=kept")
    process = psutil.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL)
    while not (tmp_path / "kept" / "about.json").exists():
        time.sleep(0.05)
    workers = process.children()
    workers[0].send_signal(signal.SIGKILL)
    assert process.wait(timeout=60)
    assert not any(worker.is_running() for worker in workers)
    assert not (tmp_path / "killed").exists()


def test_only_fit_runs_on_several_processes(tmp_path: Path) -> None:
    write_texts(tmp_path)
    for words, message in (
        (["index", "texts.jsonl"], "torchrun started 2 processes, which can only fit"),
        (["fit", "-", "--hasher", "h"], "several processes cannot read standard input"),
    ):
        done = subprocess.run(
            torchrun("-m", "hashret", *words), cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
        )
        assert done.returncode
        assert message in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["texts.jsonl"]
