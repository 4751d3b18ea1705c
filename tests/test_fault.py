"""Acknowledged changes survive all failures: power, disk, process, flipped bits."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hashret import Document, Index, files
from hashret.errors import HashretError
from hashret.index import verify
from tests.faults import (
    CALLS,
    Disk,
    Swapper,
    bad_sectors,
    cut_while_read,
    flip_bits,
    halfway,
    kill_writers,
    lay,
    many_writers,
    race_creations,
    state,
)
from tests.samples import linux_only

pytestmark = linux_only("the shim asks /proc which file is forced to disk")

CHANGES: dict[str, Callable[[Index], object]] = {
    "add": lambda index: index.add(documents(20, 26)),
    "delete": lambda index: index.delete(["d3", "d12"]),
    "replace": lambda index: index.add(documents(4, 7), replace=True),
    "compact": lambda index: index.compact(),
    "refit": lambda index: index.refit(bits=24),
}


def documents(start: int, stop: int) -> list[Document]:
    return [Document(f"d{n}", f"boat number{n % 5} of harbour{n % 7}", (f"l{n % 2}",)) for n in range(start, stop)]


def made(path: Path) -> Index:
    return Index.create(path, documents(0, 20), bits=16, encoder="lsh", seed=0, rescore="int8")


def test_a_power_cut_at_any_instant_leaves_the_generation_before_or_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "index"
    disk = Disk(root)
    with disk.watching(monkeypatch):
        index = made(root)
    first = state(root)
    for number, cut in enumerate(disk.taken()):  # there is no index yet, or a complete one
        place = lay(cut, tmp_path / f"create-{number}")
        if (place / "manifest.json").exists():
            assert state(place) == first
    before = first
    for name, change in CHANGES.items():
        with disk.watching(monkeypatch):
            change(index)
        after = state(root)
        assert after != before or name == "compact"
        cuts = disk.taken()
        assert len(cuts) > 10
        for number, cut in enumerate(cuts):
            assert state(lay(cut, tmp_path / f"{name}-{number}")) in (before, after), (name, number)
        before = after
    # acknowledged changes are durable: a later power cut does not lose them
    with disk.watching(monkeypatch):
        index.add(documents(30, 31))
        disk.taken()
    assert all(state(lay(cut, tmp_path / f"late-{n}"))[0][-1] == "d30" for n, cut in enumerate(disk.taken()))


@pytest.mark.slow
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("name", CHANGES)
def test_a_disk_that_fails_at_any_call_says_rightly_whether_anything_changed(
    name: str, error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = CHANGES[name]
    with made(tmp_path / "index") as index:
        index.delete(["d7"])
        before, needed = state(index.path), set(files_of(index.path)) - OWN
    paths = (shutil.copytree(tmp_path / "index", tmp_path / f"{n}") for n in range(1000))
    with Index.open(next(paths)) as index:
        change(index)
        after = state(index.path)
    index = Index.open(next(paths))
    for number in range(1000):
        with monkeypatch.context() as patched:
            calls = fail_at(number, error, patched)
            error_said = refusal(index, change)
        if error_said:
            assert os.strerror(error) in error_said
            changed = "was changed, but" in error_said
            assert changed or "was not changed" in error_said or "cannot be written" in error_said
            assert needed <= set(files_of(index.path))  # as the disk may fall back on them
            assert index.ids == (after if changed else before)[0]
        else:
            changed = True  # the failed call was not needed, or nothing failed
        assert state(index.path) == (after if changed else before), (number, calls)
        if changed:
            index.delete([index.ids[0]])  # the next change works and cleans up
            assert verify(index.path) == []
            assert {file for file in files_of(index.path) if file not in index.store.manifest.files} <= OWN
            index.close()
            index = Index.open(next(paths))
        if len(calls) <= number:
            break
    assert number > 10
    assert {"write_all", "fsync", "replace"} <= set(calls)


OWN = {"manifest.json", "recovery/manifest.json", "lock"}


def refusal(index: Index, change: Callable[[Index], object]) -> str:
    """Return the message of a change stopped by a system error, never that error itself; empty if it succeeded."""
    try:
        change(index)
    except HashretError as error:
        return str(error)
    return ""


def files_of(path: Path) -> list[str]:
    return [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]


def fail_at(number: int, error: int, patched: pytest.MonkeyPatch) -> list[str]:
    """Let the write call with this number fail, a write half way; yield the calls so far, by name."""
    calls: list[str] = []

    def fails(name: str) -> None:
        calls.append(name)
        if len(calls) == number + 1:
            raise OSError(error, os.strerror(error))

    def failing(call: Callable[..., object]) -> Callable[..., object]:
        def tried(*args: object, **kwargs: object) -> object:
            if call.__name__ != "mkdir" or not Path(str(args[0])).is_dir():  # or it reports that it exists
                fails(call.__name__)
            return call(*args, **kwargs)

        return tried

    for module, name in CALLS:
        if name != "unlink":  # which only cleans up
            patched.setattr(module, name, failing(getattr(module, name)))
    patched.setattr(files, "write_all", halfway(lambda: fails("write_all")))
    return calls


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    made(tmp_path / "index").close()
    changes = kill_writers(tmp_path / "index", 5)
    assert sum(count for what, count in changes.items() if "cut off" not in what) >= 10
    assert any("cut off" in what for what in changes)


def test_any_bit_that_flips_is_found_or_changes_nothing(tmp_path: Path) -> None:
    with made(tmp_path / "index") as index:
        index.add(documents(20, 30))
        index.delete(["d2"])
    assert flip_bits(index.path, 40) > 30


def test_of_two_processes_that_create_one_index_one_does(tmp_path: Path) -> None:
    assert race_creations(tmp_path, 2)["refused"] == 2


def test_writers_at_once_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    made(tmp_path / "index").close()
    assert many_writers(tmp_path / "index", 3)["changes acknowledged"] > 3


def test_links_put_in_the_place_of_folders_lead_no_write_away(tmp_path: Path) -> None:
    made(tmp_path / "index").close()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "manifest.json").write_text("dear")
    swap = Swapper(tmp_path / "index", tmp_path / "precious")
    many_writers(tmp_path / "index", 2, writers=2, meanwhile=swap)
    assert swap.swaps > 100
    assert [file.read_text() for file in (tmp_path / "precious").iterdir()] == ["dear"]


def test_bad_sectors_and_files_cut_while_read_are_errors_and_cost_little(tmp_path: Path) -> None:
    made(tmp_path / "index").close()
    assert bad_sectors(tmp_path / "index", 6)["documents kept"] > 60
    assert cut_while_read(tmp_path / "index", 20)["reads refused"] > 0
