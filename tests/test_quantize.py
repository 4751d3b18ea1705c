"""The report on ways to make vectors small, and the command that prints it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from hashret import Index
from hashret.cli.app import app
from hashret.errors import DataError, UsageError
from hashret.evaluation import quantize
from hashret.evaluation.compression import METHODS, Product, Rescored
from hashret.evaluation.quantize import report

SIZED = [name for name, method in METHODS.items() if method.sized]
QUICK = [name for name in METHODS if name != "opq"]


def vectors(n: int = 600, dim: int = 32, seed: int = 0) -> np.ndarray:
    """Vectors of length 1 with a few strong directions."""
    rng = np.random.default_rng(seed)
    spread = rng.standard_normal((n, dim)) * np.geomspace(3, 0.1, dim)
    x = spread @ np.linalg.qr(np.random.default_rng(1).standard_normal((dim, dim)))[0]
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), np.float32)


def rows_of(x: np.ndarray, queries: np.ndarray | None = None, **more: Any) -> dict[tuple[str, int], dict[str, Any]]:
    rows = list(report(x, queries, **more))
    return {(row["method"], row["bytes"]): row for row in rows}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two rows are the same but for their times."""
    return all(one[name] == other[name] for name in one if name not in ("queries_per_second", "fit_seconds"))


def test_a_row_has_the_bytes_and_the_share_of_neighbours_found() -> None:
    x, queries = vectors(), vectors(40, seed=5)
    rows = rows_of(x, queries, sizes=[4])
    wanted = {"float": 132, "int8": 36, "signs": 4, "additive": 8, "rescored": 44, "itq": 4, "pq": 4, "opq": 4}
    assert {method: size for method, size in rows if method != "rabitq"} == wanted
    true = np.argsort(-(queries @ x.T), axis=1)[:, :10]
    for name in ("signs", "additive"):
        method = METHODS[name](x, 4, 0)
        method.add(x)
        found = [method.search(query, 100)[:10] for query in queries]
        share = np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(found, true, strict=True)])
        assert rows[name, wanted[name]]["recall@10"] == pytest.approx(share, abs=1e-4)
    assert rows["float", 132]["recall@1"] == rows["float", 132]["recall@100"] == 1
    assert rows["int8", 36]["recall@10"] > 0.95
    assert all(row["queries_per_second"] > 0 and row["fit_seconds"] >= 0 for row in rows.values())


@pytest.mark.parametrize("name", SIZED)
def test_more_bytes_find_more(name: str) -> None:
    few, many = report(vectors(), methods=[name], sizes=[1, 4])
    assert few["bytes"] < many["bytes"]
    assert few["recall@100"] < many["recall@100"]


def test_the_same_seed_gives_the_same_report() -> None:
    one, again = (list(report(vectors(), methods=QUICK, sizes=[2])) for _ in range(2))
    assert all(map(same, one, again))
    other = list(report(vectors(), methods=QUICK, sizes=[2], seed=1))
    assert not all(map(same, one, other))


def test_rescoring_brings_the_nearest_to_the_front() -> None:
    rows = rows_of(vectors(), methods=["additive", "rescored"], sizes=[2])
    assert rows["rescored", 42]["recall@1"] > rows["additive", 6]["recall@1"] + 0.1
    assert rows["rescored", 42]["recall@100"] == rows["additive", 6]["recall@100"]
    (most,) = report(vectors(), methods=["rescored"], sizes=[2], oversample=300)
    assert most["recall@100"] > rows["rescored", 42]["recall@100"]
    x = vectors()
    few = Rescored(x, 2, 0, oversample=5)
    few.add(x)
    first, found = few.first.search(x[0], 100), few.search(x[0], 100)
    assert sorted(found[:5]) == sorted(first[:5])
    assert np.array_equal(found[5:], first[5:])


@pytest.mark.parametrize("dim", [3, 20, 33])
def test_any_number_of_dimensions(dim: int) -> None:
    rows = rows_of(vectors(400, dim), methods=QUICK, sizes=[1, min(dim, 7)])
    assert {method for method, _ in rows} >= {"float", "int8", "signs", "additive", "rescored", "pq"}
    assert all(0 < row["recall@100"] <= 1 for row in rows.values())


