"""The contract of an index, over all engines: a folder, PostgreSQL and Milvus give the same answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import hashret
from hashret.backends import RemoteIndex
from hashret.backends.engines import engine_of
from hashret.cli.app import app
from hashret.codes import hamming
from hashret.documents import Document
from hashret.errors import DataError, DuplicateIds, IndexExists, IndexNotFound, StoreError, UnknownId, UsageError
from hashret.hasher import Hasher
from hashret.index import Index

from .samples import linux_only
from .servers import milvus, postgres
from .test_filters import HOLDS, WRONG
from .test_filters import records as described_records
from .test_index import WORDS, corpus

pytestmark = [pytest.mark.slow, linux_only("the packages of the servers")]

Place = Callable[[], str]
QUESTIONS = ["the captain and the anchor", "wheat", "piano song violin sonata song", "harvest harvest barn", "nonsense"]
LABELS: list[tuple[str, ...]] = [(), ("farm",), ("farm", "sea")]


@pytest.fixture(scope="module", params=["folder", "postgresql", "milvus"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def place(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A function that returns a new path or address."""
    numbers = count()
    with ExitStack() as stack:
        if engine == "folder":
            folder = tmp_path_factory.mktemp("indexes")
            yield lambda: str(folder / f"index{next(numbers)}")
        elif engine == "postgresql":
            socket = stack.enter_context(postgres())
            yield lambda: f"postgresql://postgres@/postgres/index{next(numbers)}?host={socket}"
        else:
            port = stack.enter_context(milvus())
            yield lambda: f"milvus://127.0.0.1:{port}/index{next(numbers)}"


@pytest.fixture(scope="module")
def hasher() -> Hasher:
    """Codes of 12 bits, which is no multiple of 8, of few documents, so that many are equal."""
    return Hasher.fit(corpus(120), bits=12, encoder="itq")


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory, hasher: Hasher) -> Index:
    """The index in a folder that the others are compared with."""
    return Index.create(tmp_path_factory.mktemp("wanted") / "index", corpus(120), hasher=hasher)


@pytest.fixture(scope="module")
def same(place: Place, hasher: Hasher) -> Iterator[Index]:
    """The same index in the engine. Tests do not change it."""
    with Index.create(place(), corpus(120), hasher=hasher) as index:
        yield index


@pytest.fixture
def index(place: Place, hasher: Hasher) -> Iterator[Index]:
    """A small index that a test may change."""
    with Index.create(place(), corpus(30), hasher=hasher) as index:
        yield index


def words_of(index: Index) -> bool:
    return "words" in index.parts


class TestReading:
    def test_it_holds_the_documents_in_order(self, same: Index, wanted: Index) -> None:
        assert same.ids == wanted.ids
        assert same.labels == wanted.labels
        assert np.array_equal(same.codes, wanted.codes)
        assert list(same) == list(wanted)
        assert len(same) == 120
        assert same["sea/5"] == wanted["sea/5"]
        assert np.array_equal(same.codes_of(["sea/5", "farm/0"]), wanted.codes_of(["sea/5", "farm/0"]))
        assert "sea/5" in same
        assert "sea/6" not in same

    def test_an_unknown_id_is_an_error(self, same: Index) -> None:
        for read in (same.document, same.codes_of, same.thumbnail, same.like):
            with pytest.raises(UnknownId, match="no document has the id 'nobody'"):
                read("nobody")

    def test_it_tells_what_it_holds(self, same: Index, wanted: Index) -> None:
        here, there = same.info(), wanted.info()
        for name in (
            "documents",
            "bits",
            "encoder",
            "vectorizer",
            "labels",
            "fingerprint",
            "code_bytes",
            "example_ids",
        ):
            assert here[name] == there[name], name
        assert here["bytes"] is None or here["bytes"] > 1000
        assert here["path"] == same.name
        assert same.verify() == []
        assert repr(same).endswith("120 documents, 12 bits)")

    def test_every_method_of_an_index_has_an_answer(self, same: Index, wanted: Index) -> None:
        assert (same.language, same.fields, same.bits) == (wanted.language, wanted.fields, wanted.bits)
        assert same.suggestion() == wanted.suggestion()
        assert same.encode(["wheat", "ship"]).tolist() == wanted.encode(["wheat", "ship"]).tolist()
        by = ("codes", "vectors")
        assert np.allclose(same.scores("wheat", by=by).scores, wanted.scores("wheat", by=by).scores)
        if words_of(same):
            hit = same.search("wheat", k=1)[0]
            assert same.snippet(hit, "wheat") == wanted.snippet(wanted.search("wheat", k=1)[0], "wheat")

    def test_the_hasher_travels_with_the_documents(self, same: Index, hasher: Hasher) -> None:
        assert same.hasher.fingerprint == hasher.fingerprint
        assert np.array_equal(same.encode("the wheat in the barn"), hasher.encode("the wheat in the barn"))


