"""A query without known words has no results, in all ways of searching."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hashret import Document, Index
from hashret.cli.app import app
from hashret.evaluation.compare import compare

WORDS = ["wheat", "ship", "court", "judge", "sail", "storm", "grain", "reef"]
TEXTS = [Document(f"d{i}", " ".join(WORDS[(i * j) % 8] for j in (1, 3, 5)), ("ab"[i % 2],)) for i in range(60)]
UNKNOWN, KNOWN = Document("q", "nothing known", ("a",)), Document("r", "wheat ship", ("a",))


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("unknown") / "index"
    Index.create(path, TEXTS, bits=16, encoder="itq").close()
    return path


def run(*words: Any) -> Result:
    return CliRunner().invoke(app, [*map(str, words), "--format", "jsonl"])


def measured(result: Result) -> dict[str, dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return {row["measure"]: row for row in map(json.loads, result.stdout.splitlines())}


def queries(path: Path, *documents: Document) -> Path:
    lines = ({"id": d.id, "text": d.content, "label": list(d.labels)} for d in documents)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("by", [(), ("--by", "words"), ("--by", "codes,vectors"), ("--by", "words,codes,vectors")])
def test_eval_counts_it_with_nothing_found_and_a_run_has_no_line_of_it(
    index: Path, tmp_path: Path, by: tuple[str, ...]
) -> None:
    both = queries(tmp_path / "both.jsonl", UNKNOWN, KNOWN)
    names = [word for name in ("AP", "P@5", "P(r=16)") for word in ("-m", name)]
    result = run("eval", both, "-i", index, *names, "--run", tmp_path / "run", *by)
    rows, alone = (
        measured(result),
        measured(run("eval", queries(tmp_path / "one.jsonl", KNOWN), "-i", index, *names, *by)),
    )
    assert result.stderr.count("1 of 2 queries have no known word") == 1
    for name, row in rows.items():
        assert row["queries"] == 2
        assert row["value"] == pytest.approx(alone[name]["value"] / 2)
    assert rows["P(r=16)"]["empty"] == 1
    assert {line.split()[0] for line in (tmp_path / "run").read_text().splitlines()} == {"r"}
    again = measured(run("eval", both, "-i", index, "-m", "AP", "-m", "P@5", "--from-run", tmp_path / "run"))
    assert {name: row["value"] for name, row in again.items()} == pytest.approx(
        {name: rows[name]["value"] for name in again}
    )


def test_judgements_count_it_too(index: Path, tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("q 0 d0 1\n")
    asked = queries(tmp_path / "q.jsonl", UNKNOWN)
    row = measured(run("eval", asked, "-i", index, "--qrels", tmp_path / "qrels", "-m", "R@60"))["R@60"]
    assert (row["value"], row["best"], row["queries"]) == (0, 0, 1)


def test_compare_counts_it_with_nothing_found(caplog: pytest.LogCaptureFixture) -> None:
    def value(*asked: Document) -> float:
        (row,) = compare(TEXTS, asked, ["itq"], [16], [0], ["AP"])
        return float(row["value"])

    assert value(UNKNOWN) == 0
    assert "1 of 1 queries have no known word" in caplog.text
    assert value(KNOWN, UNKNOWN) == pytest.approx(value(KNOWN) / 2)
