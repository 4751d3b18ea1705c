"""The index: content, search results and order."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from PIL import Image

import hashret
from hashret.codes import hamming
from hashret.documents import Document
from hashret.errors import CorruptIndex, DataError, UnknownId, UsageError
from hashret.index import Index
from hashret.store import Store

WORDS = {
    "sea": ["ship", "sail", "wave", "harbour", "anchor", "tide", "captain", "deck", "storm", "island"],
    "farm": ["wheat", "plough", "barn", "harvest", "cattle", "field", "horse", "fence", "seed", "tractor"],
    "music": ["violin", "sonata", "chord", "melody", "concert", "piano", "rhythm", "orchestra", "flute", "song"],
}


def corpus(count: int, seed: int = 0) -> list[Document]:
    rng = np.random.default_rng(seed)
    documents = []
    for number in range(count):
        topic = sorted(WORDS)[number % 3]
        text = " ".join(rng.choice(WORDS[topic], 12))
        documents.append(Document(f"{topic}/{number}", text, (topic,), {"number": number}))
    return documents


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "index"
    Index.create(path, corpus(120), bits=16, encoder="itq").close()
    return path


@pytest.fixture
def index(made: Path, tmp_path: Path) -> Index:
    shutil.copytree(made, tmp_path / "index")
    return Index.open(tmp_path / "index")


def test_search_gives_the_documents_with_the_smallest_distances_in_order(index: Index) -> None:
    query = "the captain and the anchor"
    [hits] = index.search([query], k=30, by="codes")
    distances = hamming(index.hasher.encode([query]), index.codes)[0]
    order = np.argsort(distances, kind="stable")[:30]
    assert [hit.id for hit in hits] == [index.ids[i] for i in order]
    assert [hit.distance for hit in hits] == distances[order].tolist()
    assert [hit.rank for hit in hits] == list(range(1, 31))
    assert hits.exact
    assert hits.ties_at_k == int((distances == distances[order[-1]]).sum())
    assert hits[0].document == index.document(hits[0].id)
    assert hits[0].labels == ("sea",)
    assert hits[0].metadata["number"] == int(hits[0].id.split("/")[1])


def test_a_smaller_k_gives_the_beginning_of_a_larger_one(index: Index) -> None:
    for k in (1, 5, 40):
        [few], [many] = index.search(["barn"], k=k), index.search(["barn"], k=120)
        assert [hit.id for hit in few] == [hit.id for hit in many][:k]


def test_within_gives_all_in_the_ball(index: Index) -> None:
    [hits] = index.within(["piano song"], radius=3)
    distances = hamming(index.hasher.encode(["piano song"]), index.codes)[0]
    assert len(hits) == int((distances <= 3).sum())
    assert all(hit.distance <= 3 for hit in hits)


def test_labels_narrow_a_search(index: Index) -> None:
    [hits] = index.search(["captain"], k=50, labels=["farm", "music"])
    assert len(hits) == 50
    assert {hit.labels[0] for hit in hits} == {"farm", "music"}
    with pytest.raises(DataError, match="no document has the label 'farms'"):
        index.search(["captain"], labels=["farms"])


def test_like_leaves_the_document_itself_out(index: Index) -> None:
    [hits] = index.like(["sea/5"], k=119)
    assert len(hits) == 119
    assert "sea/5" not in [hit.id for hit in hits]
    assert [hit.rank for hit in hits] == list(range(1, 120))


def test_faiss_itself_gives_the_same_distances_from_the_files(index: Index) -> None:
    [file] = sorted((index.path / "faiss").iterdir())
    theirs = faiss.read_index_binary(str(file))
    distances, _ = theirs.search(index.hasher.encode(["harvest"]), 10)
    assert distances[0].tolist() == [hit.distance for hit in index.search(["harvest"], k=10, by="codes")[0]]


def test_added_and_deleted_documents_keep_the_order(index: Index) -> None:
    before = index.ids
    index.delete(["sea/5", "farm/0"])
    index.add([Document("new", "orchestra and flute"), Document("sea/5", "again")])
    wanted = [id for id in before if id not in ("sea/5", "farm/0")] + ["new", "sea/5"]
    assert index.ids == wanted
    codes = index.codes
    index.compact()
    assert index.ids == wanted
    assert np.array_equal(index.codes, codes)
    with Index.open(index.path) as again:
        assert again.ids == wanted
        assert again.verify() == []
        assert np.array_equal(again.codes, codes)
        assert again.document("sea/5").content == "again"


def test_an_id_that_is_there_is_refused_replaced_or_skipped(index: Index) -> None:
    twice = [Document("sea/5", "harbour"), Document("other", "barn")]
    with pytest.raises(DataError, match="already in the index: 'sea/5'"):
        index.add(twice)
    assert "other" not in index.ids
    assert index.add(twice, skip=True) == 1
    assert index.document("sea/5").content != "harbour"
    assert index.add(twice, replace=True) == 2
    assert index.document("sea/5").content == "harbour"
    assert index.ids[-2:] == ["sea/5", "other"]
    assert len(index.ids) == len(set(index.ids)) == len(index)
    with pytest.raises(DataError, match="duplicate ids in the source: 'x'"):
        index.add([Document("x", "a"), Document("x", "b")], replace=True)


def test_deleting_an_unknown_id_deletes_nothing(index: Index) -> None:
    with pytest.raises(DataError, match="no document has the id 'nobody'"):
        index.delete(["sea/5", "nobody"])
    assert "sea/5" in index.ids


def test_an_index_is_never_overwritten_unasked(index: Index) -> None:
    before = index.ids
    with pytest.raises(UsageError, match="already exists"):
        Index.create(index.path, corpus(10), bits=8, encoder="lsh")
    with pytest.raises(DataError):
        Index.create(index.path, [], bits=8, encoder="lsh", force=True)
    assert Index.open(index.path).ids == before
    with Index.create(index.path, corpus(10), bits=8, encoder="lsh", force=True) as replaced:
        assert len(replaced) == 10
        assert replaced.bits == 8
        assert replaced.verify() == []


def test_a_folder_of_other_things_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="contains other files"):
        Index.create(tmp_path, corpus(10), encoder="lsh")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_failing_source_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="duplicate ids"):
        Index.create(tmp_path / "a" / "b", [*corpus(10), *corpus(1)], encoder="lsh")
    assert not (tmp_path / "a").exists()


def test_refit_changes_codes_and_nothing_else(index: Index) -> None:
    ids, documents = index.ids, list(index.documents())
    index.delete([ids[3]])
    index.refit(bits=24, encoder="lsh", seed=3)
    assert index.bits == 24
    assert index.ids == ids[:3] + ids[4:]
    assert list(index.documents()) == documents[:3] + documents[4:]
    assert index.verify() == []
    with Index.open(index.path) as again:
        assert np.array_equal(again.codes, again.hasher.encode(again.documents()))


def test_an_index_open_while_another_refits_does_not_mix_codes(index: Index) -> None:
    before = [hit.id for hit in index.search(["barn"], k=20)[0]]
    with Index.open(index.path) as other:
        other.refit(encoder="lsh", bits=40)
    assert [hit.id for hit in index.search(["barn"], k=20)[0]] == before
    with pytest.raises(DataError):
        index.delete(["nobody"])
    index.add([Document("new", "barn")])
    assert index.bits == 40
    with Index.open(index.path) as other:
        assert np.array_equal(other.codes, index.codes)
        assert np.array_equal(other.codes, other.hasher.encode(other.documents()))


def test_a_refit_keeps_what_is_not_said(tmp_path: Path) -> None:
    options = {"rounds": 7, "max_features": 25}
    with Index.create(tmp_path / "index", corpus(60), bits=8, encoder="itq", options=options) as index:
        index.refit(bits=12)
        assert index.hasher.params["rounds"] == 7
        assert index.hasher.vectorizer.params()["max_features"] == 25
        index.refit(options={"rounds": 9})
        assert index.bits == 12
        assert index.hasher.params["rounds"] == 9
        index.refit(encoder="lsh")
        assert index.hasher.params == {}


def test_images_are_found_by_path_array_or_document(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for number in range(30):
        base = np.zeros((40, 50, 3), np.uint8)
        base[:, :, number % 3] = rng.integers(128, 255, (40, 50))
        Image.fromarray(base).save(tmp_path / "images" / f"{number:02d}.png")
    with Index.create(tmp_path / "index", hashret.read(tmp_path / "images"), bits=8, encoder="itq") as index:
        one = tmp_path / "images" / "04.png"
        asked: list[Any] = [str(one), one, np.asarray(Image.open(one)), Document("q", one)]
        answers = index.search(asked, k=30)
        assert len({tuple(hit.id for hit in hits) for hits in answers}) == 1
        assert "04.png" in [hit.id for hit in answers[0]]
        assert answers[0][0].document.content == tmp_path / "images" / answers[0][0].id
        small = Image.open(io.BytesIO(index.thumbnail("04.png")))
        np.testing.assert_array_equal(np.asarray(small), np.asarray(Image.open(one)))
        with pytest.raises(DataError, match="holds images"):
            index.search(["a red field"])
        before = index.codes.copy()
        index.refit(bits=8)
        assert np.array_equal(index.codes, before)


def test_a_text_has_no_thumbnail_and_a_large_image_a_smaller_one(tmp_path: Path, index: Index) -> None:
    assert index.thumbnail("sea/2") == b""
    with pytest.raises(UnknownId, match="no document has the id 'sea/3'"):
        index.thumbnail("sea/3")
    large = np.random.default_rng(0).integers(0, 256, (90, 300, 3), np.uint8)
    with Index.create(tmp_path / "images", [large, large // 2], bits=2, encoder="lsh") as images:
        small = Image.open(io.BytesIO(images.thumbnail("1")))
        assert small.format == "JPEG"
        assert max(small.size) < 300
        assert small.size[0] / small.size[1] == pytest.approx(300 / 90, rel=0.05)


def test_a_hasher_of_other_codes_than_the_index_has_is_told(tmp_path: Path, index: Index) -> None:
    with Index.create(tmp_path / "other", corpus(30), bits=24, encoder="lsh") as other:
        [stranger], [own] = ((path.path / "hasher").iterdir() for path in (other, index))
    index.close()
    shutil.rmtree(own)
    shutil.copytree(stranger, own)
    with pytest.raises(CorruptIndex, match="has codes of 16 bits, but its hasher has 24"):
        Index.open(index.path)
    assert any(problem.file.startswith("hasher") for problem in hashret.verify(index.path))


def test_an_index_replaced_while_it_is_opened_is_opened_as_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / "index", Store.open
    Index.create(path, corpus(20), bits=16, encoder="lsh").close()
    replaced: list[int] = []

    def opened(place: Path) -> Store:
        store = real(place)
        if not replaced:
            replaced.append(1)
            Index.create(path, corpus(12), bits=8, encoder="lsh", force=True).close()
        return store

    monkeypatch.setattr(Store, "open", opened)
    with Index.open(path) as index:
        assert (index.bits, len(index)) == (8, 12)
        assert [hit.id for hit in index.search(["ship"], k=12)[0]]


def test_vectors_are_not_kept(tmp_path: Path) -> None:
    vectors = list(np.random.default_rng(0).standard_normal((50, 12)).astype(np.float32))
    with Index.create(tmp_path / "index", vectors, bits=8, encoder="lsh") as index:
        assert index.search(vectors[7:8], k=1)[0][0].distance == 0
        with pytest.raises(UsageError, match="not stored exactly"):
            index.refit()
        with pytest.raises(DataError, match="holds vectors"):
            index.search(["text"])


def test_only_changed_files_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    for number, document in enumerate(corpus(12)):
        (folder / f"{number}.txt").write_text(str(document.content))
    with Index.create(tmp_path / "index", hashret.read(folder), bits=8, encoder="lsh") as index:
        (folder / "3.txt").write_text("a longer text about the harbour and the tide, changed")
        (folder / "new.txt").write_text("violin")
        assert index.add(hashret.read(folder), replace=True) == 2
        assert index.add(hashret.read(folder), replace=True) == 0
        assert str(index.document("3.txt").content).startswith("a longer text")
        assert len(index) == 13


def test_a_generator_is_read_once_and_still_indexed(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", (d for d in corpus(20)), bits=8, encoder="lsh") as index:
        assert index.ids == [d.id for d in corpus(20)]


def test_bits_of_any_number(tmp_path: Path) -> None:
    for bits in (1, 7, 13, 65):
        with Index.create(tmp_path / str(bits), corpus(30), bits=bits, encoder="itq") as index:
            assert index.codes.shape == (30, (bits + 7) // 8)
            assert index.search(["wheat"], k=3)[0].exact


def test_an_id_that_occurs_twice_is_told_before_anything_is_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashret.encoders.lsh.LSH.fit", None)
    with pytest.raises(DataError, match="duplicate ids in the source: 'sea/2'; ids must be unique"):
        Index.create(tmp_path / "index", [*corpus(9), corpus(9)[2]], bits=8, encoder="lsh")
    assert not (tmp_path / "index").exists()
