"""PostgreSQL behind an index: failures of the server and the connection, other writers, other tables, HNSW."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

import hashret
from hashret.backends import base
from hashret.backends.postgres import session
from hashret.documents import Document
from hashret.errors import CorruptIndex, FormatTooNew, IndexLocked, StoreError, UsageError
from hashret.hasher import Hasher
from hashret.index import Index

from . import servers
from .samples import linux_only
from .servers import SECRET, error_of
from .test_index import corpus

pytestmark = [pytest.mark.slow, linux_only("the packages of the servers")]

NUMBERS = count()


@pytest.fixture(scope="module")
def socket() -> Iterator[str]:
    """The folder of the server's socket."""
    with servers.postgres() as folder:
        yield folder


@pytest.fixture
def gate(socket: str) -> Iterator[servers.Gate]:
    made = servers.postgres_gate(socket)
    yield made
    made.close()


@pytest.fixture
def address(gate: servers.Gate) -> str:
    """A new address behind the gate, with a password that must not be printed."""
    return f"postgresql://postgres:{SECRET}@127.0.0.1:{gate.port}/postgres/letters{next(NUMBERS)}?timeout=20"


@pytest.fixture(scope="module")
def hasher() -> Hasher:
    return Hasher.fit(corpus(120), bits=12, encoder="itq")


@pytest.fixture
def index(address: str, hasher: Hasher) -> Iterator[Index]:
    with Index.create(address, corpus(30), hasher=hasher) as index:
        yield index


@pytest.fixture
def sql(socket: str) -> Iterator[Any]:
    """A connection of somebody else."""
    import psycopg

    with psycopg.connect(f"host={socket} user=postgres dbname=postgres", autocommit=True) as connection:
        yield connection


def table(address: str) -> str:
    return address.rpartition("/")[2].partition("?")[0]


