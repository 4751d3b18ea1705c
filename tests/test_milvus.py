"""Milvus behind an index: failures of the connection, repeated requests, BIN_IVF_FLAT, many equal codes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from hashret.backends.milvus import change
from hashret.backends.milvus import engine as milvus_engine
from hashret.documents import Document
from hashret.errors import DataError, UsageError
from hashret.hasher import Hasher
from hashret.index import Index

from . import servers
from .samples import linux_only
from .servers import SECRET, error_of
from .test_index import corpus

pytestmark = [pytest.mark.slow, linux_only("the packages of the servers")]

NUMBERS = count()


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with servers.milvus() as port:
        yield port


@pytest.fixture
def gate(server: int) -> Iterator[servers.Gate]:
    made = servers.Gate(("127.0.0.1", server))
    yield made
    made.close()


@pytest.fixture
def address(gate: servers.Gate) -> str:
    return f"milvus://root:{SECRET}@127.0.0.1:{gate.port}/letters{next(NUMBERS)}?timeout=4"


@pytest.fixture(scope="module")
def hasher() -> Hasher:
    return Hasher.fit(corpus(120), bits=12, encoder="itq")


@pytest.fixture
def index(address: str, hasher: Hasher) -> Iterator[Index]:
    with Index.create(address, corpus(30), hasher=hasher) as index:
        yield index


class TestFailures:
    def test_a_server_that_is_away_at_the_start(self, gate: servers.Gate, address: str) -> None:
        gate.mode = "closed"
        started = time.monotonic()
        assert "cannot be reached" in error_of(lambda: Index.open(address))
        assert "cannot be reached" in error_of(lambda: Index.create(address, ["a text"]))
        assert time.monotonic() - started < 20

    def test_a_search_that_is_cut_off_is_tried_again(self, gate: servers.Gate, index: Index) -> None:
        expected = [hit.id for hit in index.search("wheat and barn", k=30, by="codes")]
        for left in (0, 200, 600):
            gate.left = left
            assert [hit.id for hit in index.search("wheat and barn", k=30, by="codes")] == expected

    def test_a_server_that_stays_away_is_an_error_and_comes_back(self, gate: servers.Gate, index: Index) -> None:
        gate.mode = "closed"
        gate.cut()
        started = time.monotonic()
        assert "cannot be reached" in error_of(lambda: index.search("wheat"))
        assert time.monotonic() - started < 20
        gate.mode = "open"
        assert len(index) == 30

    def test_a_server_that_does_not_answer(self, gate: servers.Gate, index: Index) -> None:
        gate.mode = "stalled"
        started = time.monotonic()
        assert "cannot be reached" in error_of(lambda: index.search("wheat"))
        assert time.monotonic() - started < 20
        gate.mode = "open"
        gate.cut()
        assert len(index) == 30

    @pytest.mark.parametrize("left", [500, 2000, 6000])
    def test_an_add_that_is_cut_off_adds_once(self, gate: servers.Gate, index: Index, left: int) -> None:
        gate.left = left
        index.add([Document(f"more {number}", "wheat and barn") for number in range(40)])
        assert gate.cuts == 1
        assert len(index) == len(index.ids) == len(set(index.ids)) == 70
        assert index.verify() == []

    def test_an_answer_that_is_cut_off(self, gate: servers.Gate, index: Index) -> None:
        gate.last = b"more 39"
        index.add([Document(f"more {number}", "wheat and barn") for number in range(40)])
        assert gate.cuts == 1
        assert len(index) == len(index.ids) == len(set(index.ids)) == 70
        assert index.verify() == []

    def test_a_creation_that_fails_leaves_nothing(
        self, address: str, hasher: Hasher, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(change.MilvusChange, "finish", lambda _: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                Index.create(address, corpus(3), hasher=hasher)
        assert "no index at" in error_of(lambda: Index.open(address), UsageError)

    def test_an_addition_that_is_killed_can_be_repeated(self, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
        more = [Document(f"more {number}", "wheat and barn") for number in range(10)]
        with monkeypatch.context() as patched:
            patched.setattr(change.MilvusChange, "finish", lambda _: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                index.add(more)
        assert index.add(more, skip=True) == 0
        assert index.add(more, replace=True) == 10
        assert len(index) == 40
        assert index.verify() == []


class TestOthers:
    def test_a_collection_of_others_is_never_replaced(self, server: int, address: str, hasher: Hasher) -> None:
        from pymilvus import MilvusClient

        client = MilvusClient(f"http://127.0.0.1:{server}")
        name = address.rpartition("/")[2].partition("?")[0]
        client.create_collection(name, dimension=4)
        for force in (False, True):
            create = lambda force=force: Index.create(address, corpus(3), hasher=hasher, force=force)  # noqa: E731
            assert "has another collection" in error_of(create, UsageError)
        assert client.has_collection(name)
        client.close()

    def test_verify_finds_what_somebody_changed(self, index: Index) -> None:
        engine: Any = index.engine  # type: ignore[attr-defined]
        [row] = engine.run(lambda: engine.query("position == 3", ["*"]))
        engine.upsert([{**row, "code": row["code"][0], "position": 4, "labels": list(row["labels"])}])
        assert "has 30 documents, but 29 positions and 30 ids" in str(index.verify()[0])


class TestIvf:
    @pytest.fixture
    def tied(self, address: str, hasher: Hasher) -> Iterator[Index]:
        others = [Document(f"other {number}", "ship and sail") for number in range(100)]
        documents = [Document(str(number), "wheat barn harvest", (f"{number % 100}",)) for number in range(2000)]
        with Index.create(f"{address}&index=ivf", [*others, *documents], hasher=hasher) as index:
            yield index

    def test_it_is_approximate_and_says_so(self, tied: Index) -> None:
        described = tied.engine._client.describe_index(tied.engine.address.name, "code")  # type: ignore[attr-defined]
        assert described["index_type"] == "BIN_IVF_FLAT"
        hits = tied.search("wheat barn harvest", k=10, by="codes")
        assert not hits.exact
        assert hits.searcher == "milvus ivf"
        assert [hit.distance for hit in hits] == [0] * 10

    def test_a_scan_stays_exact(self, tied: Index) -> None:
        tied.search_by("scan")
        for labels, expected in (((), range(10)), (("7",), range(7, 1000, 100))):
            hits = tied.search("wheat barn harvest", k=10, by="codes", labels=labels)
            assert [hit.id for hit in hits] == [str(number) for number in expected]
            assert hits.exact


def test_more_ties_than_milvus_returns_are_not_called_exact(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    index.add([Document(f"{number}", "wheat barn harvest") for number in range(300)])
    assert index.search("wheat barn harvest", k=5, by="codes").exact
    assert index.within("wheat barn harvest", 0).exact
    monkeypatch.setattr(milvus_engine, "MOST", 200)
    hits = index.search("wheat barn harvest", k=5, by="codes")
    assert not hits.exact
    assert len(hits) == 5
    monkeypatch.setattr(milvus_engine, "BLOCK", 100)
    assert not index.within("wheat barn harvest", 0).exact


def test_filters_of_numbers_and_texts_at_the_limits(index: Index) -> None:
    values = [1 << 62, (1 << 62) + 1, 10**30, float("inf"), -0.5, "Ä", "z", "", "\0", 'q"\\', "long" * 499]
    index.add([Document(f"v{n}", "wheat", (), {"value": value}) for n, value in enumerate(values)])

    def found(where: str) -> list[int]:
        return sorted(int(hit.id[1:]) for hit in index.search("wheat", k=99, by="codes", where=where))

    assert found(f"value = {1 << 62}") == [0]
    assert found(f"value > {1 << 62}") == [1, 2, 3]
    assert found("value >= 1e30") == [2, 3]
    assert found("value < 99999999999999999999") == [0, 1, 4]
    assert found("value > 'z' or value < 'q'") == [5, 7, 8, 10]  # by code points
    assert found("value like 'q\"\\%'") == [9]
    assert found("value like 'z'") == [6]
    assert found("value = '\0' or value = ''") == [7, 8]
    assert len(found("value is not null")) == len(values)


def test_what_a_filter_cannot_hold_is_refused(index: Index) -> None:
    index.add([Document("a", "wheat", (), {"note": "x" * 2001, "year": 1873})])
    assert [hit.id for hit in index.search("wheat", by="codes", where="year = 1873 and note is not null")] == ["a"]
    with pytest.raises(UsageError, match="'note' holds texts that the engine cannot compare"):
        index.search("wheat", where="note = 'x'")
    index.add([Document("c", "wheat", (), {"note": "short"})])
    with pytest.raises(UsageError, match="'note' holds texts of more than 2,000 bytes, which milvus cannot compare"):
        index.search("wheat", where="note = 'x'")
    with pytest.raises(DataError, match=r"the metadata of 'b' has \d\d,\d\d\d bytes as JSON; Milvus takes 65,000"):
        index.add([Document("b", "wheat", (), {str(n): "x" * 1000 for n in range(40)})])
    assert "b" not in index
