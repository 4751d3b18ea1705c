"""Output: valid JSON, one line per id, no control characters on a terminal, closed streams."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hashret import Document, Index

from .samples import posix_only, read_terminal

pytestmark = posix_only("descriptors and terminals")

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil"
IDS = ["é1 中 😀", "two\nlines\u2028three\x85four", f"esc{EVIL}", "no UTF-8 \udcff", "=1+2", "plain"]
COMMAND = [sys.executable, "-W", "error", "-c", "from hashret.cli import main; main()"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with malicious ids, labels and metadata."""
    path = tmp_path_factory.mktemp("output")
    odd = {"price": float("nan"), "most": float("inf"), f"key{EVIL}": EVIL, "deep": [{"x": float("-inf")}]}
    documents = [Document(id, f"wheat ship {id}", (f"label{EVIL}",), odd) for id in IDS]
    Index.create(path / "indexes" / "one", documents, bits=8, encoder="lsh").close()
    return path


def run(folder: Path, *arguments: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=folder, capture_output=more.pop("capture_output", True), timeout=60, **more
    )


def on_a_terminal(folder: Path, *arguments: str) -> str:
    """Return the output of a command with both streams on a terminal."""
    import pty

    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=folder, stdin=slave, stdout=slave, stderr=slave, env=os.environ | {"TERM": "xterm"}
    )
    os.close(slave)
    found = b"".join(read_terminal(master))
    process.wait(60)
    os.close(master)
    return found.decode("utf-8", "replace")