class TestFailures:
    def test_a_server_that_is_away_at_the_start(self, gate: servers.Gate, address: str) -> None:
        gate.mode = "closed"
        started = time.monotonic()
        assert "cannot be reached, after 4 attempts" in error_of(lambda: Index.open(address))
        assert "cannot be reached, after 4 attempts" in error_of(lambda: Index.create(address, ["a text"]))
        assert time.monotonic() - started < 20
        gate.close()
        assert "cannot be reached, after 4 attempts" in error_of(lambda: hashret.verify(address))

    def test_a_server_that_comes_back_is_waited_for(self, gate: servers.Gate, index: Index) -> None:
        gate.mode = "closed"
        gate.cut()
        threading.Timer(0.5, lambda: setattr(gate, "mode", "open")).start()
        assert len(index.search("wheat", k=5, by="codes")) == 5

    @pytest.mark.parametrize("left", [0, 60, 200, 500, 900, 1500])
    def test_a_search_that_is_cut_off_is_tried_again(self, gate: servers.Gate, index: Index, left: int) -> None:
        expected = [hit.id for hit in index.search("wheat and barn", k=30)]
        gate.left = left
        assert [hit.id for hit in index.search("wheat and barn", k=30)] == expected
        gate.left = -1

    @pytest.mark.parametrize("left", [700, 1000, 2000, 5000, 9000])
    def test_an_add_that_is_cut_off_changes_nothing(self, gate: servers.Gate, index: Index, left: int) -> None:
        more = [Document(f"more {number}", document.content) for number, document in enumerate(corpus(60))]
        gate.left = left
        assert "was not changed: the connection failed" in error_of(lambda: index.add(more))
        assert gate.cuts == 1
        assert len(index) == 30
        index.add(more)
        assert len(index.ids) == len(set(index.ids)) == 90
        assert index.verify() == []

    def test_a_commit_without_an_answer_counts_once(self, gate: servers.Gate, index: Index) -> None:
        gate.last = b"COMMIT"
        assert index.add([Document("more", "wheat")]) == 1
        assert gate.cuts == 1
        assert index.ids.count("more") == 1
        assert index.verify() == []

    def test_a_creation_that_is_cut_off_leaves_nothing(self, gate: servers.Gate, address: str, hasher: Hasher) -> None:
        gate.left = 20_000
        assert "was not changed" in error_of(lambda: Index.create(address, corpus(30), hasher=hasher))
        gate.left = -1
        assert "no index at" in error_of(lambda: Index.open(address), UsageError)

    def test_a_server_that_does_not_answer(
        self, gate: servers.Gate, address: str, hasher: Hasher, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(session, "GRACE", 0.2)
        monkeypatch.setattr(base, "TRIES", 2)
        address = address.replace("timeout=20", "timeout=0.5")
        with Index.create(address, corpus(3), hasher=hasher) as index:
            gate.mode = "stalled"
            started = time.monotonic()
            assert "cannot be reached, after 2 attempts" in error_of(lambda: index.search("wheat"))
            assert time.monotonic() - started < 10
            gate.mode = "open"
            assert len(index) == 3

    def test_a_request_that_takes_too_long(self, address: str, index: Index, sql: Any) -> None:
        with Index.open(address.replace("timeout=20", "timeout=0.5")) as brief, sql.transaction():
            sql.execute(f"lock table {table(address)} in access exclusive mode")
            assert "took longer than 0.5 s; raise the timeout" in error_of(lambda: brief.ids)
        assert len(index.ids) == 30

    def test_a_session_that_the_server_ends_is_opened_again(self, index: Index, sql: Any) -> None:
        assert len(index) == 30
        sql.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'hashret'")
        assert len(index) == 30


class TestOthers:
    def test_one_writer_at_a_time(self, address: str, index: Index, hasher: Hasher) -> None:
        with Index.open(address) as other:
            with index.engine.write():  # type: ignore[attr-defined]
                assert "is being changed by another process" in error_of(lambda: other.add(["a text"]), IndexLocked)
                assert "is being changed by another process" in error_of(lambda: other.delete("sea/2"), IndexLocked)
                recreate = lambda: Index.create(address, ["a text"], hasher=hasher, force=True)  # noqa: E731
                assert "is being changed by another process" in error_of(recreate, IndexLocked)
                assert len(other) == 30
            assert other.delete("sea/2") == 1

    def test_a_reader_sees_one_generation(self, address: str, index: Index) -> None:
        with Index.open(address) as other:
            documents = iter(other.documents())
            next(documents)
            index.delete("sea/2")
            assert "sea/2" not in other
            assert len(other.ids) == 29

    @pytest.mark.parametrize("name", ["", "_postings", "_hasher", "_hashret"])
    def test_tables_of_others_are_never_replaced(self, address: str, hasher: Hasher, sql: Any, name: str) -> None:
        sql.execute(f"create table {table(address)}{name} (one text, state text)")
        sql.execute(f"insert into {table(address)}{name} values ('years', 'of work')")
        for force in (False, True):
            create = lambda force=force: Index.create(address, corpus(3), hasher=hasher, force=force)  # noqa: E731
            assert "has another table" in error_of(create, UsageError)
        assert sql.execute(f"select count(*) from {table(address)}{name}").fetchone() == (1,)

    def test_codes_of_another_hasher_are_refused(self, address: str, index: Index, sql: Any) -> None:
        [text] = sql.execute(f"select state from {table(address)}_hashret").fetchone()
        state = json.loads(text)
        state["fingerprint"] = "0" * 32
        sql.execute(f"update {table(address)}_hashret set state = %s", (json.dumps(state),))
        assert "are of another hasher" in error_of(lambda: Index.open(address))
        assert "codes of another hasher now" in error_of(lambda: index.search("wheat"))
        assert "codes of another hasher now" in error_of(lambda: index.add(["a text"]))

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"format": 99}, FormatTooNew),
            ({"kind": "other"}, CorruptIndex),
            ({"bits": 10**9}, CorruptIndex),
            ({"bits": "12"}, CorruptIndex),
            ({"about": []}, CorruptIndex),
            ({"totals": {"documents": -1}}, CorruptIndex),
            ({"unknown": 1}, CorruptIndex),
        ],
    )
    def test_a_damaged_state_is_named(
        self, address: str, index: Index, sql: Any, change: dict[str, Any], error: type[StoreError]
    ) -> None:
        [text] = sql.execute(f"select state from {table(address)}_hashret").fetchone()
        state = json.dumps({**json.loads(text), **change})
        sql.execute(f"update {table(address)}_hashret set state = %s", (state,))
        error_of(lambda: Index.open(address), error)

    @pytest.mark.parametrize(
        ("statement", "problem"),
        [
            ("delete from {0} where id = 'sea/5'", "has 29 documents, not 30"),
            ("delete from {0}_postings where term = 'wheat'", "does not fit"),
            ("update {0}_postings set position = 999 + position where term = 'wheat'", "postings without a document"),
            ("update {0} set vector = null where id = 'sea/5'", "1 vectors of a wrong length"),
            ("update {0} set position = 1000 where id = 'sea/5'", "has position 1000"),
        ],
    )
    def test_verify_finds_what_somebody_changed(
        self, address: str, index: Index, sql: Any, statement: str, problem: str
    ) -> None:
        assert index.verify() == []
        sql.execute(statement.format(table(address)))
        assert any(problem in str(found) for found in index.verify())

    @pytest.mark.parametrize(
        "change", ["metadata = '[1]'", "vector = 'abc'", "content_bytes = '\\xff'", "labels = array[null]::text[]"]
    )
    def test_damaged_documents_are_named(self, address: str, index: Index, sql: Any, change: str) -> None:
        sql.execute(f"update {table(address)} set {change}")
        assert "is damaged" in error_of(lambda: [*index.like("sea/5"), *index], CorruptIndex)

    def test_a_file_of_the_hasher_that_is_lost(self, address: str, index: Index, sql: Any) -> None:
        sql.execute(f"delete from {table(address)}_hasher where name like 'weights%'")
        assert "has a missing file" in error_of(lambda: Index.open(address))