def test_parts_of_a_product_quantizer_hold_each_dimension_once() -> None:
    x = vectors(300, 20)
    product = Product(x, 7, 0)
    wide = product._arranged(x)
    assert wide.shape == (300, 21)
    assert np.array_equal(wide[:, product.columns], x)
    assert np.count_nonzero(wide.any(axis=0)) == 20


def test_queries_taken_from_the_vectors_are_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[quantize.Task] = []
    monkeypatch.setattr(quantize, "_rows", lambda plan, task: seen.append(task))
    monkeypatch.setattr(quantize, "FIT_ROWS", 100)
    x = vectors()
    for seed in (0, 0, 1):
        report(x, seed=seed)
    task, again, other = seen
    assert len(task.queries) == 60
    assert len(task.rows) == 540
    assert len(task.learned) == 100
    whole = {row.tobytes() for row in task.rows}
    assert not whole & {row.tobytes() for row in task.queries}
    assert {row.tobytes() for row in task.learned} <= whole
    assert np.array_equal(task.queries, again.queries)
    assert not np.array_equal(task.queries, other.queries)


def test_truth_does_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    task = quantize.Task(vectors(), vectors(), vectors(30, seed=2), 0)
    whole = task.edges()
    monkeypatch.setattr(quantize, "PAIRS", 1000)
    assert np.allclose(task.edges(), whole, atol=1e-6)
    assert np.allclose(whole, -np.sort(-(task.queries @ task.rows.T), axis=1)[:, [0, 9, 99]], atol=1e-6)


def test_equal_vectors_are_equally_right() -> None:
    x = np.repeat(vectors(60), 5, axis=0)
    for row in report(x, vectors(20, seed=3), methods=["float", "int8", "pq"], sizes=[32]):
        assert row["recall@10"] > 0.99


def test_what_cannot_be_measured_is_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hashret")
    rows = rows_of(vectors(200, 16), methods=["additive", "pq", "opq", "rabitq"], sizes=[8])
    assert {method for method, _ in rows} == {"additive"}
    told = [record.getMessage() for record in caplog.records if record.name == "hashret"]
    centroids = "of 8 bytes is left out: it learns 256 centroids, of at least as many vectors; there are 180"
    assert told == [
        f"pq {centroids}",
        f"opq {centroids}",
        "rabitq of 8 bytes is left out: it has one bit for each of 16 dimensions",
    ]


def test_default_sizes_are_at_most_a_byte_per_dimension() -> None:
    assert {size for _, size in rows_of(vectors(200, 20), methods=["additive"])} == {12, 20}
    assert {size for _, size in rows_of(vectors(200, 5), methods=["additive"])} == {9}


def test_lengths_do_not_count_but_mixed_ones_are_said(caplog: pytest.LogCaptureFixture) -> None:
    x = vectors()
    plain = list(report(x, methods=["float", "signs"]))
    assert caplog.records == []
    assert all(map(same, plain, report(7 * x, methods=["float", "signs"])))
    assert caplog.records == []
    mixed = x.copy()
    mixed[:10] *= 3
    assert all(map(same, plain, report(mixed, methods=["float", "signs"])))
    assert [record.getMessage() for record in caplog.records] == [
        "10 of the vectors do not have length 1, as the others have (3 to 3); the report compares by cosine, where "
        "lengths do not count"
    ]


def test_vectors_of_zeros_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    x = np.concatenate([vectors(), np.zeros((3, 32))])
    (row,) = report(x, vectors(20, seed=2), methods=["float"])
    assert row["recall@100"] == 1
    assert "3 of the vectors are zero" in caplog.text