def no_constants(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


@pytest.mark.parametrize(
    ("format", "encoding"), [("jsonl", "utf-8"), ("jsonl", "ascii"), ("jsonl", "cp1252"), ("json", "ascii")]
)
def test_json_is_json_in_any_locale(format: str, encoding: str, folder: Path) -> None:
    found = run(folder, "show", *IDS[:3], *IDS[4:], "--format", format, env=os.environ | {"PYTHONIOENCODING": encoding})
    text = found.stdout.decode(encoding)
    rows = json.loads(text, parse_constant=no_constants) if format == "json" else [
        json.loads(line, parse_constant=no_constants) for line in text.split("\n")[:-1]
    ]  # fmt: skip
    assert [row["id"] for row in rows] == [*IDS[:3], *IDS[4:]]
    assert rows[0]["metadata"]["price"] is None
    assert rows[0]["metadata"]["deep"] == [{"x": None}]
    assert not set("\x1b\x9b\x85\u202e") & set(text)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_ids_are_a_line_each_and_can_be_used(encoding: str, folder: Path) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    found = run(folder, "query", "wheat", "--format", "ids", env=environment).stdout
    lines = found.decode("utf-8", "surrogateescape").splitlines()
    assert len(lines) == len(IDS)
    assert {"é1 中 😀", "no UTF-8 \udcff", "two\\nlines\\u2028three\\x85four"} <= set(lines)
    again = run(folder, "show", *[line for line in lines if "\\" not in line], "--format", "ids", env=environment)
    assert again.returncode == 0, again.stderr


def test_csv_marks_formulas_only_when_asked(folder: Path) -> None:
    for options, wanted in (((), "=1+2"), (("--csv-safe",), "'=1+2")):
        text = run(folder, "query", "wheat", "--format", "csv", *options).stdout.decode()
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert wanted in [row["id"] for row in rows]
        assert all(row["distance"].isdecimal() for row in rows)


@pytest.mark.parametrize("format", ["table", "jsonl", "csv", "ids"])
def test_a_terminal_is_shown_nothing_that_it_would_obey(format: str, folder: Path) -> None:
    for arguments in (["query", "wheat"], ["show", IDS[2]], ["info"]):
        screen = on_a_terminal(folder, *arguments, "--format", format)
        assert "evil" in screen or arguments == ["info"]
        for part in ("\x1b]0", "\x1b[2J", "\x9b", "\u202e"):
            assert part not in screen, (arguments, part)
    if format == "ids":
        assert on_a_terminal(folder, "query", "wheat", "--format", "ids", "-q").count("\r\n") == len(IDS)


def test_errors_and_remarks_are_escaped_too(folder: Path) -> None:
    (folder / "strange.jsonl").write_text(json.dumps({EVIL: "x"}) + "\n")
    (folder / "hashret.csv").write_text(f"a{EVIL},b\n1,2\n")
    for arguments in (
        ["index", "strange.jsonl", "-i", "other"],
        ["index", "hashret.csv", "-i", "other"],
        ["query", "wheat", "--label", EVIL],
        ["show", EVIL],
        ["query", "wheat", "-i", EVIL],
        ["show", EVIL, "--debug"],
    ):
        found = run(folder, *arguments)
        assert found.returncode in (1, 2)
        assert b"evil" in found.stderr
        assert not {0x1B, 0x07} & set(found.stderr), found.stderr
        assert "\u202e" not in found.stderr.decode()


class TestStreams:
    @pytest.fixture
    def data(self, tmp_path: Path) -> Path:
        rows = [{"id": str(n), "text": f"wheat ship {n % 3}"} for n in range(6)]
        (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return tmp_path

    def shell(self, folder: Path, line: str) -> subprocess.CompletedProcess[str]:
        command = f"hashret() {{ {COMMAND[0]} -c 'from hashret.cli import main; main()' \"$@\"; }}; {line}"
        return subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60)

    def test_a_command_works_without_the_streams_that_it_does_not_need(self, data: Path) -> None:
        made = self.shell(data, "hashret index d.jsonl -i ix --encoder lsh --bits 8 <&- >&- 2>&-")
        assert made.returncode == 0
        assert self.shell(data, "hashret verify -i ix >&-").returncode == 0
        assert self.shell(data, "hashret query wheat -i ix <&- 2>&-").stdout.count("\n") == 6

    def test_a_closed_stream_that_is_needed_is_an_error_of_one_line(self, data: Path) -> None:
        self.shell(data, "hashret index d.jsonl -i ix --encoder lsh --bits 8")
        for line, words in (
            ("hashret query wheat -i ix >&-", "standard output is closed"),
            ("hashret query - -i ix <&-", "standard input is closed"),
            ("hashret index - -i iy <&-", "standard input is closed"),
            ("hashret query wheat -i ix >/dev/full", "no space left"),
            ("hashret --version >/dev/full", "no space left"),
        ):
            if "/dev/full" in line and not Path("/dev/full").exists():
                continue  # macOS
            found = self.shell(data, line)
            assert found.returncode in (1, 2), (line, found)
            assert words in found.stderr
            assert found.stderr.count("\n") == 1, found.stderr
        assert self.shell(data, "hashret query wheat -i ix | true; exit ${PIPESTATUS[0]}").returncode == 0


class TestConfiguration:
    @pytest.mark.parametrize(
        "line",
        ['force = true', 'hasher = "/tmp/x"', 'out = "x.html"', 'run = "x.run"', "replace = true", "prune = true",
         'from_run = "x"', 'qrels = "x"', '[index]\nforce = true', '[map]\nout = "x.html"', '[eval]\nrun = "x"',
         '[fit]\nhasher = "x"', '[outliers]\nsource = "x"', '[add]\nsources = ["x"]'],
    )  # fmt: skip
    def test_it_names_no_file_and_forces_nothing(self, line: str, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "hashret.toml").write_text(line)
        found = run(tmp_path, "encoders")
        assert found.returncode == 2
        assert b"cannot set" in found.stderr or b"unknown option" in found.stderr

    def test_it_chooses_an_index_to_ask_and_none_to_change(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "hashret.toml").write_text(f'index = "{folder / "indexes" / "one"}"\n[query]\nk = 2\n')
        assert run(tmp_path, "query", "wheat").stdout.count(b"\n") == 2
        before = (folder / "indexes" / "one" / "manifest.json").read_bytes()
        (tmp_path / "new.jsonl").write_text('{"id": "new", "text": "wheat"}\n')
        for arguments in (["delete", "plain"], ["add", "new.jsonl"], ["compact"], ["refit"], ["index", "new.jsonl"]):
            found = run(tmp_path, *arguments)
            assert found.returncode == 2
            assert b"for a command that changes it; give it with -i INDEX" in found.stderr
        assert (folder / "indexes" / "one" / "manifest.json").read_bytes() == before