class TestSearching:
    @pytest.mark.parametrize("k", [1, 10, 20, 119, 500])
    def test_codes_are_searched_exactly(self, same: Index, wanted: Index, k: int) -> None:
        for query, hits in zip(QUESTIONS, same.search(QUESTIONS, k=k, by="codes"), strict=True):
            if query == "nonsense":
                assert hits == []
                continue
            distances = hamming(same.encode(query), wanted.codes)[0]
            order = np.argsort(distances, kind="stable")[:k]
            assert [(hit.id, hit.distance) for hit in hits] == [(wanted.ids[i], distances[i]) for i in order]
            assert [hit.rank for hit in hits] == list(range(1, len(order) + 1))
            assert hits.exact
            assert hits.ties_at_k == (distances == distances[order[-1]]).sum()
            assert hits[0].document == wanted[hits[0].id]

    @pytest.mark.parametrize("labels", LABELS, ids=str)
    @pytest.mark.parametrize("k", [1, 7, 60])
    def test_answers_are_those_of_a_folder(self, same: Index, wanted: Index, k: int, labels: tuple[str, ...]) -> None:
        for by in (None, "words", "codes", "vectors", ("codes", "vectors"), ("words", "vectors")):
            if not words_of(same) and (by is None or "words" in by):
                continue
            for here, there in zip(
                same.search(QUESTIONS, k=k, labels=labels, by=by),
                wanted.search(QUESTIONS, k=k, labels=labels, by=by),
                strict=True,
            ):
                assert [(hit.id, hit.distance) for hit in here] == [(hit.id, hit.distance) for hit in there]
                assert (here.exact, here.ties_at_k) == (True, there.ties_at_k)
                for one, other in zip(here, there, strict=True):
                    assert one.score == (None if other.score is None else pytest.approx(other.score, abs=1e-9))
                    assert one.parts == other.parts  # BM25 to the last bit

    def test_within_gives_all_in_the_ball(self, same: Index, wanted: Index) -> None:
        for radius in (0, 2, 12, 4000):
            for here, there in zip(same.within(QUESTIONS, radius), wanted.within(QUESTIONS, radius), strict=True):
                pairs = [(hit.distance, hit.id) for hit in there]
                if words_of(same):
                    assert [(hit.distance, hit.id) for hit in here] == pairs
                assert sorted((hit.distance, hit.id) for hit in here) == sorted(pairs)
                assert here.exact
        codes = wanted.codes[:3]
        for here, there in zip(same.within_codes(codes, 3, "sea"), wanted.within_codes(codes, 3, "sea"), strict=True):
            assert [(hit.distance, hit.id) for hit in here] == [(hit.distance, hit.id) for hit in there]

    def test_like_leaves_the_document_itself_out(self, same: Index, wanted: Index) -> None:
        for by in (None, "codes"):
            for k in (1, 20, 119, 300):
                here, there = same.like("sea/5", k=k, by=by), wanted.like("sea/5", k=k, by=by)
                assert [hit.id for hit in here] == [hit.id for hit in there]
                assert here.ties_at_k == there.ties_at_k
        assert [hit.id for hit in same.like("sea/5", radius=2)] == [hit.id for hit in wanted.like("sea/5", radius=2)]
        assert len(same.like(["sea/5", "farm/0"], k=3)) == 2

    def test_a_smaller_k_gives_the_beginning_of_a_larger_one(self, same: Index) -> None:
        for by in ("codes", "vectors"):
            many = [hit.id for hit in same.search("barn field", k=120, by=by)]
            for k in (1, 5, 40):
                assert [hit.id for hit in same.search("barn field", k=k, by=by)] == many[:k]

    def test_words_are_searched_or_refused(self, same: Index) -> None:
        if words_of(same):
            assert {hit.labels[0] for hit in same.search("wheat", by="words")} == {"farm"}
        else:
            with pytest.raises(UsageError, match="does not score words; search by codes or vectors"):
                same.search("wheat", by="words")

    def test_a_label_that_no_document_has_is_an_error(self, same: Index) -> None:
        for label in ("farms", 'a"] or 1 == 1', "\0"):
            with pytest.raises(DataError, match="no document has the label"):
                same.search("captain", labels=[label])

    def test_codes_of_another_length_are_refused(self, same: Index) -> None:
        with pytest.raises(DataError, match="of 12 bits must"):
            same.search_codes(np.zeros((1, 3), np.uint8))
        with pytest.raises(DataError, match="zeros after bit 11"):
            same.search_codes(np.full((1, 2), 255, np.uint8))

    def test_numbers_out_of_range_are_refused(self, same: Index) -> None:
        k: Any
        for k in (0, -1, 1.5, None):
            with pytest.raises(UsageError):
                same.search("captain", k=k)
            with pytest.raises(UsageError):
                same.search_codes(same.codes[:1], k=k)
        with pytest.raises(UsageError):
            same.within("captain", -1)


