"""One rule each: ids of folders, single texts, ties of `like`, what `refit` keeps, indexes without documents."""

from __future__ import annotations

import logging
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashret import Document, Hasher, Index, read
from hashret.codes import hamming
from hashret.errors import (
    CorruptIndex,
    DataError,
    DuplicateIds,
    IndexExists,
    IndexLocked,
    IndexNotFound,
    StoreError,
    UnknownId,
    UsageError,
)
from hashret.search import Searcher, searcher

from .samples import posix_only


def texts(count: int = 24) -> list[str]:
    return [f"boat number{n % 5} of harbour{n % 7}" for n in range(count)]


def folder(path: Path, **files: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / f"{name}.txt").write_text(text)
    return path


def index_of(*sources: Path, at: Path) -> Index:
    return Index.create(at, read(*sources), bits=16, encoder="lsh")


class TestFolders:
    @pytest.fixture
    def index(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
        """Two folders in one index."""
        monkeypatch.chdir(tmp_path)
        folder(tmp_path / "a", x1="wheat ship", x2="wheat court")
        folder(tmp_path / "a" / "deep", y="ship court")
        folder(tmp_path / "b", x1="judge court")
        return index_of(Path("a"), Path("b"), at=tmp_path / "index")

    @pytest.mark.parametrize(
        "spelling",
        ["a", "a/", "./a", "../{here}/a", "b/../a", pytest.param("link", marks=posix_only("links")), "a/deep"],
    )
    def test_a_folder_has_the_ids_it_had_however_it_is_spelled(
        self, spelling: str, index: Index, tmp_path: Path
    ) -> None:
        if spelling == "link":
            (tmp_path / "link").symlink_to("a")
        (tmp_path / "a" / "deep" / "y.txt").write_text("ship changed")
        before = set(index.ids)
        assert before == {"a/x1.txt", "a/x2.txt", "a/deep/y.txt", "b/x1.txt"}
        assert index.add(read(spelling.format(here=tmp_path.name)), replace=True) == 1
        assert set(index.ids) == before
        assert index.document("a/deep/y.txt").content == "ship changed"

    def test_both_folders_again_are_the_same_documents(self, index: Index) -> None:
        before = set(index.ids)
        assert index.add(read("b", "a"), replace=True) == 0
        assert set(index.ids) == before

    def test_an_emptied_file_loses_its_text(self, index: Index, tmp_path: Path) -> None:
        (tmp_path / "a" / "x1.txt").write_text("")
        assert index.add(read("a"), replace=True) == 1
        assert index.document("a/x1.txt").content == ""
        assert "a/x1.txt" not in [hit.id for hit in index.search("wheat ship", k=10) if "wheat" in str(hit.document)]

    def test_files_that_are_gone_are_listed_and_pruned(
        self, index: Index, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "a" / "x2.txt").unlink()
        (tmp_path / "b" / "x1.txt").unlink()
        folder(tmp_path / "b", z="judge")
        with caplog.at_level(logging.WARNING):
            index.add(read("a"), replace=True)
        assert "missing files: 1; their documents are kept; use prune to delete them: 'a/x2.txt'" in caplog.text
        assert len(index) == 4
        with caplog.at_level(logging.WARNING):
            index.add(read("a"), replace=True, prune=True)
        assert "missing files: 1; their documents were deleted: 'a/x2.txt'" in caplog.text
        assert set(index.ids) == {"a/x1.txt", "a/deep/y.txt", "b/x1.txt"}  # of the other folder nothing was said
        index.add(read("b"), prune=True)
        assert set(index.ids) == {"a/x1.txt", "a/deep/y.txt", "b/z.txt"}
        assert index.verify() == []

    def test_nothing_is_pruned_that_may_still_be_there(self, index: Index, tmp_path: Path) -> None:
        index.add([Document("a/note", "wheat was dear")])  # no file
        if hasattr(os, "geteuid") and os.geteuid():  # nothing is closed to root
            (tmp_path / "a" / "deep").chmod(0)
        index.add(read("a"), replace=True, prune=True)
        (tmp_path / "a" / "deep").chmod(0o700)
        assert {"a/note", "a/deep/y.txt"} <= set(index.ids)
        with pytest.raises(UsageError, match="prune needs a folder"):
            index.add(["a text"], prune=True)

    def test_an_unmounted_folder_of_the_same_prefix_loses_nothing(self, tmp_path: Path) -> None:
        one, two = folder(tmp_path / "one", x="wheat ship"), folder(tmp_path / "two", y="wheat court")
        index = index_of(one, at=tmp_path / "index")
        index.add(read(two))
        assert index.ids == ["x.txt", "y.txt"]
        (one / "x.txt").rename(tmp_path / "elsewhere")
        folder(one, z="ship")
        index.add(
            read(two), replace=True, prune=True
        )  # x does not belong to it and is missing only in the other folder
        assert "y.txt" in index.ids

    @pytest.mark.parametrize("place", ["indexes/mine", "deep/er/mine"])
    def test_an_index_in_its_own_source_is_left_out(
        self, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(folder(tmp_path / "letters", a="wheat ship", b="wheat court"))
        index = index_of(Path(), at=Path(place))
        index_of(Path(), at=Path("indexes/other")).close()
        assert index.ids == ["a.txt", "b.txt"]
        folder(tmp_path / "letters", c="a judge")
        assert index.add(read("."), replace=True) == 1
        assert index.ids == ["a.txt", "b.txt", "c.txt"]


class TestOneIsNotMany:
    @pytest.fixture
    def index(self, tmp_path: Path) -> Index:
        documents = [Document(str(n), text, ("odd" if n % 2 else "even",)) for n, text in enumerate(texts())]
        return Index.create(tmp_path / "index", documents, bits=16, encoder="lsh")

    def test_a_text_is_one_query(self, index: Index) -> None:
        one, [same] = index.search("boat number1", k=3), index.search(["boat number1"], k=3)
        assert one == same
        assert len(index.within("boat number1", 16)) == 24
        assert index.search(Document("q", "boat number1"), k=3) == one
        assert index.like("1", k=3) == index.like(["1"], k=3)[0]
        assert index.encode("boat number1").shape == (1, 2)

    def test_a_label_is_one_label(self, index: Index) -> None:
        assert index.labels[1] == ("odd",)
        assert {hit.labels for hit in index.search("number1", k=30, labels="odd")} == {("odd",)}
        with pytest.raises(DataError, match="no document has the label 'od'"):
            index.search("number1", labels="od")

    def test_an_id_is_one_id(self, tmp_path: Path) -> None:
        with Index.create(tmp_path / "index", texts(), bits=16, encoder="lsh") as index:
            assert index.delete("12") == 1
            assert "12" not in index.ids
            assert {"1", "2"} <= set(index.ids)
            number: Any = 2
            assert index.delete(number) == 1

    def test_a_text_added_is_one_text_and_never_a_path(self, tmp_path: Path) -> None:
        secret = tmp_path / "secret.txt"
        secret.write_text("wheat")
        documents = [Document(f"d{n}", text) for n, text in enumerate(texts())]
        with Index.create(tmp_path / "index", documents, bits=16, encoder="lsh") as index:
            assert index.add(str(secret)) == 1
            assert index.document("0").content == str(secret)

    def test_a_mapping_is_a_document(self, tmp_path: Path) -> None:
        rows = [{"id": n, "text": text, "label": "x", "year": 1873} for n, text in enumerate(texts())]
        with Index.create(tmp_path / "index", rows, bits=16, encoder="lsh") as index:
            assert index.add({"text": "wheat was dear", "id": "note", "labels": ["1873"]}) == 1
            assert index.document("note") == Document("note", "wheat was dear", ("1873",))
            assert index.document("3").metadata == {"year": 1873}

    WRONG = [
        (Document(True, "a"), "an id must be"),  # type: ignore[arg-type]
        (Document("", "a"), "an id must be"),
        (Document(float("nan"), "a"), "an id must be"),  # type: ignore[arg-type]
        (Document(b"x", "a"), "an id must be"),  # type: ignore[arg-type]
        (Document("x", "a", (None,)), "labels of 'x' must be texts or numbers, got None"),  # type: ignore[arg-type]
        (Document("x", "a", 5 + 0j), "labels of 'x' must be texts or numbers"),  # type: ignore[arg-type]
        (Document("x", 5), "content of 'x' must be a text, an image's path or an array, got int"),  # type: ignore[arg-type]
        (Document("x", b"a"), "content of 'x' must be a text"),  # type: ignore[arg-type]
        (Document("x", "a", (), [1]), "metadata of 'x' must be a mapping"),  # type: ignore[arg-type]
        (Document("x", "a", (), {"when": object()}), "metadata of 'x' cannot be written as JSON"),
    ]

    @pytest.mark.parametrize(("wrong", "words"), WRONG)
    def test_what_cannot_be_stored_is_refused_before_training(
        self, wrong: Document, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Hasher, "learn", lambda *args: pytest.fail("trained"))
        documents: list[Any] = [*texts(), wrong]
        with pytest.raises(DataError, match=words):
            Index.create(tmp_path / "index", documents)
        assert list(tmp_path.iterdir()) == []

    def test_numbers_become_their_text(self) -> None:
        document = Document(np.int64(7), "a", [3, 2.5, np.float32(4)])  # type: ignore[arg-type]
        assert (document.id, document.labels) == ("7", ("3", "2.5", "4"))


class TestLike:
    @pytest.mark.parametrize("k", [1, 2, 5, 23, 40])
    @pytest.mark.parametrize("labels", [(), ("even",)])
    def test_ties_are_counted_without_the_document_itself(
        self, k: int, labels: tuple[str, ...], tmp_path: Path
    ) -> None:
        documents = [Document(str(n), text, ("odd" if n % 2 else "even",)) for n, text in enumerate(texts())]
        with Index.create(tmp_path / "index", documents, bits=4, encoder="lsh") as index:
            chosen = [n for n in range(24) if not labels or n % 2 == 0]
            for number in range(24):
                distances = hamming(index.codes[number : number + 1], index.codes[chosen])[0].astype(int)
                others = sorted((d, n) for d, n in zip(distances.tolist(), chosen, strict=True) if n != number)
                hits = index.like(str(number), k=k, labels=labels, by="codes")
                assert [(hit.distance, int(hit.id)) for hit in hits] == others[:k]
                assert hits.ties_at_k == sum(d == hits[-1].distance for d, _ in others)
                assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))

    def test_a_document_of_unknown_words_is_like_no_other(self, tmp_path: Path) -> None:
        with Index.create(tmp_path / "index", texts(), bits=16, encoder="lsh") as index:
            index.add([Document("strange", "zzzz")])
            assert index.like("strange") == []
            assert index.like(["strange", "1"], k=3)[1] == index.like("1", k=3)


