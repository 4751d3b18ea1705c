"""Commands on a terminal: the screen while they run and when they are finished."""

from __future__ import annotations

import json
import os
import re
import shlex
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from hashret.cli import output, table
from hashret.encoders import ENCODERS
from hashret.errors import nearest, unknown
from hashret.index import Index

from .conftest import make_texts
from .samples import posix_only, read_terminal

pytestmark = posix_only("terminals")

ROWS = 120  # of the terminal
MAIN = "from hashret.cli import main; main()"
EAGER = "from hashret.cli import bars; bars.DELAY = 0\n" + MAIN  # also draws short stages
FAST = ("-o", "min_steps=120", "-o", "max_steps=120", "-o", "validation_fraction=0")


@dataclass
class Seen:
    """What a command left on the screen, the screens before that, and the bytes that made them."""

    screen: list[str]  # lines, without the blank ones at the end
    earlier: list[str]
    data: bytes
    code: int
    piped: str  # what it wrote to standard output where that is a pipe
    cursor: bool  # whether the cursor is visible at the end

    @property
    def text(self) -> str:
        return "\n".join(self.screen)


def terminal(
    folder: Path, *arguments: str, columns: int = 80, code: str = MAIN, pipe: bool = False, term: str = "xterm"
) -> Seen:
    """Run Python code, by default hashret's command line, on a terminal; `pipe`: standard output is a pipe."""
    import fcntl
    import pty
    import termios

    import pyte

    screen = pyte.Screen(columns, ROWS)
    stream = pyte.ByteStream(screen)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    names = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE")
    environment = {name: value for name, value in os.environ.items() if name not in names} | {"TERM": term}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        stdin=slave,
        stdout=subprocess.PIPE if pipe else slave,
        stderr=slave,
        env=environment,
    )
    os.close(slave)
    data, earlier = b"", []
    for part in read_terminal(master):
        data += part
        for frame in re.split(rb"(?=\r\x1b)", part):  # one read may have bars and what erases them
            stream.feed(frame)
            earlier.append("\n".join(screen.display))
    piped = process.stdout.read().decode() if process.stdout else ""
    process.wait(60)
    if process.stdout:
        process.stdout.close()
    os.close(master)
    lines = "\n".join(line.rstrip() for line in screen.display).rstrip().split("\n")
    return Seen(lines, earlier, data, process.returncode, piped, not screen.cursor.hidden)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two files of texts and an index."""
    folder = tmp_path_factory.mktemp("desk")
    for name, count in (("train", 120), ("test", 20)):
        rows = [{"id": f"{d.id}.txt", "topic": d.labels[0], "text": d.content} for d in make_texts(count)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    texts = [{"id": f"{d.id}.txt", "text": f"\n\n {d.content}\n\tend", "label": d.labels[0]} for d in make_texts(120)]
    Index.create(folder / "indexes" / "mine", texts, bits=16, encoder="lsh").close()
    return folder


class TestCommands:
    def test_index_draws_progress_and_leaves_its_remarks(self, desk: Path, tmp_path: Path) -> None:
        arguments = ("index", str(desk / "train.jsonl"), "--label", "topic", "--encoder", "lsh")
        seen = terminal(tmp_path, *arguments, code=EAGER)
        assert seen.code == 0
        assert any("reading" in screen for screen in seen.earlier)
        remarks = (
            "hashret: 120 documents: codes learned from fewer than 500 are inaccurate"
            "hashret: indexed 120 documents in 64-bit codes by lsh in indexes/train; "
            "search it with: hashret query -i indexes/train ..."
        )
        assert "".join(seen.screen).replace(" ", "") == remarks.replace(" ", "")
        assert seen.cursor

    @pytest.mark.parametrize(("columns", "encoders"), [(80, ("lsh", "bernoulli")), (120, ("lsh", "pca"))])
    def test_compare_shows_its_table_complete(self, columns: int, encoders: tuple[str, str], desk: Path) -> None:
        one, other = encoders
        seen = terminal(
            desk, "compare", "train.jsonl", "test.jsonl", "--label", "topic", "--encoder", one, "--encoder", other,
            "--bits", "16", "-m", "P@100", "-m", "P(r=2)", *(FAST if other == "bernoulli" else ()),
            columns=columns, code=EAGER,
        )  # fmt: skip
        assert seen.code == 0
        assert any("training" in screen for screen in seen.earlier) == (other == "bernoulli")
        assert "inaccurate" in seen.screen[0]
        rule = next(place for place, line in enumerate(seen.screen) if set(line) == {"─"})
        names = "encoder bits seed measure value worst best queries empty fit (s) encode (s)"
        assert sorted(" ".join(seen.screen[1:rule]).split()) == sorted(names.split())
        found = [(*row.split()[:2], row.split()[3]) for row in seen.screen[rule + 1 :]]
        assert found == [(encoder, "16", measure) for encoder in encoders for measure in ("P@100", "P(r=2)")]
        assert "…" not in seen.text

    @pytest.mark.parametrize("columns", [80, 120])
    def test_query_shows_hits_and_moves_no_cursor(self, columns: int, desk: Path) -> None:
        seen = terminal(desk, "query", "ship and anchor", "-k", "3", columns=columns)
        assert seen.code == 0
        assert seen.screen[0].split() == ["rank", "score", "id", "labels", "text"]
        assert len(seen.screen) == 5
        for row in seen.screen[2:]:
            assert ".txt  " in row
            assert row.endswith(("…", " end"))
            assert len(row) <= columns
            assert "  " not in row[row.rindex("  ") + 2 :]
        for sequence in (b"\x1b[?25", b"\x1b[2K", b"\x1b[1A", b"\r\x1b"):
            assert sequence not in seen.data

    def test_show_shows_a_document_complete(self, desk: Path) -> None:
        seen = terminal(desk, "show", "text-3.txt", columns=40)
        words = " ".join(seen.text.split())
        assert words.startswith("id text-3.txt labels space code ")
        assert " ".join(str(make_texts(4)[3].content).split()) + " end" in words

    def test_add_says_what_is_new_replaced_and_skipped(self, desk: Path, tmp_path: Path) -> None:
        rows = [{"id": name, "text": "the ship and the storm"} for name in ("a", "b", "c")]
        lines = [json.dumps(row) + "\n" for row in rows]
        (tmp_path / "one.jsonl").write_text(lines[0])
        (tmp_path / "all.jsonl").write_text("".join(lines))
        Index.create(tmp_path / "indexes" / "new", [rows[1]], bits=8, encoder="lsh").close()
        for arguments, counts, total in (
            (("all.jsonl", "--skip"), (2, 0, 1), "3 documents"),
            (("one.jsonl", "--replace"), (0, 1, 0), "3 documents"),
        ):
            seen = terminal(tmp_path, "add", *arguments)
            wanted = "documents added: {}, replaced: {}, skipped: {}".format(*counts)
            assert seen.screen == [f"hashret: {wanted}", f"hashret: index 'indexes/new' holds {total}"]

    def test_map_says_what_it_drew(self, desk: Path, tmp_path: Path) -> None:
        seen = terminal(desk, "map", "--out", str(tmp_path / "map.html"), columns=200)
        assert seen.screen == [f"hashret: drew 120 documents in {tmp_path / 'map.html'}"]
        assert "120 documents" in (tmp_path / "map.html").read_text()

    def test_the_demos_last_line_works_as_it_is_typed(self, tmp_path: Path) -> None:
        short = (
            "import hashret.demo as demo; from itertools import islice; from functools import partial\n"
            "texts, images, create = demo.python_documents, demo.digits, demo.Index.create\n"
            "demo.python_documents = lambda: islice(texts(), 150)\n"
            "demo.digits = lambda: images()[:150]\n"
            "demo.HELD_OUT = 30\n"
            "demo.Index.create = partial(create, encoder='lsh')\n"
        )
        seen = terminal(tmp_path, "demo", "--folder", "my indexes", columns=120, code=short + MAIN)
        assert seen.code == 0
        assert any("150 texts" in line for line in seen.screen)  # progress did not erase it
        assert any("of the first ten hits" in line for line in seen.screen)
        name, *words = shlex.split(seen.screen[-1])
        assert name == "hashret"
        again = terminal(tmp_path, *words)
        assert again.code == 0
        assert again.screen[0].split() == ["rank", "score", "id", "labels", "text"]

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("query", "hi", "there"), "TEXT is one argument, got 2; put it in quotes: hashret query 'hi there'"),
            (("show", "text-3"), "no document has the id 'text-3'; did you mean 'text-3.txt'?"),
            (("query", "--like", "TEXT-3.TXT"), "no document has the id 'TEXT-3.TXT'; did you mean 'text-3.txt'?"),
            (("show", "zzz"), "no document has the id 'zzz'; hashret info shows examples of ids"),
            (("query", "x", "-i", "mime"), "no index at 'mime'; did you mean 'indexes/mine'?"),
            (("query", "x", "-i", "zzz"), "no index at 'zzz'; create it with: hashret index SOURCE -i zzz"),
            (("query", "x", "--format", "JSON"), "unknown format 'JSON'; did you mean 'json'?"),
        ],
    )
    def test_an_error_is_one_line_that_says_what_to_type(
        self, arguments: tuple[str, ...], words: str, desk: Path
    ) -> None:
        seen = terminal(desk, *arguments, columns=120)
        assert seen.code in (1, 2)
        assert seen.text.startswith(f"hashret: {words}")
        assert b"\x1b" not in seen.data
        assert seen.data.count(b"\n") == 1

    def test_an_index_is_found_by_its_name(self, desk: Path, tmp_path: Path) -> None:
        seen = terminal(desk, "query", "ship", "-k", "1", "-i", "mine")
        assert seen.screen[0] == "hashret: using index 'indexes/mine'"
        assert len(seen.screen) == 4
        (tmp_path / "indexes").symlink_to(desk / "indexes")
        (tmp_path / "mine").mkdir()
        assert "no index at 'mine'" in terminal(tmp_path, "query", "ship", "-i", "mine").text  # existing content counts


STAGES = """
import logging, time, warnings
from hashret.cli import bars
from hashret.cli.output import emit
from hashret.cli.session import session
from hashret.progress import track

