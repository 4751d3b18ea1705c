"""`verify` finds damage; `repair` fixes what can be fixed, lists lost documents, and never guesses."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hashret.cli.app import app
from hashret.documents import Document
from hashret.errors import CorruptIndex, StoreError, UsageError
from hashret.files import BLOCK
from hashret.index import Index, repair, verify
from hashret.store import Store
from hashret.store.repair import Repaired

from .test_index import corpus


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two segments, of 400 and 20 documents with long texts, three of them deleted."""
    path = tmp_path_factory.mktemp("made") / "index"
    rng = np.random.default_rng(0)
    long = [Document(d.id, f"{d.content} {rng.bytes(150).hex()}", d.labels, d.metadata) for d in corpus(400)]
    with Index.create(path, long, bits=16, encoder="lsh", vectorizer="tfidf", rescore="int8") as index:
        index.add([Document(f"more/{d.id}", d.content, d.labels) for d in corpus(20)])
        index.delete(["sea/2", "farm/3", "more/sea/2"])
    return path


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "index")
    return tmp_path / "index"


def flip(file: Path, place: int, bit: int = 0) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 1 << bit
    file.write_bytes(data)


def contents(path: Path) -> dict[str, Document]:
    with Index.open(path) as index:
        return {document.id: document for document in index.documents()}


def names(path: Path) -> list[str]:
    return sorted(
        file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file() and file.name != "lock"
    )


SMALL = [
    *("manifest.json", "recovery/manifest.json", "recovery/000002.json", "faiss/000003.faiss"),
    *("deletions/000004.npy", "recovery/000004.npy"),
]