@pytest.fixture(scope="module")
def tied(place: Place, hasher: Hasher) -> Iterator[Index]:
    """100 documents with one code, and others near it."""
    documents = [Document(f"{number}", "wheat barn harvest") for number in range(100)]
    others = [Document(f"other {number}", "ship and sail") for number in range(20)]
    with Index.create(place(), [*others[:10], *documents, *others[10:]], hasher=hasher) as index:
        yield index


class TestEqualCodes:
    @pytest.mark.parametrize("k", [1, 10, 20, 100, 105])
    def test_ties_come_in_order_of_insertion(self, tied: Index, k: int) -> None:
        hits = tied.search("wheat barn harvest", k=k, by="codes")
        expected = [f"{number}" for number in range(100)] + [f"other {number}" for number in range(20)]
        assert [hit.id for hit in hits] == expected[:k]
        assert hits.ties_at_k == (100 if k <= 100 else 20)
        assert hits.exact

    def test_a_replaced_document_moves_to_the_end(self, tied: Index) -> None:
        tied.add([Document("0", "wheat barn harvest")], replace=True)
        assert [hit.id for hit in tied.search("wheat barn harvest", k=100, by="codes")][-2:] == ["99", "0"]
        assert tied.verify() == []


class TestChanging:
    def test_added_and_deleted_documents_keep_the_order(self, index: Index) -> None:
        before = index.ids
        assert index.delete(["sea/5", "farm/0"]) == 2
        assert index.add([Document("new", "orchestra and flute"), Document("sea/5", "again")]) == 2
        expected = [id for id in before if id not in ("sea/5", "farm/0")] + ["new", "sea/5"]
        assert index.ids == expected
        assert len(index) == 30
        assert index["sea/5"].content == "again"
        assert np.array_equal(index.codes, index.hasher.encode(index.documents()))
        assert index.search("orchestra and flute", k=1, by="codes")[0].distance == 0
        assert index.verify() == []

    def test_a_deleted_document_is_not_found(self, index: Index) -> None:
        index.delete("sea/5")
        assert "sea/5" not in index
        assert "sea/5" not in [hit.id for hit in index.search("captain anchor", k=100, by="codes")]
        with pytest.raises(UnknownId):
            index["sea/5"]

    def test_an_id_that_is_there_is_refused_replaced_or_skipped(self, index: Index) -> None:
        twice = [Document("other", "barn"), Document("sea/5", "harbour")]
        with pytest.raises(DuplicateIds, match="already in the index: 'sea/5'"):
            index.add(twice)
        assert "other" not in index.ids
        assert index.add(twice, skip=True) == 1
        assert index["sea/5"].content != "harbour"
        assert index.add(twice, replace=True) == 2
        assert index["sea/5"].content == "harbour"
        assert index.ids[-2:] == ["other", "sea/5"]
        assert len(index.ids) == len(set(index.ids)) == len(index) == 31
        with pytest.raises(DuplicateIds, match="duplicate ids in the source: 'x'"):
            index.add([Document("x", "a"), Document("x", "b")])
        with pytest.raises(UsageError, match="cannot be combined"):
            index.add(twice, replace=True, skip=True)
        assert index.verify() == []

    def test_deleting_an_unknown_id_deletes_nothing(self, index: Index) -> None:
        with pytest.raises(UnknownId, match="no document has the id 'nobody'"):
            index.delete(["sea/5", "nobody"])
        assert "sea/5" in index

    @pytest.mark.parametrize("id", ['a"] or id not in ["', "'; drop table x; --", "%s %(ids)s {ids}", "\\", "*", "é\n"])
    def test_an_id_is_never_part_of_a_statement(self, index: Index, id: str) -> None:
        index.add([Document(id, "wheat", (id,))])
        assert index[id].labels == (id,)
        assert [hit.id for hit in index.search("wheat", labels=[id], by="codes")] == [id]
        assert index.delete(id) == 1
        assert len(index) == 30

    def test_texts_of_all_kinds_are_kept(self, index: Index) -> None:
        documents = [
            Document("zero", "a\0b", (), {"note": "c\0d", "nested": {"list": [1, 2.5, None, True]}}),
            Document("chinese", "\u6587" * 30_000),
            Document("half", "lone \ud800 surrogate", (), {"half": "\udfff"}),
            Document("empty", ""),
            Document("face", "\U0001f600 'quoted' \"twice\" \\ back\r\n\ttab", ('la"bel', "l'abel"), {"": ""}),
            Document("number", "big", (), {"big": 2**70, "small": 1e-300}),
        ]
        index.add(documents)
        for document in documents:
            assert index[document.id] == document
        assert list(index)[30:] == documents
        assert index.verify() == []

    def test_what_cannot_be_stored_is_named_and_nothing_is_written(self, index: Index, engine: str) -> None:
        bad = {"folder": [], "postgresql": ["a\0b", "x" * 2601, "\ud800"], "milvus": ["x" * 66_000]}[engine]
        for id in bad:
            fine = [Document(f"fine {number}", "wheat") for number in range(1500)]
            with pytest.raises(DataError, match=r"^the id"):
                index.add([*fine, Document(id, "wheat")])
            assert len(index) == 30
            assert index.ids[-1] == corpus(30)[-1].id

    def test_another_handle_sees_a_change(self, index: Index, engine: str) -> None:
        if engine == "folder":
            pytest.skip("a folder's handle keeps its generation")
        address = index.engine.address  # type: ignore[attr-defined]
        with RemoteIndex(engine_of(address), index._state, index.hasher, index._parts) as other:  # type: ignore[attr-defined]
            assert len(other) == 30
            assert other.search("violin", k=1, by="vectors")
            index.add([Document("new", "violin")])
            assert len(other) == 31
            assert other.search("violin", k=1, by="vectors")[0].id == "new"
            other.delete("new")
            assert "new" not in index

    def test_a_closed_index_says_so(self, place: Place, hasher: Hasher) -> None:
        index = Index.create(place(), corpus(3), hasher=hasher)
        index.close()
        index.close()
        assert "closed" in repr(index)
        for use in (lambda: index.search("wheat"), lambda: index.ids, lambda: index.add(["x"]), lambda: index["sea/2"]):
            with pytest.raises(StoreError, match=r"is closed; open it again"):
                use()


