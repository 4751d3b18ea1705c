"""The store: generations of immutable files, replaced atomically."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hashret import loops
from hashret.analyzer import Analyzer
from hashret.codes import hamming, width
from hashret.errors import DataError, StoreError, UsageError
from hashret.features import Vectors
from hashret.files import BLOCK, Root
from hashret.store import Derived, Record, Store, Transaction
from hashret.store.manifest import Manifest, _checksum
from hashret.store.repair import repair
from hashret.store.segment import PIECE

from .samples import posix_only

BITS = 13


def code_of(id: str, bits: int = BITS) -> np.ndarray:
    """A code determined by the id, uint8 [1, bytes]."""
    rng = np.random.default_rng(list(id.encode("utf-8", "surrogatepass")))
    return np.packbits(rng.random((1, bits)) < 0.5, axis=1, bitorder="little")


def record_of(id: str, edition: int = 0) -> Record:
    return Record(
        id, f"text of {id} ✓ {edition}", ("odd", id[-1:]), {"edition": edition, "size": 2.5}, b"\0jpeg" * edition
    )


def add(change: Transaction, *ids: str, edition: int = 0) -> None:
    codes = np.concatenate([code_of(id, change.bits) for id in ids])
    change.add(codes, [record_of(id, edition) for id in ids])


HASHER = {"config.json": b"{}", f"weights-{'0' * 16}.safetensors": bytes(100)}


def start(change: Transaction, bits: int = BITS) -> None:
    change.start_over(bits, "fingerprint", {"kind": "text", "root": "/tmp/é\udcff"}, HASHER)


def delete(store: Store, *ids: str) -> None:
    with store.write() as change:
        change.delete([row for id in ids if (row := change.row_of(id)) is not None])


def living(store: Store) -> list[str]:
    return [record.id for record in store.records()]


def files_of(path: Path) -> dict[str, bytes]:
    return {file.relative_to(path).as_posix(): file.read_bytes()
            for file in path.rglob("*") if file.is_file() and file.name != "lock"}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three segments with one row deleted."""
    made = Store.new(tmp_path / "index")
    with made.write() as change:
        start(change)
        add(change, "a", "b", "c")
    with made.write() as change:
        add(change, "d", "no UTF-8 \udcff")
    with made.write() as change:
        add(change, "e")
    delete(made, "b")
    return made


ALL = ["a", "c", "d", "no UTF-8 \udcff", "e"]


