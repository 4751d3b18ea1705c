"""Fault injection for the tests and the soak test: power cuts, kills, races, links, bad sectors, flipped bits."""

from __future__ import annotations

import ctypes
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashret import Hasher, HashretError, Index, files
from hashret.index import repair, verify

Files = dict[str, bytes]
"""Everything in a folder: path relative to it -> bytes."""

Held = list[tuple[str, str]]
"""What an index holds: ids and contents."""

CALLS = ((os, "fsync"), (os, "replace"), (os, "rename"), (os, "unlink"), (os, "mkdir"))


class Disk:
    """Records the operations on a folder; `cuts` are the possible contents after a power failure at any time so far.

    The bytes of a file are durable after it was flushed to disk; a name after its folder was, recursively. Other data
    may or may not be there: all of it, none of it, names without bytes, or a random part of names and bytes.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bytes: dict[int, bytes] = {}  # inode -> bytes when last flushed to disk
        self.names: dict[int, dict[str, int]] = {}  # inode of a folder -> its names when last flushed to disk
        self.held: dict[int, int] = {}  # inode -> a descriptor that prevents the number from being reused
        self.folders: set[int] = set()
        self.cuts: dict[tuple[tuple[str, bytes], ...], None] = {}
        self.chance = random.Random(0)

    @contextmanager
    def watching(self, patch: pytest.MonkeyPatch) -> Iterator[None]:
        """Record the state at every call that changes the disk, and in the middle of every write."""
        with patch.context() as patched:
            for module, name in CALLS:
                patched.setattr(module, name, self._noting(getattr(module, name)))
            patched.setattr(files, "write_all", halfway(self._note))
            yield
            self._note()

    def _noting(self, call: Any) -> Any:
        def noted(*args: Any, **kwargs: Any) -> Any:
            self._note()
            done = call(*args, **kwargs)
            if call.__name__ == "fsync":
                self._forced(Path(f"/proc/self/fd/{args[0]}").readlink())
            self._note()
            return done

        return noted

    def _visible(self) -> dict[str, tuple[int, bytes]]:
        """Return what another process would see: path -> inode and bytes."""
        found = {}
        for folder, _, own in os.walk(self.root):
            for name in own:
                path = Path(folder, name)
                found[path.relative_to(self.root).as_posix()] = (path.stat().st_ino, path.read_bytes())
        return found

    def _forced(self, path: Path) -> None:
        if path.is_dir() and path.is_relative_to(self.root):
            self.names[path.stat().st_ino] = {entry.name: entry.stat().st_ino for entry in path.iterdir()}
        elif path.is_relative_to(self.root):
            self.bytes[path.stat().st_ino] = path.read_bytes()

    def _safe(self, inode: int, place: str = "") -> Iterator[tuple[str, bytes]]:
        """Return the durable content of a folder whose own name is durable."""
        for name, own in self.names.get(inode, {}).items():
            if own in self.names:
                yield from self._safe(own, f"{place}{name}/")
            elif own not in self.folders:
                yield place + name, self.bytes.get(own, b"")

    def _hold(self) -> None:
        """Keep descriptors of all current and durable inodes, and close the others."""
        needed = {inode for names in self.names.values() for inode in names.values()}
        for place, folders, own in os.walk(self.root):
            for path in (Path(place), *(Path(place, name) for name in (*folders, *own))):
                inode = path.stat().st_ino
                needed.add(inode)
                if inode not in self.held:
                    self.held[inode] = os.open(path, os.O_RDONLY)
                    if path.is_dir():
                        self.folders.add(inode)
        for inode in self.held.keys() - needed:
            os.close(self.held.pop(inode))
            self.bytes.pop(inode, None)
            self.names.pop(inode, None)
            self.folders.discard(inode)

    def __del__(self) -> None:
        for descriptor in self.held.values():
            os.close(descriptor)

    def _note(self) -> None:
        """Return the possible contents after a power failure now."""
        if not self.root.exists():
            return
        visible = self._visible()
        self._hold()
        hollow = {path: self.bytes.get(inode, b"") for path, (inode, _) in visible.items()}
        safe = dict(self._safe(self.root.stat().st_ino))
        mixed = {}
        for path in sorted({*visible, *safe}):
            data = self.chance.choice([visible[path][1] if path in visible else None, safe.get(path)])
            if data is not None and path in visible and data != hollow[path] and data != safe.get(path):
                data = data[: self.chance.randrange(len(data) + 1)]
            if data is not None:
                mixed[path] = data
        for outcome in ({path: data for path, (_, data) in visible.items()}, hollow, safe, mixed):
            self.cuts[tuple(sorted(outcome.items()))] = None

    def taken(self) -> list[Files]:
        """Return the outcomes since the last call."""
        found = [dict(cut) for cut in self.cuts]
        self.cuts.clear()
        return found


def halfway(then: Callable[[], object], write: Callable[[int, bytes], None] = files.write_all) -> Any:
    """Wraps all reads and writes of an index, to run something in the middle of them."""

    def written(descriptor: int, data: bytes) -> None:
        write(descriptor, data[: len(data) // 2])
        then()
        write(descriptor, data[len(data) // 2 :])

    return written


def lay(files: Files, root: Path) -> Path:
    """Write an outcome into a new folder."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def state(path: Path) -> tuple[list[str], list[str], int]:
    """Return the complete content of an index."""
    with Index.open(path) as index:
        contents = [str(document.content) for document in index.documents()]
        assert len(index.codes) == len(index)
        return index.ids, contents, index.bits


