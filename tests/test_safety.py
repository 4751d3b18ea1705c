"""Foreign files are never touched, acknowledged changes never lost: paths, locks, links, failing disks."""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashret import Document, Index, files
from hashret.errors import HashretError, IndexLocked, StoreError, UsageError
from hashret.index import repair, verify
from hashret.store.lock import locked

from .samples import posix_only

pytestmark = posix_only("links and descriptors")


HOLDER = b'{"pid": 1, "host": "x", "since": "then", "command": "hashret"}'  # as lock.json names the holder


def documents(start: int = 0, stop: int = 20) -> list[Document]:
    return [Document(f"d{n}", f"boat number{n % 5} of harbour{n % 7}", (f"l{n % 2}",)) for n in range(start, stop)]


def create(path: Path | str, count: int = 20, **more: Any) -> Index:
    return Index.create(path, documents(0, count), bits=16, encoder="lsh", **more)


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class Interrupted:
    """Yield some documents, then raise an error; something may be called in between."""

    def __init__(self, error: BaseException, then: Any = None) -> None:
        self.error, self.then = error, then

    def __iter__(self) -> Iterator[Document]:
        yield from documents(0, 5)
        if self.then:
            self.then()
        raise self.error


ERRORS = [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device"), ValueError("x")]


class TestCleanUp:
    @pytest.mark.parametrize("name", ["..", "new/..", "new/../new/..", ".", "link"])
    @pytest.mark.parametrize("error", ERRORS)
    def test_a_creation_that_fails_leaves_other_files_alone(
        self, name: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "work").mkdir()
        (tmp_path / "link").symlink_to(tmp_path)
        for folder in (tmp_path, tmp_path / "work"):
            (folder / "thesis.tex").write_text("precious")
        monkeypatch.chdir(tmp_path / "work")
        before = tree(tmp_path)
        with pytest.raises((UsageError, type(error), StoreError)):
            Index.create(name if name != "link" else tmp_path / "link", Interrupted(error), encoder="lsh")
        assert tree(tmp_path) == before

    @pytest.mark.parametrize("error", ERRORS)
    @pytest.mark.parametrize("there", ["nothing", "an empty folder", "a file put there meanwhile"])
    def test_it_removes_what_it_made_and_no_more(self, there: str, error: BaseException, tmp_path: Path) -> None:
        path = tmp_path / "a" / "index"
        if there == "an empty folder":
            path.mkdir(parents=True)
        then = (lambda: (path / "notes.txt").write_text("mine")) if there.endswith("meanwhile") else None
        with pytest.raises((type(error), StoreError)):
            Index.create(path, Interrupted(error, then), encoder="lsh")
        if there == "nothing":
            assert list(tmp_path.iterdir()) == []
        else:
            assert tree(path) == ({"notes.txt": b"mine"} if then else {})

    def test_of_two_creations_at_once_one_is_refused_and_removes_nothing(self, tmp_path: Path) -> None:
        def attempt(path: Path, barrier: threading.Barrier) -> str:
            barrier.wait()
            try:
                create(path).close()
            except HashretError as error:
                return str(error)
            return ""

        for number in range(15):
            path, barrier = tmp_path / str(number) / "index", threading.Barrier(2)
            with ThreadPoolExecutor(2) as pool:
                told = sorted(pool.map(attempt, [path] * 2, [barrier] * 2))
            assert told[0] == ""
            assert "another process is writing" in told[1] or "already exists" in told[1]
            assert verify(path) == []

    def test_a_creation_holds_the_lock_while_it_learns(self, tmp_path: Path) -> None:
        told = []

        def second() -> None:
            with pytest.raises(StoreError, match="another process is writing") as error:
                create(tmp_path / "index")
            told.append(str(error.value))

        with pytest.raises(ValueError, match="x"):
            Index.create(tmp_path / "index", Interrupted(ValueError("x"), second), encoder="lsh")
        assert len(told) == 1
        assert list(tmp_path.iterdir()) == []
        create(tmp_path / "index").close()

    def test_the_error_names_the_process_that_holds_the_lock(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "argv", ["hashret", "index", "letters/"])
        create(tmp_path / "index").close()
        before = datetime.now().astimezone().replace(microsecond=0)
        with locked(tmp_path / "index"), pytest.raises(IndexLocked) as caught, locked(tmp_path / "index"):
            pass
        named = re.fullmatch(r"process (\d+) on '(.*)' since '(.*)': 'hashret index letters/'", caught.value.holder)
        assert named is not None
        assert (int(named[1]), named[2]) == (os.getpid(), platform.node())
        assert before <= datetime.fromisoformat(named[3]) <= datetime.now().astimezone()
        assert str(caught.value).endswith(f"index' ({caught.value.holder}); try again later")
        assert not (tmp_path / "index" / "lock.json").exists()

    @pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"pid": "x"}', b'{"pid": 1}', HOLDER + b" " * 3000])
    def test_a_damaged_note_of_the_holder_names_nobody(self, damage: bytes, tmp_path: Path) -> None:
        create(tmp_path / "index").close()
        with locked(tmp_path / "index"):
            (tmp_path / "index" / "lock.json").write_bytes(damage)
            with pytest.raises(IndexLocked, match="index'; try again later") as caught, locked(tmp_path / "index"):
                pass
        assert caught.value.holder == ""

    def test_an_index_made_meanwhile_is_not_replaced(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from hashret.store import Store

        late = Store.new(tmp_path / "index")  # checked before the other one existed
        create(tmp_path / "index").close()
        before = tree(tmp_path)
        with pytest.raises(UsageError, match="already exists"), late.write():
            pass
        assert tree(tmp_path) == before


class TestForce:
    def test_it_replaces_an_index_of_hashret_and_nothing_else(self, tmp_path: Path) -> None:
        app = tmp_path / "app"
        for name in ("manifest.json", "segments/000001.h5", "cache/x", "icons/1.png"):
            (app / name).parent.mkdir(parents=True, exist_ok=True)
            (app / name).write_text('{"name": "a web app", "format": 2}')
        before = tree(app)
        for force in (False, True):
            with pytest.raises(UsageError, match="contains other files"):
                create(app, force=force)
            assert tree(app) == before

    @pytest.mark.parametrize("damage", ["", "{}", "\0" * 500, None])
    def test_it_replaces_a_damaged_one_and_keeps_what_others_put_there(
        self, damage: str | None, tmp_path: Path
    ) -> None:
        create(tmp_path / "index").close()
        (tmp_path / "index" / "notes.txt").write_text("mine")
        if damage is None:
            (tmp_path / "index" / "manifest.json").unlink()
        else:
            (tmp_path / "index" / "manifest.json").write_text(damage)
        with create(tmp_path / "index", 7, force=True) as index:
            assert len(index) == 7
        assert verify(tmp_path / "index") == []
        assert (tmp_path / "index" / "notes.txt").read_text() == "mine"
        assert len(tree(tmp_path / "index" / "segments")) == 1

    def test_one_that_fails_leaves_the_index_that_is_there(self, tmp_path: Path) -> None:
        create(tmp_path / "index").close()
        before = {name: data for name, data in tree(tmp_path).items() if not name.endswith("lock")}
        for error in ERRORS:
            with pytest.raises((type(error), StoreError)) as told:
                Index.create(tmp_path / "index", Interrupted(error), encoder="lsh", force=True)
            assert "was changed" not in str(told.value)
            assert {name: data for name, data in tree(tmp_path).items() if not name.endswith("lock")} == before


class TestLinks:
    def test_the_folder_of_an_index_may_be_a_link(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "disk").mkdir()
        (tmp_path / "indexes").symlink_to(tmp_path / "disk")
        monkeypatch.chdir(tmp_path)
        create("indexes/mine").close()
        (tmp_path / "short").symlink_to(tmp_path / "disk" / "mine")
        with Index.open("short") as index:
            index.add(documents(20, 22))
            index.compact()
            index.refit(bits=8)
        with Index.open("indexes/mine") as index:
            assert len(index) == 22
        assert verify("short") == []

    @pytest.mark.parametrize(
        "name",
        ["segments", "faiss", "recovery", "hasher", "deletions", "hasher/000006", "segments/000006.h5", "lock",
         "recovery/manifest.json", "faiss/000006.faiss", "recovery/000006.json", "lock.json"],
    )  # fmt: skip
    def test_no_write_follows_a_link_inside(self, name: str, tmp_path: Path) -> None:
        precious = tmp_path / "precious"
        precious.mkdir()
        for own in ("config.json", "manifest.json", "000006.h5", "diary.txt"):
            (precious / own).write_text("dear")
        with create(tmp_path / "index") as index:
            index.delete("d1")
        place = tmp_path / "index" / name
        folder = "." not in name and name != "lock"
        if place.exists():
            shutil.move(place, tmp_path / "moved")
        place.symlink_to(precious if folder else precious / "diary.txt")
        assert name in [problem.file for problem in verify(tmp_path / "index")] or "manifest" in name
        before = tree(precious)
        for change in ("add", "refit", "delete", "compact", "repair"):
            told = "is a link"
            try:
                with Index.open(tmp_path / "index") as index:
                    match change:
                        case "add":
                            index.add(documents(30, 31))
                        case "refit":
                            index.refit(bits=8)
                        case "delete":
                            index.delete(index.ids[0])
                        case "compact":
                            index.compact()
                        case "repair":
                            repair(index.path)
            except HashretError as error:
                told = str(error)
            assert "is a link" in told or "a file of index" in told
            assert tree(precious) == before


class TestFailingDisks:
    """A bad sector, a file cut short or longer, while reading and in `repair`."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        rng = np.random.default_rng(0)
        long = [Document(f"d{n}", f"boat harbour{n % 7} {rng.bytes(200).hex()}", (f"l{n % 2}",)) for n in range(300)]
        Index.create(tmp_path / "index", long, bits=16, encoder="lsh", vectorizer="tfidf").close()
        return tmp_path / "index"

    def held(self, path: Path) -> dict[str, Document]:
        with Index.open(path) as index:
            return {document.id: document for document in index.documents()}

    @pytest.mark.parametrize("share", [0.3, 0.5])
    def test_bad_sectors_cost_the_documents_in_them(
        self, share: float, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before, segment = self.held(path), path / "segments" / "000002.h5"
        size, inode = segment.stat().st_size, segment.stat().st_ino
        first, last, real = int(share * size), int(share * size) + 4096, os.pread

        def pread(descriptor: int, length: int, start: int) -> bytes:
            if os.fstat(descriptor).st_ino == inode and start < last and start + length > first:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(descriptor, length, start)

        with monkeypatch.context() as patched:
            patched.setattr(os, "pread", pread)
            with pytest.raises(StoreError, match="Input/output error"):
                self.held(path)
            assert any("Input/output error" in problem.what for problem in verify(path))
            lost = {id for _, id in repair(path).lost}
        assert self.held(path) == {id: document for id, document in before.items() if id not in lost}
        assert len(lost) < 60
        assert verify(path) == []

    @pytest.mark.parametrize("how", ["one byte short", "one byte long", "a byte put in", "a byte lost", "a tenth lost"])
    def test_a_file_of_another_length_keeps_what_it_has(self, how: str, path: Path) -> None:
        before, segment = self.held(path), path / "segments" / "000002.h5"
        data = segment.read_bytes()
        middle = len(data) // 2
        segment.write_bytes(
            {
                "one byte short": data[:-1],
                "one byte long": data + b"x",
                "a byte put in": data[:middle] + b"x" + data[middle:],
                "a byte lost": data[:middle] + data[middle + 1 :],
                "a tenth lost": data[: 9 * len(data) // 10],
            }[how]
        )
        lost = {id for _, id in repair(path).lost}
        assert self.held(path) == {id: document for id, document in before.items() if id not in lost}
        assert len(lost) < 50  # two compressed pieces hold 42
        assert verify(path) == []

    def test_a_file_cut_short_while_it_is_read_is_an_error(self, path: Path) -> None:
        with Index.open(path) as index:
            os.truncate(path / "segments" / "000002.h5", 5000)
            with pytest.raises(StoreError, match=r"000002\.h5 is damaged \(the file ends at byte "):
                list(index.documents())


class TestOneIndexAtAPath:
    def test_a_relative_path_keeps_its_meaning(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "one").mkdir()
        (tmp_path / "two").mkdir()
        monkeypatch.chdir(tmp_path / "one")
        index = create("indexes/mine")
        monkeypatch.chdir(tmp_path / "two")
        index.add(documents(20, 21))
        index.compact()
        index.refit(bits=8)
        assert index.verify() == []
        assert tree(tmp_path / "two") == {}
        with Index.open(tmp_path / "one" / "indexes" / "mine") as again:
            assert len(again) == 21

    @pytest.mark.parametrize("how", ["removed and created", "replaced by force"])
    def test_a_handle_does_not_change_the_index_that_took_its_place(self, how: str, tmp_path: Path) -> None:
        old = create(tmp_path / "index")
        if how == "replaced by force":
            create(tmp_path / "index", 5, force=True).close()
        else:
            shutil.rmtree(tmp_path / "index")
            create(tmp_path / "index", 5).close()
        for change in (lambda: old.add(documents(50, 51)), lambda: old.delete("d1"), old.compact, old.refit):
            with pytest.raises(StoreError, match="was replaced by another index"):
                change()
        assert len(old) == 20
        assert len(old.search("number1", k=30)) == 20
        with Index.open(tmp_path / "index") as new:
            assert len(new) == 5

    def test_an_index_that_is_gone_is_not_made_again_by_an_old_handle(self, tmp_path: Path) -> None:
        old = create(tmp_path / "index")
        shutil.rmtree(tmp_path / "index")
        with pytest.raises(StoreError, match="no longer exists"):
            old.add(documents(50, 51))
        assert list(tmp_path.iterdir()) == []

    def test_strange_numbers_in_strange_files_mean_nothing(self, tmp_path: Path) -> None:
        with create(tmp_path / "index") as index:
            for name in ("cache/999999999999999999.bin", "segments/99999999999999999999.h5", "segments/x000009.h5"):
                (index.path / name).parent.mkdir(exist_ok=True)
                (index.path / name).write_text("x")
            index.add(documents(20, 21))
            (index.path / "manifest.json").write_text("{")
        create(tmp_path / "index", force=True).close()
        assert verify(tmp_path / "index") == []


class TestErrorsSayWhatIsSo:
    @pytest.mark.parametrize("error", [errno.EIO, errno.EMFILE, errno.ENOMEM])
    def test_a_change_that_is_committed_and_cannot_be_read_again_says_that_it_was_made(
        self, error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        index = create(tmp_path / "index")
        real = files.Root.open

        def failing(root: files.Root, name: str) -> files.File:
            if name == "segments/000003.h5":
                raise OSError(error, os.strerror(error))
            return real(root, name)

        with monkeypatch.context() as patched:
            patched.setattr(files.Root, "open", failing)
            with pytest.raises(StoreError, match=r"was changed, but cannot be read again"):
                index.add(documents(20, 21))
        with Index.open(tmp_path / "index") as again:
            assert len(again) == 21
        assert index.add(documents(21, 22)) == 1
        assert len(index) == 22

    @pytest.mark.parametrize(
        ("error", "words"),
        [(errno.EMFILE, "too many files open"), (errno.ENOMEM, "no memory left"), (errno.EACCES, "Permission denied")],
    )
    def test_an_error_of_the_system_is_not_damage(
        self, error: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        create(tmp_path / "index").close()

        def failing(root: files.Root, name: str) -> files.File:
            raise OSError(error, os.strerror(error))

        monkeypatch.setattr(files.Root, "open", failing)
        with pytest.raises(StoreError, match=words) as told:
            Index.open(tmp_path / "index")
        assert "damaged" not in str(told.value)

    def test_verify_beside_a_writer_finds_nothing(self, tmp_path: Path) -> None:
        index, done, found = create(tmp_path / "index"), threading.Event(), []

        def look() -> None:
            while not done.is_set():
                found.extend(verify(tmp_path / "index"))

        thread = threading.Thread(target=look)
        thread.start()
        for n in range(20, 60):
            index.add(documents(n, n + 1))
            if n % 5 == 0:
                index.compact()
        done.set()
        thread.join()
        assert found == []

    def test_many_open_files_say_so(self, tmp_path: Path) -> None:
        create(tmp_path / "index").close()
        code = (
            "import resource, sys, hashret, os\n"
            "hashret.Index.open(sys.argv[1]).close()\n"  # import lazily imported modules now
            "resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir('/proc/self/fd')) + 1,) * 2)\n"
            "try: hashret.Index.open(sys.argv[1])\n"
            "except hashret.HashretError as error: print(error)\n"
        )
        if not Path("/proc/self/fd").exists():
            pytest.skip("counts open files by /proc")
        told = subprocess.run([sys.executable, "-c", code, tmp_path / "index"], capture_output=True, text=True)
        assert "too many files open" in told.stdout, told
        assert "damaged" not in told.stdout


class TestHostileIndex:
    def test_a_table_that_repeats_a_piece_takes_no_memory(self, tmp_path: Path) -> None:
        from hashret.store.manifest import _checksum

        text = "boat " * 20_000
        Index.create(tmp_path / "index", [text, "a harbour"], bits=16, encoder="lsh", vectorizer="tfidf").close()
        path = tmp_path / "index"
        body = json.loads((path / "manifest.json").read_text())
        del body["checksum"]
        places = body["files"]["segments/000002.h5"]["arrays"]
        data = bytearray((path / "segments" / "000002.h5").read_bytes())
        offset, items = places["contents/pieces"]
        table = np.frombuffer(data, np.int64, items, offset).reshape(-1, 2)
        start = len(data)
        data = data + np.tile(table[:1], (1_000_000, 1)).tobytes()  # 8 GB of text out of one piece
        places["contents/pieces"] = [start, 2_000_000]
        offsets = places["contents/offsets"][0]
        data[offsets + 8 : offsets + 16] = np.int64(8_000_000_000).tobytes()
        data[offsets + 16 : offsets + 24] = np.int64(8_000_000_000).tobytes()
        (path / "segments" / "000002.h5").write_bytes(data)
        body["files"]["segments/000002.h5"]["bytes"] = len(data)
        (path / "manifest.json").write_text(json.dumps(body | {"checksum": _checksum(body)}))
        with Index.open(path) as index, pytest.raises(StoreError, match="damaged"):
            list(index.documents())