bars.DELAY = 0.1

def work(label, count, total):
    for number in track(range(count), label, total):
        time.sleep(0.05)
        yield {"number": number}

with session(None, quiet=False, debug=DEBUG):
    for row in work("first", 6, None):
        pass
    warnings.warn("other \\x1b[2Jwarning")
    for row in work("second", 9, 9):
        if row["number"] == 5:
            logging.getLogger("hashret").info("a remark")
            logging.getLogger("other").warning("another remark")
    emit(work("third", 6, 6))
    logging.getLogger("hashret").info("the end")
"""


class TestProgress:
    def test_remarks_and_tables_stay_and_bars_go(self, tmp_path: Path) -> None:
        seen = terminal(tmp_path, code=STAGES.replace("DEBUG", "False"))
        first, second, third = ([place for place, screen in enumerate(seen.earlier) if label in screen]
                                for label in ("first ", "second ", "third "))  # fmt: skip
        assert first
        assert second
        assert third
        assert max(first) < min(second)  # a finished stage is not drawn together with the next one, or again
        assert max(second) < min(third)
        assert any("a remark" in screen and "second " in screen for screen in seen.earlier)
        assert "a remark" in seen.earlier[min(third)]
        numbers = [str(number) for number in range(6)]
        assert [line.strip("─ ") for line in seen.screen] == [
            "hashret: a remark", "number", "", *numbers, "hashret: the end"
        ]  # fmt: skip
        assert seen.cursor

    def test_debug_shows_what_other_libraries_say(self, tmp_path: Path) -> None:
        seen = terminal(tmp_path, code=STAGES.replace("DEBUG", "True"), columns=200)
        assert "py.warnings" in seen.screen[0]
        assert "other �[2Jwarning" in seen.screen[0]
        assert seen.screen[1:3] == ["hashret: a remark", "other: another remark"]

    def test_rows_go_to_the_pipe_and_progress_to_the_terminal(self, tmp_path: Path) -> None:
        seen = terminal(tmp_path, code=STAGES.replace("DEBUG", "False"), pipe=True)
        assert [json.loads(line) for line in seen.piped.splitlines()] == [{"number": number} for number in range(6)]
        assert any("third " in screen for screen in seen.earlier)
        assert seen.screen == ["hashret: a remark", "hashret: the end"]

    def test_a_terminal_without_a_cursor_gets_no_sequences(self, tmp_path: Path) -> None:
        seen = terminal(tmp_path, code=STAGES.replace("DEBUG", "False"), term="dumb")
        assert b"\x1b" not in seen.data
        assert [line for line in seen.screen if line.startswith("hashret")] == ["hashret: a remark", "hashret: the end"]

    def test_faiss_prints_no_warning(self, desk: Path) -> None:
        seen = terminal(desk, "query", "ship", "--by", "codes", "--search", "BIVF60", "-k", "1")
        assert seen.code == 0
        assert "BIVF60 is approximate" in seen.text
        assert "WARNING" not in seen.text


class TestTables:
    def shown(self, rows: Sequence[dict[str, object]], columns: Sequence[str], key: str, width: int) -> list[str]:
        import io
        from contextlib import redirect_stdout

        with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
            patch.setenv("COLUMNS", str(width))
            output.choose("table")
            output.emit(rows, columns, key)
        return printed.getvalue().splitlines()

    @pytest.mark.parametrize("width", [80, 100, 120])
    def test_every_encoder_is_named_and_every_number_is_complete(self, width: int) -> None:
        measures = {"value": 0.12345, "worst": 0.00012344, "best": 0.98765, "queries": 3405}
        rows = [
            {"encoder": name, "bits": 4096, "seed": 0, "measure": "nDCG@10", **measures, "fit_seconds": 123.45,
             "encode_seconds": 0.0123}
            for name in ENCODERS.names()
        ]  # fmt: skip
        lines = self.shown(rows, tuple(rows[0]), "value", width)
        assert all(len(line) <= width for line in lines)
        for name, line in zip(ENCODERS.names(), lines[-len(rows) :], strict=True):
            numbers = ["4096", "0", "nDCG@10", "0.1235", "0.0001234", "0.9877", "3405", "123.5", "0.0123"]
            assert line.split() == [name, *numbers]

    def test_long_names_are_folded_and_long_texts_cut(self) -> None:
        row = {"rank": 1, "id": "folder/" * 20, "text": "word " * 50}
        lines = self.shown([row], tuple(row), "id", 80)
        assert all(len(line) <= 80 for line in lines)
        place = lines[0].index("id")
        assert "".join(line[place:].split(" ")[0] for line in lines[2:]) == row["id"]
        assert lines[2].endswith("…")

    def test_a_terminal_too_narrow_for_a_table_gets_a_line_for_each_value(self) -> None:
        row = {"encoder": "lsh", "bits": 16, "measure": "P@10", "value": 0.12345, "fit_seconds": 1.5}
        lines = self.shown([row, row], tuple(row), "value", 24)
        one = ["encoder: lsh", "bits: 16", "measure: P@10", "value: 0.1235", "fit (s): 1.5", ""]
        assert lines == [*one, *one]

    @pytest.mark.parametrize("room", range(20, 130, 7))
    def test_columns_fill_no_more_than_the_room(self, room: int) -> None:
        columns = [
            table.Column("id", ["x" * 40, "y"]),
            table.Column("distance", ["3", "12"], number=True),
            table.Column("text", ["long " * 40, "short"], one_line=True),
        ]
        gap, widths = table.fit(columns, room)
        if not widths:
            assert room < sum(column.least for column in columns) + 2 * min(table.GAPS)
            return
        assert sum(widths) + 2 * gap <= room
        assert all(width >= column.least for width, column in zip(widths, columns, strict=True))
        assert sum(widths) + 2 * gap == room or widths == [column.most for column in columns]


class TestSuggestions:
    @pytest.mark.parametrize(
        ("name", "known", "wanted"),
        [
            ("ITQ", ["lsh", "itq"], "itq"),
            ("Straße", ["strasse", "weg"], "strasse"),
            ("bernouli", ["lsh", "bernoulli"], "bernoulli"),
            ("x1", ["a/x2.txt", "a/X1.txt"], "a/X1.txt"),
            ("x1.txt", ["a/x1.txt"], "a/x1.txt"),
            ("a/x1", ["b/x1.txt", "a/x1.txt"], "a/x1.txt"),
            ("nothing", ["lsh"], ""),
            ("", ["lsh", ".txt"], ""),
        ],
    )
    def test_the_nearest_name(self, name: str, known: list[str], wanted: str) -> None:
        assert nearest(name, known) == wanted

    def test_among_very_many_names_only_the_same_name_is_found(self) -> None:
        many = [f"folder/{number}.txt" for number in range(20_000)]
        assert nearest("FOLDER/7", many) == "folder/7.txt"
        assert nearest("folder/7x.txt", many) == ""

    def test_letter_case_in_errors(self) -> None:
        assert "did you mean 'itq'?" in str(unknown("encoder", "ITQ", ENCODERS.names()))