class TestCreating:
    def test_an_index_is_never_overwritten_unasked(self, place: Place, hasher: Hasher) -> None:
        path = place()
        Index.create(path, corpus(10), hasher=hasher).close()
        with pytest.raises(IndexExists, match="already exists"):
            Index.create(path, corpus(5), hasher=hasher)
        with Index.open(path) as index:
            assert len(index) == 10
        with pytest.raises(DataError):
            Index.create(path, [], hasher=hasher, force=True)
        with Index.open(path) as index:
            assert len(index) == 10
        with Index.create(path, corpus(5), bits=20, encoder="lsh", force=True) as index:
            assert (len(index), index.bits) == (5, 20)
            assert index.verify() == []
        with Index.open(path) as index:
            assert index.ids == [document.id for document in corpus(5)]

    def test_a_handle_of_a_replaced_index_is_refused(self, engine: str, place: Place, hasher: Hasher) -> None:
        path = place()
        with Index.create(path, corpus(10), hasher=hasher) as old:
            Index.create(path, corpus(5), bits=20, encoder="lsh", force=True).close()
            if engine != "folder":  # an open folder keeps its generation
                with pytest.raises(StoreError, match="was replaced by another index"):
                    old.search("wheat")
            with pytest.raises(StoreError, match="was replaced by another index"):
                old.add(["a text"])
            with pytest.raises(StoreError, match="was replaced by another index"):
                old.delete("sea/2")

    def test_a_failing_source_leaves_nothing(self, place: Place, hasher: Hasher) -> None:
        path = place()
        with pytest.raises(DataError, match="duplicate ids"):
            Index.create(path, [*corpus(10), *corpus(1)], hasher=hasher)
        with pytest.raises(IndexNotFound):
            Index.open(path)

    def test_an_index_that_is_not_there(self, place: Place) -> None:
        with pytest.raises(IndexNotFound, match="no index at"):
            Index.open(place())
        with pytest.raises(IndexNotFound, match="no index at"):
            hashret.verify(place())

    @pytest.mark.parametrize("vectors", [None, "int8", "float", 8])
    def test_vectors_of_all_kinds_are_kept(self, place: Place, hasher: Hasher, tmp_path: Path, vectors: Any) -> None:
        with (
            Index.create(place(), corpus(60), hasher=hasher, vectors=vectors) as here,
            Index.create(tmp_path / "index", corpus(60), hasher=hasher, vectors=vectors) as there,
        ):
            assert here.info()["vectors"] == there.info()["vectors"]
            by = "codes" if vectors is None else "vectors"
            for one, other in zip(here.search("wheat", k=60, by=by), there.search("wheat", k=60, by=by), strict=True):
                assert (one.id, one.parts) == (other.id, other.parts)

    def test_images_keep_their_thumbnails(self, place: Place, images: list[Document]) -> None:
        with Index.create(place(), images[:60], bits=16, encoder="itq") as index:
            assert index.thumbnail(index.ids[3])[:4] in (b"\x89PNG", b"\xff\xd8\xff\xe0")
            assert len(index.like(index.ids[0], k=3)) == 3
            assert index.search(images[5], k=1, by="codes")[0].distance == 0
            assert index.verify() == []

    def test_vectors_as_documents(self, place: Place, vectors: list[Document]) -> None:
        with Index.create(place(), vectors[:60], bits=16, encoder="itq") as index:
            assert index.search(vectors[7].content, k=1)[0].id == vectors[7].id


