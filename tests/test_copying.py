"""`push` and `pull`: copies are equal, go on after an interruption, and cannot be opened before they are complete."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hashret.address import Address
from hashret.backends import base, copying, pull, push
from hashret.backends.engines import engine_of
from hashret.cli.app import app
from hashret.documents import Document
from hashret.errors import DataError, HashretError, IndexExists, IndexNotFound, StoreError, UsageError
from hashret.index import Index

from . import servers
from .samples import linux_only
from .servers import SECRET
from .test_index import corpus

pytestmark = [pytest.mark.slow, linux_only("the packages of the servers")]

NUMBERS = count()


@pytest.fixture(scope="module", params=["postgresql", "milvus"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def gate(engine: str) -> Iterator[servers.Gate]:
    """A gate in front of a server."""
    with ExitStack() as stack:
        if engine == "postgresql":
            made = servers.postgres_gate(stack.enter_context(servers.postgres()))
        else:
            made = servers.Gate(("127.0.0.1", stack.enter_context(servers.milvus())))
        stack.callback(made.close)
        yield made


@pytest.fixture
def address(engine: str, gate: servers.Gate) -> str:
    """A new address behind the gate."""
    gate.mode, gate.left = "open", -1
    if engine == "postgresql":
        return f"postgresql://postgres:{SECRET}@127.0.0.1:{gate.port}/postgres/copy{next(NUMBERS)}?timeout=20"
    return f"milvus://127.0.0.1:{gate.port}/copy{next(NUMBERS)}?timeout=5"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of 130 documents in two segments, some of which are deleted."""
    path = tmp_path_factory.mktemp("from") / "index"
    strange = [Document("zero", "a\0b", ("x",), {"n": {"deep": [1.5, None, "é"]}}), Document("empty", "")]
    with Index.create(path, corpus(120), bits=12, encoder="itq") as index:
        index.add([*strange, *(Document(f"more {number}", "wheat and barn") for number in range(12))])
        index.delete(["sea/2", "farm/3", "more 0", "more 11"])
        assert len(index.store.segments) == 2
    return path


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies in several batches."""
    monkeypatch.setattr(copying, "BLOCK", 25)
    monkeypatch.setattr(copying, "PULLED", 25)


def assert_equal(one: Index, other: Index) -> None:
    assert one.ids == other.ids
    assert one.labels == other.labels
    assert np.array_equal(one.codes, other.codes)
    assert list(one) == list(other)
    assert one.hasher.fingerprint == other.hasher.fingerprint
    assert one.fields == other.fields
    for by in ("codes", "vectors"):
        here, there = one.search("wheat and barn", k=40, by=by), other.search("wheat and barn", k=40, by=by)
        assert [(hit.id, hit.parts) for hit in here] == [(hit.id, hit.parts) for hit in there]
    assert one.verify() == other.verify() == []


def test_a_copy_and_its_copy_are_equal(folder: Path, address: str, tmp_path: Path) -> None:
    assert push(folder, address) == 130
    with Index.open(folder) as index, Index.open(address) as copy:
        assert_equal(index, copy)
        copy.add([Document("later", "wheat")])
        copy.delete("later")
    assert pull(address, tmp_path / "back") == 130
    with Index.open(folder) as index, Index.open(tmp_path / "back") as copy:
        assert_equal(index, copy)
        assert [hit.id for hit in copy.search("wheat", by="words")] == [
            hit.id for hit in index.search("wheat", by="words")
        ]
        copy.add(["another text"])
        copy.compact()
        assert copy.verify() == []
    assert [path.name for path in tmp_path.iterdir()] == ["back"]


def test_the_commands_copy(folder: Path, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, arguments)
        assert SECRET not in result.output
        return result.exit_code, result.stderr

    monkeypatch.chdir(tmp_path)
    code, words = run("push", address, "-i", str(folder))
    assert (code, "copied 130 documents to" in words) == (0, True)
    code, words = run("push", address, "-i", str(folder))
    assert (code, "--force replaces it" in words) == (2, True)
    assert run("push", address, "-i", str(folder), "--force")[0] == 0
    assert run("pull", address)[0] == 0
    name = Address.parse(address).name
    assert len(Index.open(tmp_path / "indexes" / name)) == 130
    assert run("pull", address)[0] == 2
    assert run("pull", address, "-i", address)[0] == 2
    assert run("push", address, "-i", address)[0] == 2


@pytest.mark.parametrize("left", [3_000, 30_000, 60_000])
def test_a_connection_that_fails_once_is_opened_again(
    folder: Path, address: str, gate: servers.Gate, left: int
) -> None:
    gate.left = left
    cuts = gate.cuts
    assert push(folder, address) == 130
    assert gate.cuts == cuts + 1
    with Index.open(folder) as index, Index.open(address) as copy:
        assert_equal(index, copy)


class Stop(Exception):
    pass


@pytest.mark.parametrize("batches", [0, 1, 3, 5])
def test_a_push_that_was_interrupted_goes_on(
    folder: Path, address: str, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    add, calls = copying._Push._add, count()

    def interrupted(self: Any, batch: Any) -> None:
        if next(calls) == batches:
            raise Stop
        add(self, batch)

    monkeypatch.setattr(copying._Push, "_add", interrupted)
    with pytest.raises(Stop):
        push(folder, address)
    with pytest.raises(StoreError, match="is incomplete"):
        Index.open(address)
    written: list[int] = []

    def counted(self: Any, batch: Any) -> None:
        written.append(len(batch))
        add(self, batch)

    monkeypatch.setattr(copying._Push, "_add", counted)
    assert push(folder, address) == 130
    assert sum(written) == 130 - 25 * batches
    with Index.open(folder) as index, Index.open(address) as copy:
        assert_equal(index, copy)


def test_an_engine_that_stays_away_ends_a_push_which_then_goes_on(
    folder: Path, address: str, gate: servers.Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "TRIES", 2)
    monkeypatch.setattr(base, "TRIES", 2)
    add, calls = copying._Push._add, count()

    def failing(self: Any, batch: Any) -> None:
        if next(calls) == 2:
            gate.mode = "closed"
            gate.cut()
        add(self, batch)

    monkeypatch.setattr(copying._Push, "_add", failing)
    started = time.monotonic()
    with pytest.raises(StoreError, match="the copy is incomplete, push again to go on") as caught:
        push(folder, address)
    assert SECRET not in str(caught.value)
    assert time.monotonic() - started < 60
    gate.mode = "open"
    assert push(folder, address) == 130
    with Index.open(folder) as index, Index.open(address) as copy:
        assert_equal(index, copy)


def test_a_push_of_something_else_does_not_go_on(
    folder: Path, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise Stop

    with monkeypatch.context() as patched:
        patched.setattr(copying._Push, "_add", stop)
        with pytest.raises(Stop):
            push(folder, address)
    shutil.copytree(folder, tmp_path / "other")
    with Index.open(tmp_path / "other") as other:
        other.delete("sea/5")
    with pytest.raises(IndexExists, match="an incomplete copy of something else"):
        push(tmp_path / "other", address)
    assert push(tmp_path / "other", address, force=True) == 129


@pytest.mark.parametrize("batches", [0, 1, 5])
def test_a_pull_that_was_interrupted_goes_on(
    folder: Path, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    push(folder, address)
    make, calls = copying.derived, count()

    def interrupted(*arguments: Any, **more: Any) -> Any:
        if next(calls) == batches:
            raise Stop
        return make(*arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(copying, "derived", interrupted)
        with pytest.raises(Stop):
            pull(address, tmp_path / "back")
    with pytest.raises(IndexNotFound):
        Index.open(tmp_path / "back")
    read: list[int] = []

    def counted(rows: Any, *arguments: Any, **more: Any) -> Any:
        read.append(len(rows))
        return make(rows, *arguments, **more)

    monkeypatch.setattr(copying, "derived", counted)
    assert pull(address, tmp_path / "back") == 130
    assert sum(read) == 130 - 25 * batches
    with Index.open(folder) as index, Index.open(tmp_path / "back") as copy:
        assert_equal(index, copy)


def test_a_pull_after_a_change_starts_again(
    folder: Path, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(folder, address)
    make, calls = copying.derived, count()

    def changing(*arguments: Any, **more: Any) -> Any:
        if next(calls) == 2:
            with Index.open(address) as other:
                other.delete("sea/5")
        return make(*arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(copying, "derived", changing)
        with pytest.raises(StoreError, match="was changed during the copy; pull it again"):
            pull(address, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    assert pull(address, tmp_path / "back") == 129
    with Index.open(tmp_path / "back") as copy:
        assert "sea/5" not in copy
        assert copy.verify() == []


def test_a_push_whose_process_is_killed_goes_on(folder: Path, address: str) -> None:
    program = "import sys, hashret.backends.copying as c; c.BLOCK = 5; c.push(*sys.argv[1:])"
    process = subprocess.Popen([sys.executable, "-c", program, str(folder), address])
    engine = engine_of(Address.parse(address))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:  # until some batches are there
        with suppress(HashretError):
            if engine.run(engine.state).next >= 15:
                break
    process.send_signal(signal.SIGKILL)
    process.wait()
    engine.close()
    assert push(folder, address) == 130
    with Index.open(folder) as index, Index.open(address) as copy:
        assert_equal(index, copy)


def test_a_copy_that_differs_is_named(folder: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    add = copying._Push._add

    def falsified(self: Any, batch: Any) -> None:
        code = bytes([batch[0].code[0] ^ 1]) + batch[0].code[1:]
        add(self, [replace(batch[0], code=code), *batch[1:]])

    monkeypatch.setattr(copying._Push, "_add", falsified)
    with pytest.raises(StoreError, match="have different documents after the copy"):
        push(folder, address)
    with pytest.raises(StoreError, match="is incomplete"):
        Index.open(address)


def test_documents_that_the_engine_cannot_store_are_named_first(engine: str, address: str, tmp_path: Path) -> None:
    bad = Document("a\0b", "wheat") if engine == "postgresql" else Document("long", "wheat " * 400_000)
    Index.create(tmp_path / "index", [*corpus(60), bad], bits=12, encoder="lsh").close()
    with pytest.raises(DataError, match=r"U\+0000" if engine == "postgresql" else "the text of 'long' has 2,400,"):
        push(tmp_path / "index", address)
    with pytest.raises(IndexNotFound):
        Index.open(address)


def test_there_is_nothing_to_copy(address: str, tmp_path: Path) -> None:
    with pytest.raises(IndexNotFound):
        pull(address, tmp_path / "back")
    with pytest.raises(IndexNotFound):
        push(tmp_path / "none", address)
    for path in (address, "milvus://host/letters"):
        with pytest.raises(UsageError, match="between a folder and an engine"):
            push(path, address)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_left_alone(folder: Path, address: str, tmp_path: Path) -> None:
    push(folder, address)
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="contains other files"):
        pull(address, tmp_path)
    assert json.dumps([path.name for path in tmp_path.iterdir()]) == '["thesis.tex"]'


def test_original_features_are_left_out_with_a_word(
    address: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Index.create(tmp_path / "index", corpus(40), bits=16, encoder="lsh", rescore="int8") as index:
        wanted = [hit.id for hit in index.search("wheat harvest", k=40, by="vectors", oversample=0)]
    assert push(tmp_path / "index", address) == 40
    assert "original features (rescore) are not copied" in caplog.text
    pull(address, tmp_path / "copy")
    with Index.open(tmp_path / "copy") as copy:
        assert copy.info()["rescore"] is None
        assert [hit.id for hit in copy.search("wheat harvest", k=40, by="vectors")] == wanted
        assert copy.verify() == []
