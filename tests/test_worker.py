"""Worker processes: reused, limited, restarted, and ended together with their parent."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
import pytest

from hashret import worker
from hashret.errors import MissingExtra
from hashret.worker import Unreadable, WorkerUnavailable, call, frames, limits_for, stream

from .samples import posix_only

PAGE, ROWS, DECODE = "hashret.worker.page:text", "hashret.worker.hdf5:rows", "hashret.worker.image:decode"


def page(text: str) -> str:
    raw = f"<p>{text}</p>".encode()
    return call(PAGE, len(raw), raw)[1].decode()


def nested(count: int) -> bytes:
    """A page that takes quadratic time in the count."""
    return b"<html>" + b"<div>" * count


def children() -> list[psutil.Process]:
    return [child.info for child in worker._pool.all]


@pytest.fixture(autouse=True)
def no_children() -> None:
    """Start without a child process."""
    worker._pool.close()


@pytest.fixture
def array(tmp_path: Path) -> str:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["x"] = np.arange(1000.0).reshape(100, 10)
        file["y"] = np.arange(100)
    return str(tmp_path / "v.h5")


def rows(path: str, block: int = 10) -> Generator[tuple[Any, bytes]]:
    return stream(ROWS, 1000, path=path, names=["x"], block=block)


def test_one_child_serves_many_calls_of_several_kinds(array: str) -> None:
    assert page("one") == "one"
    (child,) = children()
    assert page("two") == "two"
    assert len(list(rows(array))) == 10
    assert children() == [child]


def test_only_functions_of_the_list_are_run() -> None:
    with pytest.raises(Unreadable, match="has no function 'os:getcwd'"):
        call("os:getcwd", 1)


def test_what_a_library_raises_comes_back_as_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.h5").write_bytes(b"\x89HDF\r\n\x1a\nnothing\n\x1b[31m" * 20)
    with pytest.raises(Unreadable, match=r"^OSError: ") as caught:
        call("hashret.worker.hdf5:arrays", 1, path=str(tmp_path / "bad.h5"))
    assert str(caught.value).isprintable()
    assert page("still there") == "still there"
    assert len(children()) == 1


def test_a_call_that_takes_too_long_is_ended_and_the_next_has_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    page("warm")
    (first,) = children()
    raw = nested(100_000)
    begun = time.monotonic()
    with pytest.raises(Unreadable, match=r"took more than 0\.3 s of CPU time"):
        call(PAGE, len(raw), raw, limits_for(len(raw), 0.3, 0))
    assert time.monotonic() - begun < 4
    assert page("next") == "next"
    assert children() != [first]


def test_a_call_that_takes_too_much_memory_is_ended(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("L", (9000, 9000)).resize((9000, 9000)).convert("RGB").save(tmp_path / "a.png")
    size = (tmp_path / "a.png").stat().st_size
    with pytest.raises(Unreadable, match=r"took more than 19\d MiB of memory"):
        call(DECODE, size, path=str(tmp_path / "a.png"), largest=256, most=10**9, memory=10**12)
    assert page("next") == "next"


def test_limits_grow_with_the_input_up_to_half_of_the_machine() -> None:
    assert limits_for(0) == (3.0, 192 << 20, 64 << 20)
    assert limits_for(10 << 20) == (103.0, (192 + 80) << 20, (64 + 20) << 20)
    assert limits_for(1 << 60).memory == psutil.virtual_memory().total // 2


@posix_only("signals")
def test_a_child_that_dies_is_replaced_and_its_end_is_the_reason(array: str) -> None:
    page("warm")
    (child,) = children()
    child.kill()
    while child.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert page("next") == "next"
    reading = rows(array)
    next(reading)
    children()[0].send_signal(signal.SIGSEGV)
    with pytest.raises(Unreadable, match=r"crashed \(signal 11\)"):
        list(reading)


def test_a_stream_left_before_its_end_leaves_the_child(array: str) -> None:
    reading = rows(array)
    next(reading)
    (child,) = children()
    reading.close()
    assert page("next") == "next"
    assert children() == [child]


def test_streams_and_calls_do_not_mix(array: str) -> None:
    both = zip(rows(array), rows(array), strict=True)
    for (header, first), (_, second) in both:
        assert page("between") == "between"
        assert first == second
        assert header == ["<f8", [10, 10]]


def test_a_child_a_thread() -> None:
    found: dict[int, list[str]] = {}

    def ask(number: int) -> None:
        found[number] = [page(f"{number} {i}") for i in range(20)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [f"{number} {i}" for i in range(20)] for number in range(4)}


def test_an_answer_larger_than_its_limit_is_refused() -> None:
    with pytest.raises(Unreadable, match="has an item of more than 0 MiB"):
        call(PAGE, 3, b"abc", worker.Limits(3, 1 << 30, 2))


def test_a_frame_larger_than_allowed_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as out:
        frames.write(out, {"a": 1}, b"x" * 100)
    with (tmp_path / "f").open("rb") as stream, pytest.raises(ValueError, match="a frame of 108 bytes, more than 50"):
        frames.read(stream, 50)


@posix_only("the program false")
def test_no_python_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(WorkerUnavailable):
        page("x")
    monkeypatch.delattr(sys, "frozen")
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(WorkerUnavailable, match="No such file"):
        page("x")
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(WorkerUnavailable, match="does not start"):
        page("x")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xberg", None)
    with pytest.raises(MissingExtra, match=r"reading office files needs xberg; .*: pip install 'hashret\[doc"):
        worker.require("xberg", "documents", "reading office files")


def test_nothing_is_imported_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("selectolax", "json", "psutil"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert page("safe") == "safe"


# Other processes. `LOOP` reads forever and reports when it starts.

LOOP = """
import sys, threading
from hashret import worker
worker.call("hashret.worker.page:text", 1, b"warm")
print("reading", worker._pool.free[0].process.pid, flush=True)
raw = b"<html>" + b"<div>" * 2_000_000
worker.call("hashret.worker.page:text", len(raw), raw, worker.Limits(float(sys.argv[1]), 1 << 30, 1 << 30))
"""


def begin(seconds: float) -> tuple[subprocess.Popen[str], psutil.Process]:
    process = subprocess.Popen(
        [sys.executable, "-c", LOOP, str(seconds)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    child = psutil.Process(int(process.stdout.readline().split()[1]))
    used = sum(child.cpu_times()[:2])
    while sum(child.cpu_times()[:2]) < used + 0.2:  # it is running
        time.sleep(0.02)
    return process, child


@posix_only("signals")
def test_ctrl_c_ends_a_call_and_its_child_at_once() -> None:
    process, child = begin(100)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert time.monotonic() - begun < 1
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert not child.is_running()


@posix_only("limits on processor time")
def test_a_killed_process_leaves_no_child_behind() -> None:
    process, child = begin(0.5)
    process.kill()
    process.communicate()
    child.wait(timeout=20)  # by its own limit on CPU time


def test_an_idle_child_ends_with_the_process_that_used_it() -> None:
    code = LOOP.partition("raw =")[0] + "import os; os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", code, "1"], stdout=subprocess.PIPE, text=True)
    pid = int(done.stdout.split()[1])
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.02)
    raise AssertionError("the child is still there")


@posix_only("fork")
def test_a_forked_process_starts_children_of_its_own() -> None:
    code = """
import os
from hashret import worker
def page(text): return worker.call("hashret.worker.page:text", 1, text)[1]
page(b"a"); first = worker._pool.free[0].process.pid
if (pid := os.fork()) == 0:
    assert page(b"b") == b"b" and worker._pool.free[0].process.pid != first
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
assert page(b"c") == b"c" and worker._pool.free[0].process.pid == first
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