def run(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    result = CliRunner().invoke(app, [*arguments, "--format", "jsonl"])
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()], result.stderr


def nearly(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "score": round(row["score"], 9)} if "score" in row else row for row in rows]


def test_the_commands_take_an_address(engine: str, place: Place, tmp_path: Path) -> None:
    path = place()
    lines = [{"id": d.id, "text": d.content, "label": d.labels[0]} for d in corpus(60)]
    for name, some in (("old.jsonl", lines[:50]), ("new.jsonl", lines[50:])):
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in some))
    built = ["--bits", "12", "--encoder", "itq", "-i"]
    assert run("index", str(tmp_path / "old.jsonl"), *built, path)[0] == 0
    assert run("index", str(tmp_path / "old.jsonl"), *built, str(tmp_path / "folder"))[0] == 0
    assert run("index", str(tmp_path / "old.jsonl"), *built, path)[0] == 2
    for command in (
        ["add", str(tmp_path / "new.jsonl")],
        ["delete", "sea/2"],
        ["show", "sea/5"],
        ["query", "captain and harbour", "--by", "codes"],
        ["query", "--like", "sea/5", "--label", "sea"],
        ["query", "captain and harbour", "--radius", "3"],
        ["eval", str(tmp_path / "new.jsonl"), "-m", "P@10", "-m", "AP", "--exclude-self"],
        ["verify"],
    ):
        here, there = run(*command, "-i", path), run(*command, "-i", str(tmp_path / "folder"))
        assert here[0] == there[0] == 0, (command, here, there)
        if "--radius" in command and engine == "milvus":  # documents at one distance are sorted without words
            here, there = ((0, sorted(({**row, "rank": 0} for row in own[1]), key=str), "") for own in (here, there))
        assert nearly(here[1]) == nearly(there[1]), command
    [facts] = run("info", "-i", path)[1]
    assert facts["documents"] == 59
    assert run("show", "sea/2", "-i", path)[0] == 1


def test_evaluation_by_words_is_that_of_a_folder(same: Index, wanted: Index) -> None:
    from hashret.evaluation.queries import RankedQueries, evaluate_index

    if not words_of(same):
        pytest.skip("this engine does not score words")
    rng = np.random.default_rng(1)
    asked = [Document(f"q{n}", " ".join(rng.choice(WORDS[topic], 3)), (topic,)) for n, topic in enumerate(WORDS)]
    for by in ("words", None):
        rows = [evaluate_index(own, RankedQueries(own, asked, by=by), ["P@10", "AP"]) for own in (same, wanted)]
        assert rows[0] == rows[1]