WRITER = """
import random, sys
from pathlib import Path
from hashret import Document, Index
from hashret.index import repair
path, name = Path(sys.argv[1]), sys.argv[2]
chance, index = random.Random(name), Index.open(path)
for n in range(1000):
    what = chance.choice(["add"] * 4 + ["replace", "delete", "compact", "repair", "refit"])
    new, old = [f"{name}-{n}-{m}" for m in range(chance.randint(1, 5))], chance.sample(index.ids, 3)
    print(what, *(new if what == "add" else old), flush=True)
    if what == "add":
        index.add([Document(id, "boat " + id) for id in new])
    elif what == "replace":
        index.add([Document(id, "boat " + id) for id in old], replace=True)
    elif what == "delete":
        index.delete(old)
    elif what == "compact":
        index.compact()
    elif what == "refit":
        index.refit(bits=chance.choice([8, 16, 24]))
    else:
        there = [file for kind in ("segments", "faiss", "recovery", "deletions") for file in (path / kind).iterdir()]
        file = chance.choice(there)
        data = bytearray(file.read_bytes())
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        file.unlink()  # the file that is open keeps its bytes
        file.write_bytes(data)
        repair(path)
        index = Index.open(path)
    print("done", flush=True)
"""


def kill_writers(path: Path, rounds: int, seed: int = 0) -> dict[str, int]:
    """Kill writers at random times; return the acknowledged and the interrupted changes.

    Raises AssertionError unless the index always has exactly the acknowledged changes, or also the interrupted one.
    """
    chance, changes, held = random.Random(seed), Counter[str](), list(zip(*state(path)[:2], strict=True))
    for number in range(rounds):
        command = [sys.executable, "-W", "ignore", "-c", WRITER, str(path), f"{seed}.{number}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(2 * chance.randint(2, 9))]
            time.sleep(chance.random() * 0.03)
            writer.send_signal(signal.SIGKILL)
            lines += writer.stdout.readlines()
        assert writer.returncode == -signal.SIGKILL, lines
        told = [line.split() for line in lines if line.endswith("\n")]
        for begun, done in zip(told[::2], told[1::2], strict=False):
            assert done == ["done"]
            held = after(held, begun)
            changes[begun[0]] += 1
        allowed = [held]
        if len(told) % 2:
            allowed.append(after(held, told[-1]))
            changes["cut off: " + told[-1][0]] += 1
            if told[-1][0] == "repair":  # which was killed before, during or after it
                repair(path)
        ids, contents, _ = state(path)
        held = list(zip(ids, contents, strict=True))
        assert held in allowed, (number, told[-1])
        assert verify(path) == []
    return dict(changes)


CREATOR = """
import sys
from hashret import Document, HashretError, Hasher, Index
path, name, hasher = sys.argv[1], sys.argv[2], Hasher.load(sys.argv[3])
documents = [Document(f"{name}-{n}", f"boat number{n % 5} of harbour{n % 7}") for n in range(20)]
sys.stdin.readline()
try:
    Index.create(path, documents, hasher=hasher).close()
    print("done", flush=True)
except HashretError as error:
    print("refused", error, flush=True)
"""


def race_creations(folder: Path, rounds: int) -> dict[str, int]:
    """Let two processes create the same index at once, repeatedly; return how many were refused.

    Raises AssertionError unless each round leaves the intact index of an acknowledged process.
    """
    refused = 0
    Hasher.fit(["boat number1", "harbour2"], bits=8, encoder="lsh", vectorizer="tfidf").save(folder / "hasher")
    for number in range(rounds):
        path = folder / f"{number}" / "index"
        start: list[str | Path] = [sys.executable, "-W", "ignore", "-c", CREATOR]
        commands = [[*start, path, name, folder / "hasher"] for name in "ab"]
        both = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            for command in commands
        ]
        for process in both:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [process.communicate(timeout=60)[0] for process in both]
        done = [name for name, line in zip("ab", told, strict=True) if line.startswith("done")]
        assert len(done) == 1, told
        assert state(path)[0] == [f"{done[0]}-{n}" for n in range(20)]
        assert verify(path) == []
        refused += 1
    return {"rounds": rounds, "refused": refused}