class TestWhatCanBeMended:
    def test_a_sound_index_is_left_as_it_is(self, path: Path) -> None:
        before = {name: (path / name).read_bytes() for name in names(path)}
        assert repair(path) == Repaired()
        assert {name: (path / name).read_bytes() for name in names(path)} == before

    @pytest.mark.parametrize("how", ["flipped", "lost", "emptied"])
    @pytest.mark.parametrize("name", SMALL)
    def test_what_lies_there_twice_or_follows_from_the_rest_costs_nothing(
        self, name: str, how: str, path: Path
    ) -> None:
        before = contents(path)
        if how == "flipped":
            flip(path / name, (path / name).stat().st_size // 2, 3)
        elif how == "lost":
            (path / name).unlink()
        else:
            (path / name).write_bytes(b"")
        assert [problem.file for problem in verify(path)] == [name]
        report = repair(path)
        assert report.done
        assert report == Repaired(done=report.done)
        assert contents(path) == before
        assert verify(path) == []

    def test_a_flipped_bit_of_a_segment_is_flipped_back(self, path: Path) -> None:
        file = path / "segments" / "000002.h5"
        whole, before = file.read_bytes(), contents(path)
        rng = np.random.default_rng(1)
        for place in [*rng.integers(0, len(whole), 12).tolist(), 0, len(whole) - 1]:
            flip(file, place, int(rng.integers(8)))
            assert [problem.file for problem in verify(path)] == ["segments/000002.h5"]
            report = repair(path)
            assert report.done == [("segments/000002.h5", "had flipped bits, which were corrected")]
            assert not report.lost
            assert file.read_bytes() == whole
        flip(file, 3)
        flip(file, 70_000)
        repair(path)
        assert contents(path) == before

    def test_files_beside_a_damaged_segment_are_mended_too(self, path: Path) -> None:
        before = contents(path)
        flip(path / "segments" / "000002.h5", 5000)
        (path / "faiss" / "000002.faiss").unlink()
        (path / "deletions" / "000004.npy").unlink()
        assert not repair(path).lost
        assert contents(path) == before
        assert verify(path) == []


def contents_in(path: Path) -> tuple[int, int]:
    """Where the contents of the documents begin and end in the file of the first segment."""
    store = Store.open(path)
    pieces = store.segments[0].array("contents/pieces").reshape(-1, 2)
    return int(pieces[0, 0]), int(pieces[-1].sum())


class TestWhatIsLost:
    @pytest.mark.parametrize(
        "name", ["words/postings/bytes", "words/positions/bytes", "words/lengths", "vectors/uint8", "originals/int8"]
    )
    def test_words_and_vectors_of_texts_are_made_again(self, name: str, path: Path) -> None:
        before, file = contents(path), path / "segments" / "000002.h5"
        with Index.open(path) as index:
            found = [(hit.id, hit.score, hit.parts) for hit in index.search("wheat harbour harvest", k=400)]
            start, items = index.store.segments[0].places[name]
        data = bytearray(file.read_bytes())
        stop = min(start + items, (start // BLOCK + 1) * BLOCK)  # of a block that holds no contents
        data[start + 8 : stop] = bytes(stop - start - 8)
        file.write_bytes(data)
        assert [problem.file for problem in verify(path)] == ["segments/000002.h5"]
        report = repair(path)
        assert (report.lost, report.nameless, report.left) == ([], [], [])
        assert contents(path) == before
        assert verify(path) == []
        with Index.open(path) as index:
            assert [(hit.id, hit.score, hit.parts) for hit in index.search("wheat harbour harvest", k=400)] == found

    def test_a_lost_segment_is_named_by_its_ids_and_the_rest_served(self, path: Path) -> None:
        before = contents(path)
        (path / "segments" / "000002.h5").unlink()
        with pytest.raises(StoreError, match="a file of index"):
            Index.open(path)
        report = repair(path)
        assert {id for _, id in report.lost} == {id for id in before if not id.startswith("more/")}
        assert "sea/2" not in {id for _, id in report.lost}  # it was deleted
        assert contents(path) == {id: document for id, document in before.items() if id.startswith("more/")}
        assert verify(path) == []
        with Index.open(path) as index:
            assert index.add([before["sea/5"]]) == 1

    @pytest.mark.parametrize("blocks", [1, 3])
    @pytest.mark.parametrize("seed", range(6))
    def test_a_torn_block_costs_the_documents_it_touched_and_no_others(
        self, seed: int, blocks: int, path: Path
    ) -> None:
        before, file = contents(path), path / "segments" / "000002.h5"
        with Index.open(path) as index:
            codes = dict(zip(index.ids, index.codes.tolist(), strict=True))
        data, rng = bytearray(file.read_bytes()), np.random.default_rng(seed)
        first, last = contents_in(path)
        for start in rng.integers(first // BLOCK, last // BLOCK, blocks) * BLOCK:
            data[start : start + BLOCK] = rng.bytes(len(data[start : start + BLOCK]))
        file.write_bytes(data)
        report = repair(path)
        after, lost = contents(path), {id for _, id in report.lost}
        assert after == {id: document for id, document in before.items() if id not in lost}
        assert len(lost) < 250
        assert verify(path) == []
        with Index.open(path) as index:
            assert index.ids == [id for id in before if id not in lost]
            assert dict(zip(index.ids, index.codes.tolist(), strict=True)).items() <= codes.items()
        if lost:
            assert (path / "damaged" / "000002.h5").read_bytes() == data

    def test_codes_that_are_damaged_come_from_the_file_beside(self, path: Path) -> None:
        before = contents(path)
        with Index.open(path) as index:
            [place, _], codes = index.store.segments[0].places["codes"], index.codes.copy()
        data = bytearray((path / "segments" / "000002.h5").read_bytes())
        data[place : place + 40] = bytes(40)
        (path / "segments" / "000002.h5").write_bytes(data)
        assert {id for _, id in repair(path).lost} <= set(before)
        with Index.open(path) as index:
            kept = [list(before).index(id) for id in index.ids]
            assert np.array_equal(index.codes, codes[kept])

    def test_without_its_recovery_file_a_lost_segment_has_no_names(self, path: Path) -> None:
        (path / "segments" / "000003.h5").unlink()
        (path / "recovery" / "000003.json").unlink()
        report = repair(path)
        assert report.nameless == [("segments/000003.h5", 19)]
        assert verify(path) == []

    def test_nothing_is_guessed_where_nothing_tells(self, path: Path) -> None:
        for name in ("deletions/000004.npy", "recovery/000004.npy"):
            flip(path / name, 130)
        before = {name: (path / name).read_bytes() for name in names(path)}
        with pytest.raises(StoreError, match="deleted documents are unknown"):
            repair(path)
        assert {name: (path / name).read_bytes() for name in names(path)} == before
        for name in ("manifest.json", "recovery/manifest.json"):
            flip(path / name, 60)
        with pytest.raises(StoreError, match="damaged"):
            repair(path)

    def test_a_lost_hasher_is_told(self, path: Path) -> None:
        [weights] = (path / "hasher" / "000001").glob("weights-*")
        weights.unlink()
        report = repair(path)
        assert [problem.file for problem in report.left] == [f"hasher/000001/{weights.name}"]
        assert "queries cannot be trusted" in report.left[0].means


class TestCommands:
    def test_verify_names_the_file_and_repair_lists_what_is_lost(self, path: Path) -> None:
        run = CliRunner().invoke
        (path / "segments" / "000003.h5").unlink()
        told = run(app, ["verify", "-i", str(path)])
        assert told.exit_code == 3
        assert '"file": "segments/000003.h5", "problem": "is missing", "means": "it holds 20 documents' in told.stdout
        mended = run(app, ["repair", "-i", str(path), "--format", "ids"])
        assert mended.exit_code == 3
        assert mended.stdout.split() == [f"more/{d.id}" for d in corpus(20) if d.id != "sea/2"]
        assert run(app, ["repair", "-i", str(path)]).exit_code == 0
        assert run(app, ["verify", "-i", str(path)]).exit_code == 0

    def test_no_index_is_no_index(self, tmp_path: Path) -> None:
        for what in (verify, repair):
            with pytest.raises(UsageError, match="no index at"):
                what(tmp_path)

    def test_an_index_without_its_manifest_is_not_written_over(self, path: Path) -> None:
        (path / "manifest.json").unlink()
        with pytest.raises(CorruptIndex, match=r"manifest.json of index .* is missing"):
            Store.new(path)