def test_refit_keeps_the_seed_and_the_options_of_training(tmp_path: Path) -> None:
    how: dict[str, Any] = {"epochs": 2, "max_steps": 40, "min_steps": 20, "batch_size": 16}
    with Index.create(tmp_path / "index", texts(60), bits=8, encoder="bernoulli", seed=7, options=how) as index:
        before, codes = index.hasher.fingerprint, index.codes.tolist()
        assert index.hasher.training["seed"] == 7
        index.refit()
        assert index.hasher.fingerprint == before
        assert index.codes.tolist() == codes
        index.refit(seed=8, options={"epochs": 3})
        assert (index.hasher.training["seed"], index.hasher.training["epochs"]) == (8, 3)
        assert index.hasher.training["batch_size"] == 16
        assert index.hasher.fingerprint != before


def test_a_search_in_another_thread_does_not_undo_search_by(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", texts(), bits=16, encoder="lsh") as index:
        started, go_on = threading.Event(), threading.Event()

        def slowly() -> Any:
            started.set()
            go_on.wait()
            yield "boat"

        thread = threading.Thread(target=lambda: index.search(slowly()))
        thread.start()
        started.wait()
        index.search_by("flat")
        go_on.set()
        thread.join()
        assert index.search("boat number1", by="codes").searcher == "flat"
        with pytest.raises(UsageError):
            index.search_by("nothing")
        assert index.search("boat number1", by="codes").searcher == "flat"


def test_an_index_of_no_documents_answers_emptily(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", texts(3), bits=16, encoder="lsh") as index:
        index.delete(index.ids)
        for again in (index, Index.open(tmp_path / "index")):
            assert again.search("boat", k=5) == []
            assert again.search("boat", labels="x") == []
            assert again.within("boat", 16) == []
            assert (again.ids, again.labels, list(again.documents()), again.codes.shape) == ([], [], [], (0, 2))
            assert again.info()["documents"] == 0
            assert again.verify() == []
        index.compact()
        assert index.add(["boat number1"]) == 1


def test_threads_share_one_searcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hashret import searching as module

    made: list[Searcher] = []

    def noted(*args: Any, **more: Any) -> Searcher:
        made.append(searcher(*args, **more))
        return made[-1]

    monkeypatch.setattr(module, "searcher", noted)
    with Index.create(tmp_path / "index", texts(), bits=16, encoder="lsh") as index:
        barrier = threading.Barrier(6)
        threads = [
            threading.Thread(target=lambda: (barrier.wait(), index.search("boat number1", by="codes")))
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(made) == 1
        index.add([Document("new", "boat number2")])
        index.search("boat number1", by="codes")
        assert len(made) == 2


def test_an_index_is_a_collection_of_documents(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", texts(5), bits=16, encoder="lsh") as index:
        assert repr(index) == f"Index({str(tmp_path / 'index')!r}, 5 documents, 16 bits)"
        assert "3" in index
        assert 3 in index
        assert "9" not in index
        assert index["3"] == Document("3", texts()[3])
        assert [document.id for document in index] == index.ids
        with pytest.raises(UnknownId, match="no document has the id '9'") as told:
            index["9"]
        assert told.value.id == "9"
        assert isinstance(told.value, KeyError)
    index.close()  # closing twice is allowed
    assert repr(index).endswith("closed)")
    for ask in (lambda: index.search("boat"), lambda: index["3"], lambda: index.add(["a"]), lambda: list(index)):
        with pytest.raises(StoreError, match="is closed; open it again"):
            ask()


def test_errors_carry_what_they_are_about(tmp_path: Path) -> None:
    path = tmp_path / "index"
    with pytest.raises(IndexNotFound, match="no index at") as none:
        Index.open(path)
    assert (none.value.path, isinstance(none.value, FileNotFoundError)) == (str(path), True)
    with Index.create(path, texts(5), bits=16, encoder="lsh") as index:
        with pytest.raises(IndexExists) as there:
            Index.create(path, texts(5))
        assert (there.value.path, isinstance(there.value, FileExistsError)) == (str(path), True)
        with pytest.raises(DuplicateIds) as twice:
            index.add([Document("3", "again"), Document("4", "again")])
        assert (twice.value.ids, twice.value.there) == (["3", "4"], True)
        with index.store.write(), pytest.raises(IndexLocked) as locked:
            Index.open(path).delete("3")
        assert f"process {os.getpid()}" in locked.value.holder
    next((path / "segments").iterdir()).unlink()
    with pytest.raises(CorruptIndex) as lost:
        Index.open(path)
    assert lost.value.path == str(path)
    assert pickle.loads(pickle.dumps(lost.value)).path == str(path)


def test_records_of_any_kind_are_documents(tmp_path: Path) -> None:
    import pyarrow

    rows = [{"name": n, "body": text, "topic": "odd" if n % 2 else None} for n, text in enumerate(texts())]
    how: Any = {"bits": 16, "encoder": "lsh", "id": "name", "text": "body", "label": "topic"}
    for number, table in enumerate((rows, iter(rows), pyarrow.Table.from_pylist(rows))):
        with Index.create(tmp_path / f"{number}", table, **how) as index:
            assert (index.ids[3], index["3"].content, index.labels[2:4]) == ("3", texts()[3], [(), ("odd",)])
    with pytest.raises(UsageError, match="name fields of records, but document"):
        Index.create(tmp_path / "x", texts(), **how)