ADDER = """
import random, sys, time
from hashret import Document, Index
from hashret.errors import StoreError
path, name = sys.argv[1], sys.argv[2]
chance, mine = random.Random(name), []
for n in range(100_000):
    new = [f"{name}-{n}-{m}" for m in range(chance.randint(1, 3))]
    what = chance.choice(["add", "add", "add", "delete", "compact"])
    old = [mine.pop(chance.randrange(len(mine)))] if what == "delete" and mine else []
    told = True
    try:
        with Index.open(path) as index:
            print("begin", *(["delete", *old] if what == "delete" else ["add", *new]), flush=True)
            told = False
            if what == "delete":
                index.delete(old)
            else:
                index.add([Document(id, "boat " + id) for id in new])
            told = print("done", flush=True) is None
            mine += new if what != "delete" else []
            if what == "compact":
                index.compact()
    except StoreError as error:
        parts = ("another process", "is a link", "not changed", "was changed", "a file of index")
        if not any(part in str(error) for part in parts):
            raise
        changed = "was changed" in str(error)
        mine += old if not told and not changed else new if not told and what != "delete" else []
        print("done" if not told and changed else "refused", flush=True)
        time.sleep(0.002)
"""


def many_writers(path: Path, seconds: float, seed: int = 0, writers: int = 4, meanwhile: Any = None) -> dict[str, int]:
    """Run writers that are killed and restarted, together with readers; return the acknowledged changes.

    Raises AssertionError unless all acknowledged documents are there, deleted ones are not, and all readers see an
    intact index. `meanwhile` is called repeatedly.
    """
    chance, counts = random.Random(seed), Counter[str]()
    there, open_ended = {*state(path)[0]}, set[str]()
    end, number, reads = time.monotonic() + seconds, 0, 0
    running: list[subprocess.Popen[str]] = []

    def settle(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate()
        assert process.returncode == -signal.SIGKILL, err
        lines = [line.split() for line in out.splitlines(keepends=True) if line.endswith("\n")]
        begun: list[str] = []
        for words in lines:
            if words[0] == "begin":
                begun = words[1:]
                continue
            counts[words[0]] += 1
            if words[0] == "done":
                there.update(begun[1:]) if begun[0] == "add" else there.difference_update(begun[1:])
            begun = []
        open_ended.update(begun[1:])

    while time.monotonic() < end or running:
        while len(running) < writers and time.monotonic() < end:
            command = [sys.executable, "-W", "ignore", "-c", ADDER, str(path), f"{seed}.{number}"]
            running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
            number += 1
        time.sleep(chance.random() * min(1.0, seconds / 4))
        if meanwhile:
            meanwhile()
        else:
            assert verify(path) == []
            reads += len(state(path)[0]) > 0
        settle(running.pop(chance.randrange(len(running))))
    found = {*state(path)[0]}
    assert there - open_ended <= found <= there | open_ended, sorted(there ^ found)[:10]
    assert verify(path) == []
    return {
        "writers killed": number,
        "changes acknowledged": counts["done"],
        "refused": counts["refused"],
        "reads": reads,
    }


def exchange(one: Path, other: Path) -> None:
    """Exchange two names atomically (Linux)."""
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if ctypes.CDLL(None, use_errno=True).renameat2(here, bytes(one), here, bytes(other), swap):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Swapper:
    """Repeatedly replaces folders of an index by a link to another folder, and back."""

    def __init__(self, index: Path, precious: Path) -> None:
        self.index, self.precious, self.swaps = index, precious, 0

    def __call__(self) -> None:
        for _ in range(200):
            for name in ("segments", "faiss", "recovery", "deletions"):
                place, link = self.index / name, self.index / f"{name}.link"
                if place.is_dir():
                    link.symlink_to(self.precious)
                    exchange(place, link)
                    exchange(place, link)
                    link.unlink()
                    self.swaps += 1


def bad_sectors(path: Path, rounds: int, seed: int = 0) -> dict[str, int]:
    """Simulate unreadable sectors in a copy of an index; return how many documents `repair` kept.

    Raises AssertionError unless it keeps almost all documents unchanged and lists the others.
    """
    chance, kept, lost, real = random.Random(seed), 0, 0, os.pread
    ids, contents, _ = state(path)
    before = dict(zip(ids, contents, strict=True))
    for number in range(rounds):
        copy = path.with_name(f"sectors-{number}")
        shutil.copytree(path, copy)
        segment = max((copy / "segments").iterdir(), key=lambda file: file.stat().st_size)
        inode, size = segment.stat().st_ino, segment.stat().st_size
        first = chance.randrange(size) // 4096 * 4096

        def pread(descriptor: int, length: int, start: int, inode: int = inode, first: int = first) -> bytes:
            if os.fstat(descriptor).st_ino == inode and start < first + 4096 and start + length > first:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(descriptor, length, start)

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(os, "pread", pread)
            gone = {id for _, id in repair(copy).lost}
        ids, contents, _ = state(copy)
        assert dict(zip(ids, contents, strict=True)) == {id: text for id, text in before.items() if id not in gone}
        assert verify(copy) == []
        kept, lost = kept + len(ids), lost + len(gone)
        shutil.rmtree(copy)
    return {"sectors": rounds, "documents kept": kept, "documents lost": lost}


def cut_while_read(path: Path, rounds: int, seed: int = 0) -> dict[str, int]:
    """Truncate files of a copy of an index while it is open; return how many reads raised an error.

    Raises AssertionError unless each read returns the original content or raises HashretError.
    """
    chance, refused = random.Random(seed), 0
    before = state(path)[1]
    for number in range(rounds):
        copy = path.with_name(f"cut-{number}")
        shutil.copytree(path, copy)
        with Index.open(copy) as index:
            segment = chance.choice(sorted((copy / "segments").iterdir()))
            os.truncate(segment, chance.randrange(segment.stat().st_size))
            try:
                assert [str(document.content) for document in index.documents()] == before
            except HashretError:
                refused += 1
        shutil.rmtree(copy)
    return {"cuts": rounds, "reads refused": refused}


def after(held: Held, change: list[str]) -> Held:
    """Return the ids and contents, in order, after a change reported by a writer."""
    what, *named = change
    left = [(id, content) for id, content in held if what not in ("replace", "delete") or id not in named]
    return left + [(id, f"boat {id}") for id in named if what in ("add", "replace")]


def flip_bits(path: Path, count: int, seed: int = 0) -> int:
    """Flip bits in the files of an index, one at a time, at least one per file; return how many were detected.

    Raises AssertionError unless each is detected in its file, or does not change any search result.
    """
    before, chance, found = state(path), np.random.default_rng(seed), 0
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and file.stat().st_size]
    sizes = np.array([file.stat().st_size for file in files], np.float64)
    for file in [
        *files,
        *(files[n] for n in chance.choice(len(files), max(0, count - len(files)), p=sizes / sizes.sum())),
    ]:
        whole = file.read_bytes()
        place = int(chance.integers(8 * len(whole)))
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        file.write_bytes(flipped)
        name = file.relative_to(path).as_posix()
        told = [problem.file for problem in verify(path)]
        assert told == [name] or (not told and state(path) == before), (name, place, told)
        found += bool(told)
        file.write_bytes(whole)
    assert verify(path) == []
    return found