class TestReading:
    def test_what_was_added_is_there_in_order(self, store: Store) -> None:
        for found in (store, Store.open(store.path)):
            assert living(found) == ALL
            assert found.ids() == ["a", "b", *ALL[1:]]
            assert list(found.records()) == [record_of(id) for id in ALL]
            assert (found.codes() == np.concatenate([code_of(id) for id in found.ids()])).all()
            assert found.labels() == [record_of(id).labels for id in found.ids()]
            assert [found.find(id) for id in ["a", "b", "d", "e", "z", ""]] == [0, None, 3, 5, None, None]
            assert found.record(4) == record_of("no UTF-8 \udcff")
            assert found.verify() == []
            assert found.manifest.about["root"] == "/tmp/é\udcff"
            assert found.hasher_reader()("config.json") == b"{}"

    def test_the_faiss_file_beside_a_segment_holds_its_codes(self, store: Store) -> None:
        queries = np.random.default_rng(0).integers(0, 256, (5, 2), np.uint8)
        queries &= np.array([255, 31], np.uint8)
        for file in sorted((store.path / "segments").iterdir()):
            with h5py.File(file) as opened:
                codes = opened["codes"][:]
            index = faiss.read_index_binary(str(store.path / "faiss" / file.with_suffix(".faiss").name))
            distances, rows = index.search(queries, len(codes))
            wanted = hamming(queries, codes)
            assert (np.take_along_axis(wanted, rows, axis=1) == distances).all()

    def test_no_index_is_the_wrong_path(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        for name in ("none", "file", "file/below", "."):
            with pytest.raises(UsageError, match="no index at"):
                Store.open(tmp_path / name)

    def test_a_reader_keeps_its_generation_through_a_compaction(self, store: Store) -> None:
        reader = Store.open(store.path)
        with store.write() as change:
            change.compact()
        assert len(store.segments) == 1
        assert len(files_of(store.path)) == 7
        assert list(reader.records()) == [record_of(id) for id in ALL]
        assert reader.find("d") == 3
        assert len(reader.codes()) == 6

    def test_a_lost_file_is_named(self, store: Store) -> None:
        next((store.path / "segments").iterdir()).unlink()
        with pytest.raises(StoreError, match="a file of index"):
            Store.open(store.path)


class TestWriting:
    def test_an_index_is_not_made_over_another_thing(self, store: Store, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="already exists"):
            Store.new(store.path)
        (tmp_path / "letters").mkdir()
        (tmp_path / "letters" / "dear.txt").write_text("")
        with pytest.raises(UsageError, match="contains other files"):
            Store.new(tmp_path / "letters")
        with pytest.raises(UsageError, match="contains other files"):
            Store.new(tmp_path / "letters", force=True)
        with pytest.raises(UsageError, match="is a file"):
            Store.new(tmp_path / "letters" / "dear.txt")

    def test_force_replaces_an_index_whole(self, store: Store) -> None:
        reader, other = Store.open(store.path), Store.new(store.path, force=True)
        with other.write() as change:
            start(change, 20)
            assert change.row_of("a") is None
            add(change, "a", "x")
        assert living(Store.open(store.path)) == ["a", "x"]
        assert Store.open(store.path).manifest.bits == 20
        assert Store.open(store.path).verify() == []
        assert len(files_of(store.path)) == 7
        assert living(reader) == ALL

    def test_compacting_keeps_the_order_and_drops_what_is_deleted(self, store: Store) -> None:
        with store.write() as change:
            change.compact()
        for found in (store, Store.open(store.path)):
            assert living(found) == found.ids() == ALL
            assert list(found.records()) == [record_of(id) for id in ALL]
            assert found.verify() == []
            assert found.manifest.deletions == ""

    def test_an_id_that_is_added_again_is_new_and_last(self, store: Store) -> None:
        with store.write() as change:
            change.delete([0])
            assert change.row_of("a") is None
            add(change, "a", "b", edition=2)
        assert living(store) == [*ALL[1:], "a", "b"]
        assert store.record(store.find("a") or 0) == record_of("a", 2)
        assert store.verify() == []

    def test_an_index_may_become_empty_and_grow_again(self, store: Store) -> None:
        delete(store, *ALL)
        assert living(store) == []
        with store.write() as change:
            change.compact()
        assert store.codes().shape == (0, width(BITS))
        assert Store.open(store.path).verify() == []
        with store.write() as change:
            add(change, "new")
        assert living(Store.open(store.path)) == ["new"]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, DataError])
    def test_a_transaction_that_raises_changes_nothing(self, store: Store, error: type[BaseException]) -> None:
        before = files_of(store.path)

        def change_all() -> None:
            with store.write() as change:
                change.delete([0])
                add(change, "x", "y")
                change._flush()
                add(change, "z")
                raise error

        with pytest.raises(error):
            change_all()
        assert files_of(store.path) == before
        assert living(store) == living(Store.open(store.path)) == ALL

    def test_a_full_disk_changes_nothing(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        before = files_of(store.path)

        def full(codes: np.ndarray, bits: int) -> bytes:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("hashret.store.faiss_file.image", full)
        with pytest.raises(StoreError, match="was not changed: No space left"), store.write() as change:
            add(change, "x")
        assert files_of(store.path) == before

    def test_metadata_that_is_no_json_changes_nothing(self, store: Store) -> None:
        before = files_of(store.path)
        with pytest.raises(DataError, match="metadata of 'x'"), store.write() as change:
            change.add(code_of("x"), [Record("x", metadata={"when": object()})])
        assert files_of(store.path) == before

    def test_a_creation_that_raises_leaves_no_folder(self, tmp_path: Path) -> None:
        def create() -> None:
            with Store.new(tmp_path / "a" / "b").write() as change:
                start(change)
                add(change, "x")
                raise ValueError

        with pytest.raises(ValueError):
            create()
        assert list(tmp_path.iterdir()) == []

    def test_a_second_writer_is_refused(self, store: Store) -> None:
        other = Store.open(store.path)
        with store.write() as change:
            add(change, "x")
            with pytest.raises(StoreError, match="another process is writing"), other.write():
                pass
        with other.write() as change:
            add(change, "y")
        assert living(other) == [*ALL, "x", "y"]

    def test_a_store_is_opened_however_often_writers_are_faster(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, left = Manifest.read.__func__, [3]  # type: ignore[attr-defined]

        def read(kind: type[Manifest], root: Root, name: str = "manifest.json") -> Manifest:
            manifest: Manifest = real(kind, root, name)
            if left[0] > 0:
                number, left[0] = left[0], 0
                with store.write() as change:
                    add(change, f"late{number}")
                    change.compact()  # no file of the manifest that was read is there any more
                left[0] = number - 1
            return manifest

        monkeypatch.setattr(Manifest, "read", classmethod(read))
        assert living(Store.open(store.path)) == [*ALL, "late3", "late2", "late1"]

    def test_orphans_are_swept_by_the_next_writer(self, store: Store) -> None:
        orphans = ["segments/000099.h5", "segments/.000009.h5.1.tmp", "deletions/000001.npy",
                   "hasher/000008/config.json", "hasher/000009/config.json", ".manifest.json.77.tmp",
                   "recovery/.manifest.json.8.tmp"]  # fmt: skip
        strange = ["faiss/x", "hasher/9/a", "segments/000099.h5.bak", "cache/000099.h5", "hasher/000009/notes.txt",
                   ".aaa.5.tmp", ".zzz.5.tmp", ".manifest.json.x.tmp"]  # fmt: skip
        for name in [*orphans, *strange]:
            (store.path / name).parent.mkdir(exist_ok=True, parents=True)
            (store.path / name).write_bytes(b"left")
        (store.path / "hasher" / "mine").mkdir()
        assert living(Store.open(store.path)) == ALL
        with store.write() as change:
            add(change, "x")
        assert not [name for name in orphans if (store.path / name).exists()]
        assert all((store.path / name).read_bytes() == b"left" for name in strange)
        own = store.manifest.hasher.rpartition("/")[2]
        assert {place.name for place in (store.path / "hasher").iterdir()} == {"9", "000009", "mine", own}
        assert Store.open(store.path).verify() == []

    def test_what_a_killed_creation_left_is_no_obstacle(self, tmp_path: Path) -> None:
        (tmp_path / "segments").mkdir()
        (tmp_path / ".manifest.json.77.tmp").write_text("{")
        with Store.new(tmp_path).write() as change:
            start(change)
            add(change, "x")
        assert not (tmp_path / ".manifest.json.77.tmp").exists()

    @posix_only("links")
    def test_nothing_is_swept_outside_the_index(self, store: Store, tmp_path: Path) -> None:
        (tmp_path / "precious").mkdir()
        (tmp_path / "precious" / "diary.txt").write_text("dear")
        shutil.rmtree(store.path / "cache", ignore_errors=True)
        (store.path / "cache").symlink_to(tmp_path)
        (store.path / "segments" / "link").symlink_to(tmp_path / "precious")
        with store.write() as change:
            add(change, "x")
        assert (tmp_path / "precious" / "diary.txt").read_text() == "dear"

    @posix_only("signals")
    @pytest.mark.parametrize("moment", ["faiss", "manifest"])
    def test_a_killed_writer_leaves_the_old_generation(self, store: Store, moment: str) -> None:
        script = """
import sys, time, numpy as np
from hashret.store import Store, Record, faiss_file
from hashret import files
def hang(*args):
    print("now", flush=True)
    time.sleep(60)
def image(codes, bits):
    hang()
def replace(root, name, data, real=files.Root.replace):
    if name == "manifest.json":
        root.write(f".{name}.77.tmp", data[:50])
        hang()
    real(root, name, data)
files.Root.replace = replace
if sys.argv[2] == "faiss":
    faiss_file.image = image
with Store.open(sys.argv[1]).write() as change:
    change.delete([0])
    change.add(np.zeros((1, 2), np.uint8), [Record("killed")])
"""
        killed = subprocess.Popen([sys.executable, "-c", script, store.path, moment], stdout=subprocess.PIPE, text=True)
        with killed:
            assert killed.stdout is not None
            assert killed.stdout.readline() == "now\n"
            killed.send_signal(signal.SIGKILL)
        found = Store.open(store.path)
        assert living(found) == ALL
        assert found.verify() == []
        with found.write() as change:
            add(change, "x")
        assert living(Store.open(store.path)) == [*ALL, "x"]
        assert files_of(store.path).keys() == {*found.manifest.files, "manifest.json", "recovery/manifest.json"}


def rewrite(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """A wrong manifest with a correct checksum."""
    body = json.loads((path / "manifest.json").read_bytes().decode("utf-8", "surrogatepass"))
    del body["checksum"]
    change(body)
    (path / "manifest.json").write_text(json.dumps(body | {"checksum": _checksum(body)}))


LIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a newer format": lambda b: b.update(format=2),
    "another kind": lambda b: b.update(kind="web app"),
    "no identity": lambda b: b.pop("identity"),
    "sources that are numbers": lambda b: b.update(about={"sources": [5]}),
    "fields that are a list": lambda b: b.update(about={"fields": [5]}),
    "a format that is no number": lambda b: b.update(format="1"),
    "a hasher outside": lambda b: b.update(hasher="../../etc"),
    "an absolute hasher": lambda b: b.update(hasher="/etc"),
    "deletions outside": lambda b: b.update(deletions="../x.npy"),
    "a file outside": lambda b: b["files"].update({"segments/../../x": {"bytes": 1, "sha256": ""}}),
    "a path that is no text": lambda b: b.update(hasher=5),
    "huge rows": lambda b: b["segments"][0].update(rows=1 << 60),
    "many rows": lambda b: b["segments"][0].update(rows=1 << 40),
    "rows below zero": lambda b: b["segments"][0].update(rows=-1),
    "rows that are no whole number": lambda b: b["segments"][0].update(rows=3.0),
    "fewer rows": lambda b: b["segments"][0].update(rows=2),
    "huge bits": lambda b: b.update(bits=1 << 40),
    "no bits": lambda b: b.update(bits=0),
    "other bits": lambda b: b.update(bits=33),
    "an unknown field": lambda b: b.update(more=1),
    "a field too few": lambda b: b.pop("bits"),
    "a list of files": lambda b: b.update(files=[]),
    "an about that is none": lambda b: b.update(about=[1]),
    "a segment that is none": lambda b: b.update(segments=[5]),
    "an infinite generation": lambda b: b.update(generation=float("inf")),
}


def array_of_bytes(shape: str) -> bytes:
    """A .npy file whose header claims such a shape."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0"


MEANS = {
    "segments": "documents",
    "faiss": "search does not depend on it",
    "recovery": "nothing is lost, it is a second copy",
    "deletions": "it can be restored from its second copy",
    "hasher": "queries cannot be trusted, the documents are safe",
}
"""What damage to a file in each folder means."""


class TestDamage:
    def test_a_manifest_written_by_hand_is_read(self, store: Store) -> None:
        rewrite(store.path, lambda b: b.update(about={"kind": "other"}))
        assert Store.open(store.path).manifest.about == {"kind": "other"}

    @pytest.mark.parametrize("what", LIES)
    def test_a_manifest_that_lies_is_refused(self, what: str, store: Store) -> None:
        rewrite(store.path, LIES[what])
        with pytest.raises(StoreError):
            Store.open(store.path)

    @pytest.mark.parametrize(
        "data", [b"", b"{", b"[]", b"1", b"null", b"\xff\xfe", b"[" * 100_000, b'{"format": 9}' * 2]
    )
    def test_a_manifest_that_is_none_is_refused(self, data: bytes, store: Store) -> None:
        (store.path / "manifest.json").write_bytes(data)
        with pytest.raises(StoreError, match="damaged"):
            Store.open(store.path)

    def test_a_manifest_of_another_program_is_refused(self, store: Store) -> None:
        (store.path / "manifest.json").write_bytes(b'{"format": 1, "name": "a web app"}')
        with pytest.raises(StoreError, match="or was not written by a released version of hashret"):
            Store.open(store.path)

    def test_a_changed_manifest_is_refused(self, store: Store) -> None:
        text = (store.path / "manifest.json").read_bytes()
        (store.path / "manifest.json").write_bytes(text.replace(b'"deleted":1', b'"deleted":0'))
        with pytest.raises(StoreError, match="checksum does not match"):
            Store.open(store.path)

    def test_a_vast_manifest_is_not_read(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("hashret.store.manifest.MOST_BYTES", 100)
        with pytest.raises(StoreError, match="more than 100 bytes"):
            Manifest.read(Root(store.path))

    def test_a_flipped_byte_in_any_file_is_found(self, store: Store) -> None:
        names = list(store.manifest.files)
        assert len(names) == 13
        for name in names:
            path = store.path / name
            data = path.read_bytes()
            for place in {0, len(data) // 3, len(data) - 1}:
                path.write_bytes(data[:place] + bytes([data[place] ^ 64]) + data[place + 1 :])
                found = store.verify()
                assert any(name in line and "checksum" in line for line in map(str, found)), (name, place)
                assert all(MEANS[problem.file.partition("/")[0]] in problem.means for problem in found)
                with contextlib.suppress(StoreError):  # damaged so that it does not even open
                    assert any(name in line for line in map(str, Store.open(store.path).verify()))
            path.write_bytes(data[:-1])
            assert any(name in line and "bytes, not" in line for line in map(str, store.verify()))
            path.write_bytes(data)
        assert store.verify() == []
        (store.path / name).unlink()
        assert [(problem.file, problem.what) for problem in store.verify()] == [(name, "is missing")]

    @pytest.mark.parametrize("ids", [("x", "y", "y"), ("x", "d")])
    def test_an_id_that_occurs_twice_is_found(self, ids: tuple[str, ...], store: Store) -> None:
        with store.write() as change:
            add(change, *ids)
        [problem] = store.verify()
        assert problem.file == f"segments/{store.manifest.segments[-1].number:06d}.h5"
        assert problem.what == f"holds duplicate ids, such as {ids[-1]!r}"

    def test_a_segment_with_a_flipped_byte_opens_or_is_refused(self, store: Store) -> None:
        path = store.path / "segments" / "000002.h5"
        data = path.read_bytes()
        for place in range(0, min(len(data), 6000), 61):
            path.write_bytes(data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :])
            try:
                Store.open(store.path).close()
            except StoreError:
                continue

    @pytest.mark.parametrize("size", [0, PIECE - 1, PIECE, PIECE + 1])
    @pytest.mark.parametrize("cut", [0, 1])
    def test_a_compressed_piece_of_another_length_is_refused(self, size: int, cut: int, store: Store) -> None:
        name, text = "segments/000002.h5", b"".join(record_of(id).content.encode() for id in ALL[:2])
        packed = zlib.compress(text.ljust(size, b"\0")[:size])
        packed = packed[: len(packed) - cut]
        data = bytearray((store.path / name).read_bytes())
        place, _ = store.manifest.files[name].arrays["contents/pieces"]
        data[place : place + 16] = np.array([len(data), len(packed)], np.int64).tobytes()
        (store.path / name).write_bytes(data + packed)
        rewrite(store.path, lambda body: body["files"][name].update(bytes=len(data) + len(packed)))
        opened = Store.open(store.path)
        if (size, cut) == (PIECE, 0):
            assert opened.record(0).content.startswith("text of a")
        else:
            with pytest.raises(StoreError, match="damaged"):
                opened.record(0)

    @pytest.mark.parametrize(
        "data",
        [b"", b"no array", b"PK\x03\x04" + bytes(30), b"\x93NUMPY\x01\x00v\x00{'descr'", array_of_bytes("(1 << 45,)"),
         array_of_bytes("(35184372088832,)"), array_of_bytes("(" * 200)],
    )  # fmt: skip
    def test_deletions_that_are_none_are_refused(self, data: bytes, store: Store) -> None:
        (store.path / store.manifest.deletions).write_bytes(data)
        with pytest.raises(StoreError, match="damaged"):
            Store.open(store.path)

    @pytest.mark.parametrize(
        "bitmap", [np.zeros(2, np.uint8), np.zeros(1), np.zeros((1, 1), np.uint8), np.array([{}], object)]
    )
    def test_deletions_of_another_shape_are_refused(self, bitmap: np.ndarray, store: Store) -> None:
        np.save(store.path / store.manifest.deletions, bitmap, allow_pickle=True)
        with pytest.raises(StoreError, match="damaged"):
            Store.open(store.path)


def derived_of(*ids: str) -> Derived:
    """Vectors and words determined by the ids."""
    rngs = [np.random.default_rng(list(id.encode())) for id in ids]
    values = np.array([rng.integers(-127, 128, 5) for rng in rngs], np.int8).reshape(-1, 5)
    vectors = Vectors(values, np.array([rng.random() for rng in rngs], np.float32))
    texts = [f"{id} word {id * 2}" for id in ids]
    return Derived(vectors, Analyzer().occurrences(texts), Analyzer().occurrences(ids))


class TestDerivedParts:
    @pytest.fixture
    def keeping(self, tmp_path: Path) -> Store:
        """Two segments with vectors, words and titles, one row deleted."""
        made = Store.new(tmp_path / "index")
        for ids in ("abc", "de"):
            with made.write() as change:
                if ids == "abc":
                    start(change)
                change.add(np.concatenate([code_of(id) for id in ids]), [record_of(id) for id in ids], derived_of(*ids))
        delete(made, "b")
        return made

    def holds(self, store: Store, ids: str) -> bool:
        """Whether the rows of a store are those of the ids, deleted ones included."""
        found, wanted = store.vectors(), derived_of(*ids)
        assert found is not None
        assert wanted.vectors is not None
        same = (found.values == wanted.vectors.values).all() and (found.norms == wanted.vectors.norms).all()
        for name in ("words", "titles"):
            edges = np.cumsum([0, *(field.rows for field in store.fields(name))])
            for row, id in enumerate(ids):
                number = int(np.searchsorted(edges, row, "right")) - 1
                field, place = store.fields(name)[number], row - edges[number]
                for term in {"words": (id, "word", id * 2), "titles": (id,)}[name]:
                    postings = field.find(term)
                    assert postings is not None
                    rows, _, _ = loops.unpack(postings[0], np.array([0, len(postings[0])], np.uint32), field.rows)
                    assert place in rows
        return bool(same)

    def test_a_bad_sector_among_vectors_costs_the_documents_it_touched(self, tmp_path: Path) -> None:
        dim, ids, made = 512, [f"d{n}" for n in range(40)], Store.new(tmp_path / "index")
        values = np.random.default_rng(0).integers(-127, 128, (40, dim)).astype(np.int8)
        with made.write() as change:
            start(change)
            codes = np.concatenate([code_of(id) for id in ids])
            change.add(codes, [record_of(id) for id in ids], Derived(Vectors(values, np.ones(40, np.float32))))
        name = "segments/000002.h5"
        place, _ = made.manifest.files[name].arrays["vectors/int8"]
        first = (place + 10 * dim) // BLOCK * BLOCK  # of a block that some vectors are a part of
        data = bytearray((made.path / name).read_bytes())
        data[first : first + BLOCK] = bytes(BLOCK)
        (made.path / name).write_bytes(data)
        hit = [n for n in range(40) if place + n * dim < first + BLOCK and first < place + (n + 1) * dim]
        report = repair(made.path, lambda manifest, read: lambda records: Derived())  # nothing can be made again
        assert sorted(report.lost) == sorted((name, ids[n]) for n in hit)
        kept = [n for n in range(40) if n not in hit]
        found = Store.open(made.path)
        assert living(found) == [ids[n] for n in kept]
        left = found.vectors()
        assert left is not None
        assert (left.values[~found.deleted] == values[kept]).all()

    def test_compacting_keeps_them_and_a_reader_keeps_its_own(self, keeping: Store) -> None:
        reader = Store.open(keeping.path)
        assert self.holds(reader, "abcde")
        with keeping.write() as change:
            change.compact()
        assert self.holds(keeping, "acde")
        assert self.holds(reader, "abcde")
        assert Store.open(keeping.path).verify() == []

    @pytest.mark.parametrize("name", ["vectors/int8", "vectors/norms", "words/postings/bytes", "titles/terms/bytes"])
    def test_a_flipped_byte_is_found(self, name: str, keeping: Store) -> None:
        path = keeping.path / "segments" / "000002.h5"
        with h5py.File(path) as file:
            place = file[name].id.get_offset()
        whole = path.read_bytes()
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert keeping.verify()[0].file == "segments/000002.h5"

    def test_a_store_without_them_has_none(self, store: Store) -> None:
        assert store.vectors() is None
        assert store.fields("words") == []

    def test_segments_that_hold_different_parts_are_damage(self, keeping: Store) -> None:
        with keeping.write() as change:
            change.add(code_of("f"), [record_of("f")])
        with pytest.raises(StoreError, match="its vectors differ in type or size"):
            keeping.vectors()
        with pytest.raises(StoreError, match="some segments have no words"):
            keeping.fields("words")


@settings(max_examples=15, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck))
class AgainstADict(RuleBasedStateMachine):
    """After any sequence of changes, a store has the content of an equivalent dict."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = Store.new(self.folder / "index")
        with self.store.write() as change:
            start(change)
        self.wanted: dict[str, int] = {}
        self.edition = 0

    ids = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=5, unique=True)

    @rule(ids=ids)
    def add(self, ids: list[str]) -> None:
        self.edition += 1
        with self.store.write() as change:
            for id in ids:
                change.delete([] if (row := change.row_of(id)) is None else [row])
                self.wanted.pop(id, None)
                self.wanted[id] = self.edition
            add(change, *ids, edition=self.edition)

    @rule(ids=ids)
    def delete(self, ids: list[str]) -> None:
        delete(self.store, *ids)
        for id in ids:
            self.wanted.pop(id, None)

    @rule(ids=ids)
    def fail(self, ids: list[str]) -> None:
        def change_all() -> None:
            with self.store.write() as change:
                change.delete(range(len(self.store.deleted)))
                add(change, *ids)
                raise ValueError

        with pytest.raises(ValueError):
            change_all()

    @rule()
    def compact(self) -> None:
        with self.store.write() as change:
            change.compact()
        assert not self.store.deleted.any()

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store.open(self.folder / "index")

    @invariant()
    def holds_what_the_dict_holds(self) -> None:
        assert list(self.store.records()) == [record_of(id, edition) for id, edition in self.wanted.items()]
        assert all((self.store.find(id) is None) == (id not in self.wanted) for id in "abcdefgh")
        rows = np.array([self.store.find(id) for id in self.wanted], np.int64)
        assert (self.store.codes()[rows] == np.array([code_of(id)[0] for id in self.wanted]).reshape(-1, 2)).all()
        assert self.store.verify() == []

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)


TestAgainstADict = AgainstADict.TestCase
