"""The command line, used by a person and by a script."""

from __future__ import annotations

import errno
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hashret.cli import session
from hashret.cli.app import app
from hashret.codes import hamming
from hashret.index import Index
from hashret.search import compiled

from .samples import posix_only
from .test_index import corpus

runner = CliRunner()


def hashret(*arguments: object, code: int = 0, given: str | None = None) -> Any:
    result = runner.invoke(app, [str(argument) for argument in arguments], input=given)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def rows(result: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name, documents in (("train", corpus(150)), ("test", corpus(30, seed=1))):
        with gzip.open(folder / f"{name}.jsonl.gz", "wt") as file:
            for document in documents:
                record = {"id": f"{name}/{document.id}", "topic": document.labels[0], "text": document.content}
                file.write(json.dumps(record) + "\n")
    hashret(
        "index", folder / "train.jsonl.gz", "--label", "topic", "--bits", 16, "--encoder", "itq", "-i", folder / "index"
    )
    return folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_query_prints_json_lines_in_a_pipe(data: Path) -> None:
    found = rows(hashret("query", "captain and anchor", "-i", data / "index", "-k", 4))
    assert [row["rank"] for row in found] == [1, 2, 3, 4]
    assert list(found[0]) == ["query", "rank", "id", "score", "distance", "exact", "labels", "text", "marks", "parts"]
    assert found[0]["query"] == "captain and anchor"
    assert found[0]["exact"] is True
    assert found[0]["labels"] == ["sea"]


def test_query_reads_a_query_a_line(data: Path) -> None:
    found = rows(hashret("query", "-", "-i", data / "index", "-k", 1, given="piano\n\nbarn\n"))
    assert [(row["query"], row["labels"]) for row in found] == [("piano", ["music"]), ("barn", ["farm"])]


def test_query_by_file_and_by_document(data: Path, tmp_path: Path) -> None:
    (tmp_path / "draft.txt").write_text("violin\nand\nsonata")
    found = rows(hashret("query", "--file", "draft.txt", "-i", data / "index", "-k", 2))
    assert [row["query"] for row in found] == ["draft.txt", "draft.txt"]
    like = rows(hashret("query", "--like", "train/sea/2", "-i", data / "index"))
    assert len(like) == 10
    assert "train/sea/2" not in [row["id"] for row in like]


def test_query_within_a_radius_and_among_labels(data: Path) -> None:
    within = rows(hashret("query", "wheat", "--radius", 2, "-i", data / "index"))
    assert all(row["distance"] <= 2 for row in within)
    few = rows(hashret("query", "wheat", "--radius", 16, "-k", 3, "-i", data / "index"))
    assert len(few) == 3
    only = rows(hashret("query", "wheat", "--label", "music", "-i", data / "index"))
    assert {row["labels"][0] for row in only} == {"music"}


def test_query_shows_the_score_its_parts_and_where_the_words_are(data: Path, tmp_path: Path) -> None:
    asked = ("query", "captain and anchor", "-i", data / "index")
    found = rows(hashret(*asked, "-k", 150))
    names = ["query", "rank", "id", "score", "distance", "exact", "labels", "text", "marks", "parts"]
    assert list(found[0]) == names
    assert [row["rank"] for row in found] == list(range(1, 151))
    assert [row["score"] for row in found] == sorted((row["score"] for row in found), reverse=True)
    assert rows(hashret(*asked, "-k", 7)) == found[:7]
    for row in found[:20]:
        assert {row["text"][a:b].casefold() for a, b in row["marks"]} <= {"captain", "and", "anchor"}
    by_codes = rows(hashret(*asked, "-k", 150, "--by", "codes"))
    assert list(by_codes[0]) == ["query", "rank", "id", "distance", "exact", "labels", "text"]
    assert [row["distance"] for row in by_codes] == sorted(row["distance"] for row in by_codes)
    likeness = rows(hashret("query", "--like", "train/sea/2", "-i", data / "index"))
    assert {tuple(row["parts"]) for row in likeness} == {("codes", "vectors")}
    weighted = rows(hashret(*asked, "-k", 150, "--weights", "words=1,codes=0"))
    alone = rows(hashret(*asked, "-k", 150, "--by", "words"))
    assert [row["id"] for row in weighted[: len(alone)]] == [row["id"] for row in alone]


def test_filters_sql_and_export(tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    texts = [document.content for document in corpus(20)]
    lines = [{"id": f"n{n}", "text": own, "year": 1870 + n, "crop": "ab"[n % 2]} for n, own in enumerate(texts)]
    Path("fields.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    hashret("index", "fields.jsonl", "--encoder", "lsh", "--bits", 16, "--rescore", "int8")
    where = ("--where", "year >= 1880 and crop = 'b'")
    for more in ((), ("--by", "codes"), ("--radius", 16), ("--oversample", 5)):
        found = rows(hashret("query", "wheat", "-k", 20, *where, *more))
        assert {row["id"] for row in found} == {f"n{n}" for n in range(11, 20, 2)}
    alike = rows(hashret("query", "--like", "n11", "-k", 20, *where, "--oversample", 5))
    assert [len(alike), {row["exact"] for row in alike}] == [4, {False}]
    found = rows(
        hashret("sql", "SELECT crop, count(*) AS n, max(year) AS last FROM documents GROUP BY crop ORDER BY crop")
    )
    assert found == [{"crop": "a", "n": 10, "last": 1888}, {"crop": "b", "n": 10, "last": 1889}]
    assert "wrote 'fields.parquet': 20 documents" in hashret("export", "fields.parquet").stderr
    assert "'fields.parquet' exists" in hashret("export", "fields.parquet", code=2).stderr
    hashret("export", "fields.parquet", "--force")
    hashret("index", "fields.parquet", "--encoder", "lsh", "--bits", 16, "-i", "again")
    again = rows(hashret("info", "-i", "again"))
    assert again[0]["documents"] == 20
    assert "the query failed: " in hashret("sql", "SELECT nothing", "-i", "indexes/fields", code=2).stderr
    assert (
        "texts have single quotes"
        in hashret("query", "x", "--where", "crop = b", "-i", "indexes/fields", code=2).stderr
    )
    assert "no original features" in hashret("query", "x", "--oversample", 5, "-i", "again", code=2).stderr


def test_query_by_vectors_finds_the_nearest_by_cosine(tmp_path: Path) -> None:
    np.save("vectors.npy", np.random.default_rng(0).standard_normal((60, 12)).astype(np.float32))
    hashret("index", "vectors.npy", "--encoder", "lsh", "--bits", 8, "--vectors", "int8")
    facts = rows(hashret("info"))[0]
    assert (facts["parts"], facts["vectors"], facts["language"]) == (["codes", "vectors"], "int8", None)
    asked = ("query", "--like", "vectors.npy:4", "-k", 59, "--by", "vectors")
    found = rows(hashret(*asked))
    unit = np.load("vectors.npy")
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    cosines = [float(unit[3] @ unit[int(row["id"].split(":")[1]) - 1]) for row in found]
    assert cosines == pytest.approx(sorted(cosines, reverse=True), abs=0.02)
    assert [row["parts"]["vectors"] for row in found] == pytest.approx(cosines, abs=0.02)
    hashret("compact")
    assert rows(hashret(*asked)) == found


@pytest.mark.parametrize("format", ["table", "jsonl", "json", "csv", "ids"])
def test_every_format_names_the_hits(data: Path, format: str) -> None:
    result = hashret("query", "wheat", "-k", 2, "-i", data / "index", "--format", format)
    ids = [hit["id"] for hit in rows(hashret("query", "wheat", "-k", 2, "-i", data / "index"))]
    assert all(id in result.stdout for id in ids)
    if format == "ids":
        assert result.stdout.split() == ids


def test_eval_equals_an_independent_computation(data: Path) -> None:
    [row] = rows(hashret("eval", data / "test.jsonl.gz", "-i", data / "index", "-m", "P@100"))
    with Index.open(data / "index") as index, gzip.open(data / "test.jsonl.gz", "rt") as file:
        queries = [json.loads(line) for line in file]
        distances = hamming(index.hasher.encode([q["text"] for q in queries]), index.codes).astype(float)
        relevant = np.array([[q["topic"] in labels for labels in index.labels] for q in queries])
        total = 0.0
        for own, hit in zip(distances, relevant, strict=True):
            edge = np.sort(own)[99]
            nearer, tied = own < edge, own == edge
            total += (hit[nearer].sum() + (100 - nearer.sum()) * hit[tied].mean()) / 100
    assert row["value"] == pytest.approx(total / len(queries), abs=1e-6)
    assert row["queries"] == 30


@pytest.mark.parametrize("by", [(), ("--by", "codes"), ("--by", "words"), ("--by", "codes,vectors")])
def test_a_run_written_is_a_run_measured(data: Path, tmp_path: Path, by: tuple[str, ...]) -> None:
    judged = tmp_path / "qrels.tsv"
    judged.write_text("query-id\tcorpus-id\tscore\ntest/sea/2\ttrain/sea/2\t1\ntest/farm/0\ttrain/farm/3\t1\n")
    arguments = ("eval", data / "test.jsonl.gz", "-i", data / "index", "--qrels", judged, "-m", "RR", "-m", "AP")
    direct = rows(hashret(*arguments, "--run", tmp_path / "run.txt", *by))
    measured = rows(hashret(*arguments, "--from-run", tmp_path / "run.txt"))
    assert [row["value"] for row in measured] == pytest.approx([row["value"] for row in direct])


def test_a_gate_not_met_exits_with_3(data: Path) -> None:
    hashret("eval", data / "test.jsonl.gz", "-i", data / "index", "--min", "P@10=0.5")
    failed = hashret("eval", data / "test.jsonl.gz", "-i", data / "index", "--min", "P@100=1", code=3)
    assert "below 1.0" in failed.stderr


def test_eval_measures_the_order_of_the_scores(data: Path, tmp_path: Path) -> None:
    judged = np.random.default_rng(0).random((30, 150)) < 0.3
    with Index.open(data / "index") as index, gzip.open(data / "test.jsonl.gz", "rt") as file:
        queries = [json.loads(line) for line in file]
        ids, scores = index.ids, [index.scores(query["text"]).scores for query in queries]
    pairs = [f"{queries[q]['id']} 0 {ids[d]} 1\n" for q, d in np.argwhere(judged)]
    (tmp_path / "qrels").write_text("".join(pairs))
    arguments = ("eval", data / "test.jsonl.gz", "-i", data / "index", "--qrels", "qrels", "-m", "P@20", "-m", "P(r=2)")
    plain, found = rows(hashret(*arguments, "--by", "codes")), rows(hashret(*arguments))
    total = 0.0
    for own, hit in zip(-np.array(scores), judged, strict=True):
        edge = np.sort(own)[19]
        nearer, tied = own < edge, own == edge
        total += (hit[nearer].sum() + (20 - nearer.sum()) * hit[tied].mean()) / 20
    assert found[0]["value"] == pytest.approx(total / 30, abs=1e-6)
    assert found[0]["value"] != pytest.approx(plain[0]["value"], abs=1e-4)
    assert found[1] == plain[1]


def test_compare_measures_what_eval_does(data: Path) -> None:
    arguments = ("-m", "P@10", "-m", "AP", "--label", "topic")
    fit = ("--encoder", "itq", "--bits", 16)
    compared = rows(hashret("compare", data / "train.jsonl.gz", data / "test.jsonl.gz", *fit, *arguments))
    measured = rows(hashret("eval", data / "test.jsonl.gz", "-i", data / "index", *arguments))
    for one, other in zip(compared, measured, strict=True):
        assert (one["measure"], one["value"]) == (other["measure"], pytest.approx(other["value"], abs=1e-3))


def test_compare_prints_a_row_each(data: Path) -> None:
    train, test = data / "train.jsonl.gz", data / "test.jsonl.gz"
    found = rows(
        hashret("compare", train, test, "--encoder", "itq", "--encoder", "lsh", "--bits", 8, "--bits", 16, "-m", "P@10",
                "--label", "topic", "-o", "rounds=5")
    )  # fmt: skip
    assert [(row["encoder"], row["bits"]) for row in found] == [("itq", 8), ("itq", 16), ("lsh", 8), ("lsh", 16)]
    wanted = [
        "encoder",
        "bits",
        "seed",
        "measure",
        "value",
        "worst",
        "best",
        "queries",
        "fit_seconds",
        "encode_seconds",
    ]
    assert list(found[0]) == wanted


def test_the_life_of_an_index(data: Path, tmp_path: Path) -> None:
    hashret("index", data / "train.jsonl.gz", "--label", "topic", "--bits", 8, "--encoder", "lsh")
    assert (tmp_path / "indexes" / "train" / "manifest.json").is_file()
    hashret("add", data / "test.jsonl.gz")
    assert rows(hashret("info"))[0]["documents"] == 180
    assert "already" in hashret("add", data / "test.jsonl.gz", code=1).stderr
    hashret("add", data / "test.jsonl.gz", "--skip")
    hashret("delete", "test/sea/2", "test/farm/0")
    hashret("compact")
    assert hashret("verify").stdout == ""
    [shown] = rows(hashret("show", "test/sea/5"))
    assert shown["labels"] == ["sea"]
    assert len(shown["code"]) == 8
    hashret("refit", "--bits", 12, "--encoder", "itq")
    assert rows(hashret("info"))[0]["bits"] == 12
    segment = next((tmp_path / "indexes" / "train" / "segments").iterdir())
    damaged = bytearray(segment.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    segment.write_bytes(damaged)
    assert "checksum" in hashret("verify", code=3).stdout


def test_a_hasher_fitted_once_serves_many_indexes(data: Path, tmp_path: Path) -> None:
    hashret("fit", data / "train.jsonl.gz", "--hasher", "hasher", "--bits", 16, "--encoder", "itq")
    hashret("index", data / "test.jsonl.gz", "--hasher", "hasher", "-i", "second")
    fingerprint = rows(hashret("info", "-i", "second"))[0]["fingerprint"]
    assert fingerprint == rows(hashret("info", "-i", data / "index"))[0]["fingerprint"]
    assert "leave out bits" in hashret(
        "index", data / "test.jsonl.gz", "--hasher", "hasher", "--bits", 8, "-i", "third", code=2
    ).stderr  # fmt: skip


def test_the_index_is_found_by_environment_and_configuration(data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    assert "no index in ./indexes" in hashret("info", code=2).stderr
    for name in ("a", "b"):
        hashret("index", data / "test.jsonl.gz", "--encoder", "lsh", "-i", tmp_path / "indexes" / name)
    assert "several indexes: indexes/a, indexes/b" in hashret("info", code=2).stderr
    monkeypatch.setenv("HASHRET_INDEX", "indexes/b")
    assert rows(hashret("info"))[0]["path"] == "indexes/b"
    assert rows(hashret("info", "-i", "indexes/a"))[0]["path"] == "indexes/a"


def script(*arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from hashret.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, **more)


def test_a_configuration_file_gives_defaults(data: Path, tmp_path: Path) -> None:
    (tmp_path / "hashret.toml").write_text(f'index = "{data / "index"}"\n[query]\nk = 3\n')
    assert len(script("query", "wheat").stdout.splitlines()) == 3
    assert len(script("query", "wheat", "-k", 2).stdout.splitlines()) == 2
    (tmp_path / "hashret.toml").write_text(f'index = "{data / "index"}"\n[query]\nby = "codes"\nk = 1\n')
    assert "score" not in json.loads(script("query", "wheat").stdout)
    (tmp_path / "hashret.toml").write_text("[query]\nkk = 3\n")
    wrong = script("query", "wheat")
    assert wrong.returncode == 2
    assert "unknown option 'kk'" in wrong.stderr


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("more", [(), ("--by", "codes")])
def test_a_query_loads_no_training_library(data: Path, more: tuple[str, ...], kept: bool) -> None:
    others = {"hashret.deduplication", "hashret.training"}
    heavy = {"torch", "sklearn", "scipy", "pandas", "h5py", *(["faiss"] if compiled() else []), *others}
    code = (
        "import sys\n"
        "from hashret.cli.app import app\n"
        "try:\n app()\n"
        "except SystemExit as end:\n"
        " assert not end.code\n"
        f" heavy = {heavy} & set(sys.modules)\n"
        " assert not heavy, heavy\n"
    )
    asked = ["wheat", "-i", str(data / "index")]
    if kept:
        np.save("vectors.npy", np.random.default_rng(0).standard_normal((20, 4)))
        hashret("index", "vectors.npy", "--encoder", "lsh")
        asked = ["--like", "vectors.npy:4"]
    command = [sys.executable, "-c", code, "query", *asked, *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 10


@posix_only("a shell")
def test_a_reader_that_stops_reading_is_no_error(data: Path) -> None:
    command = (
        f"{sys.executable} -c 'from hashret.cli import main; main()' query wheat -k 100 -i {data / 'index'} | head -1"
    )
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_a_closed_pipe_is_no_error_as_windows_reports_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(session, "discard_output", lambda: None)
    closed, bad_name = OSError(errno.EINVAL, "Invalid argument"), OSError(errno.EINVAL, "Invalid argument", "a?b")
    assert session.report(closed) == 1
    assert "Invalid argument" in capsys.readouterr().err
    with monkeypatch.context() as patched:
        patched.setattr(os, "name", "nt")
        codes = [session.report(error) for error in (BrokenPipeError(), closed, bad_name)]
    assert codes == [0, 0, 1]
    assert capsys.readouterr().err == "hashret: Invalid argument: a?b\n"


@posix_only("limits on files")
def test_a_disk_that_takes_no_more_leaves_the_index_as_it_was(data: Path, tmp_path: Path) -> None:
    lines = "".join(json.dumps({"id": f"n{i}", "text": f"wheat {os.urandom(300).hex()}"}) + "\n" for i in range(400))
    Path("large.jsonl").write_text(lines)
    hashret("index", data / "test.jsonl.gz", "--encoder", "lsh", "-i", "index")
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "from hashret.cli import main; main()"
    )
    for words in (
        ["add", "large.jsonl", "-i", "index"],
        ["index", "large.jsonl", "--encoder", "lsh", "-i", "new", "--quiet"],
    ):
        failed = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
        assert failed.returncode == 1
        assert "was not changed: File too large" in failed.stderr
        assert len(failed.stderr.splitlines()) == 1
    hashret("verify", "-i", "index")
    assert rows(hashret("info", "-i", "index"))[0]["documents"] == 30
    assert not Path("new").exists()


def test_a_query_of_unknown_words_has_no_answer_and_says_so(data: Path, tmp_path: Path) -> None:
    for vectorizer in ("text", "tfidf"):
        hashret(
            "index", data / "train.jsonl.gz", "--encoder", "lsh", "--vectorizer", vectorizer, "-i", "index", "--force"
        )
        for more in ((), ("--by", "codes"), ("--by", "words"), ("--radius", "64")):
            asked = hashret("query", "xyzzy plugh", "-i", "index", *more)
            assert asked.stdout == ""
            assert "none of their words occurs in the index" in asked.stderr
        assert rows(hashret("query", "xyzzy wheat", "-i", "index"))


def test_a_damaged_manifest_is_told_and_can_be_replaced(data: Path, tmp_path: Path) -> None:
    hashret("index", data / "test.jsonl.gz", "--encoder", "lsh", "-i", "index")
    Path("index/manifest.json").write_text("{}")
    assert "manifest.json is damaged" in hashret("verify", "-i", "index", code=3).stdout
    assert "is damaged" in hashret("query", "wheat", "-i", "index", code=1).stderr
    hashret("index", data / "test.jsonl.gz", "--encoder", "lsh", "-i", "index", "--force")
    hashret("verify", "-i", "index")


@posix_only("signals")
def test_ctrl_c_while_fitting_leaves_nothing(data: Path, tmp_path: Path) -> None:
    # the test runner may ignore SIGINT
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{heard}; from hashret.cli import main; main()", "index"]
    command += [
        str(data / "train.jsonl.gz"),
        "-i",
        "new/index",
        "--encoder",
        "deep",
        "-o",
        "min_steps=1000000",
        "-o",
        "patience=100000",
    ]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    time.sleep(6)
    started.send_signal(signal.SIGINT)
    _, words = started.communicate(timeout=60)
    assert started.returncode == 130, words
    assert "interrupted" in words
    assert "Traceback" not in words
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("index", "nowhere"), 2, "no such file or folder: nowhere"),
        (("index", "TRAIN", "--bits", "0"), 2, "bits must be 1 to 4096, got 0"),
        (("index", "TRAIN", "--bits", "5000"), 2, "bits must be 1 to 4096, got 5000"),
        (("index", "TRAIN", "--encoder", "bernouli"), 2, "did you mean 'bernoulli'? allowed: neighborhood, "),
        (("index", "TRAIN", "--encoder", "bernouli"), 2, "pca, lsh (hashret encoders lists them)"),
        (("index", "TRAIN", "--vectorizer", "tfdif"), 2, "did you mean 'tfidf'?"),
        (("index", "TRAIN", "--label", "topics"), 1, "did you mean 'topic'?"),
        (
            ("index", "TRAIN", "-o", "hiden=3"),
            2,
            "unknown option 'hiden'; did you mean 'hidden'? allowed: batch_size, ",
        ),
        (("index", "TRAIN", "-o", "hidden"), 2, "-o must be KEY=VALUE"),
        (("index", "TRAIN", "-o", "epochs=many"), 2, "epochs must be a whole number or auto, got 'many'"),
        (("index", "TRAIN", "-o", "epochs=-1"), 2, "epochs must be at least 1, got -1"),
        (("index", "TRAIN", "--device", "tpu"), 2, "unknown device 'tpu'"),
        (("index", "TRAIN", "--source", "jsonll"), 2, "did you mean 'jsonl'?"),
        (("index", "TRAIN", "-i", "INDEX"), 2, "--force replaces it"),
        (("index", "TRAIN", "--vectorizer", "pixels"), 1, "pixels reads images"),
        (
            ("index", "TRAIN", "--encoder", "lsh", "--vectors", "0"),
            2,
            "vectors must be 'auto', None, a number of bytes",
        ),
        (("index", "TRAIN", "--encoder", "lsh", "--language", "klingon"), 2, "unknown language 'klingon'"),
        (("query", "x", "--by", "letters", "-i", "INDEX"), 2, "unknown part 'letters'; allowed: words, codes, vectors"),
        (("query", "x", "--weights", "words=-1", "-i", "INDEX"), 2, "must be a number of at least 0, got -1.0"),
        (("query", "x", "--weights", "words=nan", "-i", "INDEX"), 2, "must be a number of at least 0, got nan"),
        (("query", "x", "--weights", "words=0", "-i", "INDEX"), 2, "all weights are 0"),
        (("query", "x", "--weights", "words", "-i", "INDEX"), 2, "--weights takes PART=W, got 'words'"),
        (("query", "x", "--radius", "3", "--by", "words", "-i", "INDEX"), 2, "--radius cannot be combined with --by"),
        (("query", "-i", "INDEX"), 2, "give exactly one of TEXT"),
        (("query", "x", "-k", "0", "--by", "codes", "-i", "INDEX"), 2, "k must be at least 1, got 0"),
        (
            ("eval", "TEST", "--by", "words", "--from-run", "TEST", "-i", "INDEX"),
            2,
            "leave out --by, --weights and --oversample",
        ),
        (("query", "x", "-i", "nowhere"), 2, "no index at 'nowhere'"),
        (("query", "x", "-k", "0", "-i", "INDEX"), 2, "k must be at least 1, got 0"),
        (("query", "x", "--radius", "-1", "-i", "INDEX"), 2, "radius must be at least 0, got -1"),
        (("query", "x", "--label", "seas", "-i", "INDEX"), 1, "no document has the label 'seas'"),
        (("query", "x", "--format", "xml", "-i", "INDEX"), 2, "unknown format 'xml'"),
        (("query", "--like", "nobody", "-i", "INDEX"), 1, "no document has the id 'nobody'"),
        (("query", "--file", "nowhere.txt", "-i", "INDEX"), 2, "no such file"),
        (("eval", "TEST", "-m", "Q@10", "-i", "INDEX"), 2, "unknown measure 'Q@10'"),
        (("eval", "TEST", "--min", "P@10", "-i", "INDEX"), 2, "--min must be MEASURE=VALUE"),
        (("show", "nobody", "-i", "INDEX"), 1, "no document has the id"),
        (("delete", "nobody", "-i", "INDEX"), 1, "no document has the id"),
        (("add", "nowhere", "-i", "INDEX"), 2, "no such file"),
        (("compare", "TRAIN", "TEST", "--encoder", "iqt", "--label", "topic"), 2, "did you mean 'itq'?"),
    ],
)
def test_bad_input_gets_one_line_and_a_code(data: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    places = {"TRAIN": data / "train.jsonl.gz", "TEST": data / "test.jsonl.gz", "INDEX": data / "index"}
    result = hashret(*(places.get(argument, argument) for argument in arguments), code=code)
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    assert not Path("indexes").exists()


def test_bad_data_gets_one_line(tmp_path: Path) -> None:
    np.save("nan.npy", np.array([[1.0, np.nan], [0.0, 1.0]], np.float32))
    assert "nan.npy" in hashret("index", "nan.npy", "--encoder", "lsh", code=1).stderr
    Path("empty").mkdir()
    assert "no files in empty" in hashret("index", "empty", code=1).stderr
    Path("twice.jsonl").write_text('{"id": "a", "text": "wheat barn"}\n{"id": "a", "text": "sail"}\n')
    assert "duplicate ids in the source: 'a'" in hashret("index", "twice.jsonl", "--encoder", "lsh", code=1).stderr
    Path("images").mkdir()
    for number in range(3):
        Path(f"images/{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    assert "images" in hashret("index", "images", "--encoder", "lsh", code=1).stderr
    assert not Path("indexes").exists()


def test_lists_are_lists(tmp_path: Path) -> None:
    assert {row["name"] for row in rows(hashret("encoders"))} >= {
        "bernoulli",
        "itq",
        "lsh",
        "pca",
        "deep",
        "autoencoder",
    }
    assert {row["name"] for row in rows(hashret("vectorizers"))} >= {"tfidf", "pixels", "precomputed"}
    assert {row["name"] for row in rows(hashret("sources"))} >= {"texts", "images", "jsonl", "csv", "idx", "beir"}
    assert "torch" in hashret("doctor").stdout


def test_one_of_a_list_is_told_of_at_length() -> None:
    [told] = rows(hashret("encoders", "sparse"))
    assert "KL(rho" in told["method"]
    assert {"name": "rho", "default": 0.1, "help": "target mean activation"} in told["options"]
    [bar] = told["reproductions"]
    assert set(bar["reached"].values()) <= {True, False}
    page = hashret("encoders", "sparse", "--format", "table").stdout
    assert all(what in page for what in ("KL(rho", "target mean activation", *bar["figures"], *bar["reached"]))
    [told] = rows(hashret("vectorizers", "tfidf"))
    assert told["reproductions"] == []
    assert "did you mean 'sparse'? allowed: neighborhood" in hashret("encoders", "sprase", code=2).stderr


def test_too_little_memory_is_one_line_with_what_to_do(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Index, "open", fail)
    result = hashret("query", "wheat", "-i", data / "index", code=1)
    assert result.stdout == ""
    wanted = "hashret: out of memory; use fewer documents at once, or -o sample=N to learn from fewer\n"
    assert result.stderr == wanted


def test_what_a_terminal_would_obey_is_not_printed_on_it(tmp_path: Path) -> None:
    record = {"id": "bad\u001b[31m", "text": "wheat \u0007 barn"}
    Path("bad.jsonl").write_text(json.dumps(record) + "\n" + json.dumps({"id": "b", "text": "sail"}) + "\n")
    hashret("index", "bad.jsonl", "--encoder", "lsh")
    assert "\u001b[31m" not in hashret("query", "wheat", "--format", "table").stdout


def test_each_command_is_built_from_its_module_alone() -> None:
    from typer.main import get_command

    from hashret.cli.app import MODULES, application

    for module, names in MODULES.items():
        group: Any = get_command(application(module))
        assert set(group.commands) == set(names)
    everything: Any = get_command(app)
    assert set(everything.commands) == {name for names in MODULES.values() for name in names}