@pytest.mark.parametrize(
    ("x", "queries", "words"),
    [
        (np.full((300, 4), np.nan), None, "the vectors hold a NaN"),
        (np.full((300, 4), 1e300), None, "a number too large for float32"),
        (np.ones((300, 4)), None, "all 270 vectors have the same direction"),
        (np.arange(1, 301)[:, None] * np.ones(4), None, "all 270 vectors have the same direction"),
        (np.zeros((300, 4)), None, "0 vectors and 0 queries are too few"),
        (vectors(111), None, "100 vectors and 11 queries are too few to measure recall@100"),
        (vectors(), np.zeros((3, 32)), "600 vectors and 0 queries are too few"),
        (vectors(), vectors(dim=8), "the queries have 8 dimensions, the vectors 32"),
        (vectors(), np.full((1, 32), np.inf), "the queries hold a NaN, an infinity"),
        (vectors()[0], None, r"the vectors must be numbers \[n, dim\], got float32 \(32,\)"),
        ([["a", "b"]], None, "must be numbers"),
    ],
)
def test_what_is_no_set_of_vectors(x: Any, queries: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        report(x, queries)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"methods": ["aditive"]}, "additive"),
        ({"sizes": [0]}, "a vector of 32 dimensions can have 1 to 32 bytes, got 0"),
        ({"sizes": [33]}, "1 to 32 bytes, got 33"),
        ({"oversample": 0}, "oversample must be at least 1, got 0"),
    ],
)
def test_arguments_out_of_range(arguments: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        report(vectors(), **arguments)


def hashret(*words: str) -> Result:
    return CliRunner().invoke(app, ["quantize", *words, "--encoder", "itq", "--bits", "16"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", vectors())
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_the_command_makes_an_index_and_prints_the_report() -> None:
    result = hashret("x.npy", "--method", "float", "--method", "additive", "--bytes", "4", "--vectors", "8")
    assert result.exit_code == 0
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["method"], row["bytes"]) for row in rows] == [("float", 132), ("additive", 8)]
    assert all(map(same, rows, report(vectors(), methods=["float", "additive"], sizes=[4])))
    with Index.open("indexes/x") as index:
        assert len(index) == 600
        assert index.info()["vectors"] == "8 bytes"
    assert hashret("x.npy").exit_code == 2
    assert hashret("x.npy", "--method", "signs", "--force").exit_code == 0


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("form", ["faiss", "npz", "jsonl", "parquet"])
def test_vectors_and_queries_come_from_any_source(form: str) -> None:
    queries = vectors(20, seed=2)
    if form == "faiss":
        index = faiss.IndexFlatIP(32)
        index.add(queries)
        faiss.write_index(index, "q")
    elif form == "npz":
        np.savez("q.npz", x=queries)
        Path("q.npz").rename("q")
    elif form == "jsonl":
        Path("q").write_text("".join(json.dumps({"vector": row.tolist()}) + "\n" for row in queries))
    else:
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.table({"vector": list(queries)}), "q")
    result = hashret("x.npy", "--queries", "q", "--method", "additive", "--bytes", "4")
    assert result.exit_code == 0
    (row,) = report(vectors(), queries, methods=["additive"], sizes=[4])
    assert same(json.loads(result.stdout), row)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["t.txt"], 1, "t.txt holds texts; give a file of vectors"),
        (["x.npy", "--queries", "t.txt"], 1, "t.txt holds texts; give a file of vectors"),
        (["x.npy", "--queries", "none.npy"], 2, "no such file or folder: none.npy"),
        (["nan.npy"], 1, "nan.npy, row 1 "),
        (["x.npy", "--queries", "narrow.npy"], 1, "the queries have 8 dimensions, the vectors 32"),
        (["x.npy", "--method", "nothing"], 2, "unknown method 'nothing'"),
        (["x.npy", "--bytes", "1000"], 2, "a vector of 32 dimensions can have 1 to 32 bytes"),
        (["-"], 2, "no name for the index of standard input"),
    ],
)
def test_a_wrong_call_makes_no_index(words: list[str], code: int, told: str) -> None:
    Path("t.txt").write_text("a text\n")
    np.save("nan.npy", np.full((300, 4), np.nan))
    np.save("narrow.npy", vectors(20, 8))
    result = CliRunner().invoke(app, ["quantize", *words], input='{"vector": [1, 2]}\n' * 200)
    assert result.exit_code == code
    assert told in result.stderr
    assert not Path("indexes").exists()