class TestHnsw:
    @pytest.fixture
    def tied(self, address: str, hasher: Hasher) -> Iterator[Index]:
        documents = [Document(str(number), "wheat barn harvest", (f"{number % 100}",)) for number in range(2000)]
        documents += [Document(f"other {number}", "ship and sail") for number in range(500)]
        with Index.create(f"{address}&index=hnsw", documents, hasher=hasher) as index:
            yield index

    def test_it_is_approximate_and_says_so(self, tied: Index, sql: Any, address: str) -> None:
        [definition] = sql.execute(
            "select indexdef from pg_indexes where tablename = %s and indexdef like '%%hnsw%%'", (table(address),)
        ).fetchone()
        assert "bit_hamming_ops" in definition
        hits = tied.search("wheat barn harvest", k=10, by="codes")
        assert not hits.exact
        assert hits.searcher == "postgresql hnsw"
        assert [hit.distance for hit in hits] == [0] * 10

    def test_a_scan_stays_exact_although_the_index_is_there(self, tied: Index, address: str) -> None:
        tied.search_by("scan")
        for labels, expected in (((), range(10)), (("7",), range(7, 1000, 100))):
            hits = tied.search("wheat barn harvest", k=10, by="codes", labels=labels)
            assert [hit.id for hit in hits] == [str(number) for number in expected]
            assert hits.exact
            assert hits.ties_at_k == (2000 if not labels else 20)
        with Index.open(address) as plain:
            assert [hit.id for hit in plain.search("wheat barn harvest", k=3, by="codes")] == ["0", "1", "2"]

    def test_a_filter_does_not_starve_it(self, tied: Index) -> None:
        hits = tied.search("wheat barn harvest", k=10, by="codes", labels=["7"])
        assert {hit.labels for hit in hits} <= {("7",)}
        assert len(hits) == 10

    def test_it_is_used_only_where_the_address_names_it(self, address: str, hasher: Hasher) -> None:
        with (
            Index.create(address, corpus(3), hasher=hasher) as index,
            pytest.raises(UsageError, match=r"allowed: auto, scan$"),
        ):
            index.search_by("hnsw")


def test_a_short_list_is_not_called_exact(address: str, hasher: Hasher, monkeypatch: pytest.MonkeyPatch) -> None:
    from hashret.backends import ranked, searching

    with Index.create(address, corpus(120), hasher=hasher) as index:
        every = index.search("wheat and barn", k=5)
        assert every.exact
        monkeypatch.setattr(searching, "SHORT", 20)
        monkeypatch.setattr(searching, "PER_HIT", 1)
        some = index.search("wheat and barn", k=5)
        assert not some.exact
        assert some[0].id == every[0].id
        assert index.search("wheat and barn", k=5, by="words").exact
        assert index.search("wheat and barn", k=5, by="codes").exact
    monkeypatch.undo()
    monkeypatch.setattr(searching, "SAMPLE", 50)
    with Index.open(address) as index:
        sampled = index.search("wheat and barn", k=5)
        assert not sampled.exact
        assert sampled[0].score == pytest.approx(every[0].score, rel=0.5)
    assert ranked.SAMPLE == 10_000