def test_duplicates_are_those_of_a_folder(same: Index, wanted: Index) -> None:
    for threshold in ("near", 0.1):
        assert same.duplicates(threshold=threshold).rows() == wanted.duplicates(threshold=threshold).rows()
    new = [Document("new", next(iter(wanted)).content)]
    found = same.duplicates(new)
    assert [(group.keep, group.drop) for group in found] == [(wanted.ids[0], ["new"])]


def test_what_an_engine_cannot_do_is_refused_with_a_sentence(engine: str, same: Index) -> None:
    if engine == "folder":
        pytest.skip("a folder can")
    for use in (same.compact, same.refit, lambda: same.add([], prune=True), lambda: same.search_by(threads=2)):
        with pytest.raises(UsageError, match="for an index in a folder"):
            use()
    with pytest.raises(UsageError, match="allowed: auto, scan"):
        same.search_by("multi_index")
    with pytest.raises(UsageError, match="repair is for an index in a folder"):
        hashret.repair("postgresql://host/db/letters")


@pytest.fixture(scope="module")
def described(place: Place) -> Iterator[Index]:
    """An index of documents with all kinds of metadata."""
    with Index.create(place(), described_records(), bits=16, encoder="lsh", vectorizer="tfidf") as index:
        yield index


NOT_IN_MILVUS = (
    "author like '%u%'",
    "author not like '%u%'",
    "author not ilike 'HUX%'",
    "author ilike 'HUX___'",
    "tags like 'X'",
    "label > 'a'",
)


class TestFilters:
    @pytest.mark.parametrize(("where", "holds"), HOLDS, ids=[where for where, _ in HOLDS])
    def test_a_filter_finds_what_holds(
        self, where: str, holds: Callable[[dict[str, Any]], bool], described: Index, engine: str
    ) -> None:
        if engine == "milvus" and where in NOT_IN_MILVUS:
            with pytest.raises(UsageError, match=r"milvus (supports like for a prefix|compares with = and in) only"):
                described.search("wheat", where=where)
            return
        wanted = {row["id"] for row in described_records() if holds(row)}
        assert {hit.id for hit in described.search("wheat", k=99, where=where)} == wanted
        assert {hit.id for hit in described.search("wheat", k=99, by="codes", where=where)} == wanted
        if words_of(described):
            assert {hit.id for hit in described.search("wheat harvest", k=99, by="words", where=where)} == wanted
        assert {hit.id for hit in described.within("wheat", radius=16, where=where)} == wanted
        assert {hit.id for hit in described.like("d3", k=99, where=where)} == wanted - {"d3"}

    @pytest.mark.parametrize(("where", "message"), WRONG, ids=[where[:30] for where, _ in WRONG])
    def test_anything_else_is_refused(self, where: str, message: str, described: Index, engine: str) -> None:
        with pytest.raises(UsageError) as error:
            described.search("wheat", where=where)
        assert message in str(error.value)

    def test_texts_are_values_and_never_sql(self, described: Index, engine: str) -> None:
        for text in ("a'; drop table x --", "%(own)s", "100%", "{0}", "a\0b", '"] or true or ["', "\\", "?"):
            quoted = text.replace("'", "''")
            assert described.search("wheat", where=f"author = '{quoted}'") == []
            assert described.search("wheat", where=f"id = '{quoted}' or tags = '{quoted}'") == []
        assert len(described) == len(described_records())

    def test_what_only_a_folder_has_is_refused(self, described: Index, engine: str, tmp_path: Path) -> None:
        if engine == "folder":
            return
        calls: list[Callable[[], object]] = [lambda: described.sql("SELECT 1"), described.to_arrow]
        calls.append(lambda: described.export(tmp_path / "a.arrow"))
        for call in calls:
            with pytest.raises(UsageError, match="for an index in a folder; pull this index into one"):
                call()
        with pytest.raises(UsageError, match="rescore is for an index in a folder"):
            Index.create(described.name, ["a b", "c d"], bits=8, encoder="lsh", rescore="int8", force=True)
        with pytest.raises(UsageError, match="oversample needs the original features"):
            described.search("wheat", oversample=10)
