"""TREC files: round trips, and errors that name the line."""

from __future__ import annotations

import gzip
import os
import re
import threading
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashret.codes import hamming
from hashret.errors import DataError, UsageError
from hashret.evaluation.evaluate import evaluate_qrels, evaluate_run
from hashret.evaluation.trec import ids_of, read_qrels, read_run, write_run

from .samples import posix_only

ODD = [
    *("a b", "100%", "%20", "a%20b%20c", "a b%2520", "%41 b", "http://x/a%2Fb", "tab\there", "line\nend", "\r", "é ü"),
    *("\u00a0", "a\u2003b", "\x1c", "\udcff.txt", "\x85", "%E2%80%83"),
]


@pytest.mark.parametrize("name", ["run.txt", "run.txt.gz"])
def test_a_run_comes_back_with_odd_ids(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_run(path, [(query, ODD, range(len(ODD))) for query in ODD])
    wanted = {query: {each: -float(rank) for rank, each in enumerate(ODD)} for query in ODD}
    assert ids_of(read_run(path), ODD, ODD) == wanted


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, unique=True))
def test_any_ids_come_back(tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
    path = tmp_path_factory.mktemp("run") / "run"
    write_run(path, [("q", ids, [0] * len(ids))])
    assert list(ids_of(read_run(path), ["q"], ids)["q"]) == ids


def test_ids_of_another_program_are_literal(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("q%201 Q0 http://x/a%20b 1 3.0 other\nq%201 Q0 a%2Fb 2 2.0 other\n")
    assert read_run(tmp_path / "run") == {"q%201": {"http://x/a%20b": 3, "a%2Fb": 2}}
    assert ids_of(read_run(tmp_path / "run"), ["q%201"], ["http://x/a%20b", "http://x/a b", "a/b"]) == {
        "q%201": {"http://x/a%20b": 3, "a%2Fb": 2}
    }
    assert [*ids_of(read_run(tmp_path / "run"), ["q 1"], ["http://x/a b"])["q 1"]] == ["http://x/a b", "a%2Fb"]


@pytest.mark.parametrize(("one", "other"), [("a b", "a%20b"), ("a%20 b", "a %20b"), ("\u00a0", "%C2%A0")])
def test_ids_that_would_be_written_alike_are_refused(tmp_path: Path, one: str, other: str) -> None:
    both: list[dict[str, Any]] = [{"documents": [one, "c", other]}, {"queries": [other, one]}]
    for ids in both:
        with pytest.raises(DataError, match=r"both are written .*rename one") as refused:
            write_run(tmp_path / "run", [("q", ["c"], [0])], **ids)
        assert repr(one) in str(refused.value)
        assert repr(other) in str(refused.value)
        assert not (tmp_path / "run").exists()
    with pytest.raises(DataError, match="both are written"):
        write_run(tmp_path / "run", [("q", [one, other], [0, 1])])


IDS = ["plain", "a b", "a%20c", "100%", "x\u2003y", "tab\there"]


def test_runs_and_judgements_fit_each_other_and_ir_measures(tmp_path: Path) -> None:
    codes = np.random.default_rng(0).integers(0, 256, (len(IDS), 4), dtype=np.uint8)
    distances = hamming(codes, codes)
    order = np.argsort(distances, axis=1, kind="stable")
    rankings = [(q, [IDS[d] for d in order[i]], distances[i, order[i]].tolist()) for i, q in enumerate(IDS)]
    write_run(tmp_path / "run", rankings, queries=IDS, documents=IDS)
    encoded = [re.sub(r"\s", lambda match: quote(match[0]), id) for id in IDS]
    judged = [(i, j, i * j % 3) for i, j in product(range(len(IDS)), repeat=2)]
    (tmp_path / "qrels").write_text("".join(f"{encoded[q]} 0 {encoded[d]} {grade}\n" for q, d, grade in judged))
    run, qrels, names = read_run(tmp_path / "run"), read_qrels(tmp_path / "qrels"), ["nDCG@3", "P@2", "R@4"]
    rows = evaluate_run(run, qrels, names)
    theirs = ir_measures.calc_aggregate(
        [ir_measures.parse_measure(name) for name in names],
        list(ir_measures.read_trec_qrels(str(tmp_path / "qrels"))),
        list(ir_measures.read_trec_run(str(tmp_path / "run"))),
    )
    for row in rows:
        assert row["worst"] - 1e-9 <= theirs[ir_measures.parse_measure(row["measure"])] <= row["best"] + 1e-9
        assert row["worst"] > 0
    plain = {q: {IDS[d]: grade for i, d, grade in judged if IDS[i] == q} for q in IDS}
    assert evaluate_run(run, plain, names) == rows
    by_codes = evaluate_qrels(codes, IDS, codes, IDS, qrels, names)
    assert [row["value"] for row in by_codes] == pytest.approx([row["value"] for row in rows])


@posix_only("named pipes")
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_judgements_and_runs_come_through_pipes(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def send(data: bytes) -> None:
        with fifo.open("wb", buffering=0) as file:
            for byte in data:
                file.write(bytes([byte]))

    for read, text, wanted in (
        (read_qrels, b"q 0 a 1\n", {"q": {"a": 1}}),
        (read_run, b"q Q0 a 1 2 x\n", {"q": {"a": 2}}),
    ):
        writer = threading.Thread(target=send, args=(pack(text),))
        writer.start()
        assert read(fifo) == wanted
        writer.join()


@pytest.mark.parametrize("read", [read_qrels, read_run])
def test_paths_that_cannot_be_read_are_refused_in_their_own_words(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(UsageError, match="no such file"):
        read(tmp_path / "gone")
    with pytest.raises(UsageError, match="cannot read"):
        read(tmp_path / "null\0character")
    (tmp_path / "file").write_bytes(b"x" * (1 << 20))
    with pytest.raises(UsageError, match=r"cannot read .*Not a directory"):
        read(tmp_path / "file" / "below")
    with pytest.raises(DataError, match=":1: expected a line of less than"):
        read(tmp_path / "file")


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
        ("q\ta\t1\n", ":1: expected 4 columns.*BEIR header"),
        ("q 0 a high\n", ":1: expected a whole number as grade, got 'high'"),
        ("q 0 a 1.5\n", ":1: expected a whole number"),
        ("q 0 a 1\n\nq 0 a 2\n", ":3: expected one grade"),
        ("query-id\tcorpus-id\tscore\nq a 1\n", ":2: expected query-id, corpus-id and score separated by tabs"),
        ("", "has no judgements"),
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
        (" \n", "has no rankings"),
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


def test_an_empty_id_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="empty id"):
        write_run(tmp_path / "run", [("q", [""], [1])])


def test_an_id_that_is_no_text_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not valid Unicode"):
        write_run(tmp_path / "run", [("q", ["\ud800"], [1])])
