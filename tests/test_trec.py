"""TREC files: what is written is read again, and a bad line is named."""

from __future__ import annotations

import gzip
from pathlib import Path

import ir_measures
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashret.errors import DataError, UsageError
from hashret.evaluation.trec import read_qrels, read_run, write_run

ODD = [
    "a b",
    "100%",
    "%20",
    "a%20b",
    "tab\there",
    "line\nend",
    "é ü",
    "\u00a0",
    "a\u2003b",
    "\x1c",
    "\udcff.txt",
    "\x85",
]


@pytest.mark.parametrize("name", ["run.txt", "run.txt.gz"])
def test_a_run_comes_back_with_odd_ids(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_run(path, [(query, ODD, range(len(ODD))) for query in ODD])
    assert read_run(path) == {query: {each: -float(rank) for rank, each in enumerate(ODD)} for query in ODD}


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, unique=True))
def test_any_ids_come_back(tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
    path = tmp_path_factory.mktemp("run") / "run"
    write_run(path, [("q", ids, [0] * len(ids))])
    assert list(read_run(path)["q"]) == ids


def test_a_run_has_six_columns_that_others_read(tmp_path: Path) -> None:
    path = tmp_path / "run"
    write_run(path, [("q 1", ["b", "a"], [0, 3])], name="mine")
    assert path.read_text() == "q%201 Q0 b 1 0 mine\nq%201 Q0 a 2 -3 mine\n"
    assert [doc.score for doc in ir_measures.read_trec_run(str(path))] == [0, -3]


def test_qrels_of_four_columns(tmp_path: Path) -> None:
    path = tmp_path / "qrels"
    path.write_text("\ufeffq1 0 a 2\n\nq1\t0\tb\t-1\r\nq2 0 a 0\nq2 0 a 0\n", encoding="utf-8")
    assert read_qrels(path) == {"q1": {"a": 2, "b": -1}, "q2": {"a": 0}}


def test_qrels_of_beir_packed(tmp_path: Path) -> None:
    path = tmp_path / "test.tsv"
    path.write_bytes(gzip.compress(b"query-id\tcorpus-id\tscore\nq 1\ta b\t1\nq 1\tc\t2\n"))
    assert read_qrels(str(path)) == {"q 1": {"a b": 1, "c": 2}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q 0 a 1\nq 0 b\n", ":2: expected 4 columns"),
        ("q\ta\t1\n", ":1: expected 4 columns.*BEIR's header"),
        ("q 0 a high\n", ":1: expected a whole number as grade, got 'high'"),
        ("q 0 a 1.5\n", ":1: expected a whole number"),
        ("q 0 a 1\n\nq 0 a 2\n", ":3: expected one grade"),
        ("query-id\tcorpus-id\tscore\nq a 1\n", ":2: expected query-id, corpus-id and score with tabs"),
        ("", "holds no judgements"),
    ],
)
def test_bad_qrels_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "qrels"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_qrels(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q Q0 a 1 3 x\nq Q0 b c 1 3 x\n", "run:2: expected 6 columns"),
        ("q Q0 a 1 near x\n", ":1: expected a number as score, got 'near'"),
        ("q Q0 a 1 nan x\n", ":1: expected a finite number"),
        ("q Q0 a 1 3 x\nq Q0 a 2 2 x\n", ":2: expected document 'a' once"),
        (" \n", "holds no ranking"),
    ],
)
def test_bad_runs_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_run(path)


def test_a_damaged_gzip_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "run.gz"
    path.write_bytes(gzip.compress(b"q Q0 a 1 3 x\n")[:-9])
    with pytest.raises(DataError, match="damaged gzip"):
        read_run(path)


def test_a_missing_file_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_run(tmp_path / "nowhere")


def test_an_empty_id_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="empty id"):
        write_run(tmp_path / "run", [("q", [""], [1])])
