"""Measure how files are read: how many right, or how many a second.

    python scripts/bench_files.py FOLDER [--files]
    python scripts/bench_files.py

FOLDER holds files and expected.jsonl, one line a file or entry: {"path": its id, "text": what it says, "kind": "pdf"};
without a kind it is the suffix. The folder is read like `hashret index FOLDER`, and a line of JSON is printed for each
kind: how many files are right (the same words in the same order), wrong, refused (named as skipped, or an error of
hashret) and crashed (any other exception). --files prints a line for each file that is not right.

Without FOLDER, the script makes 100 files of each kind and measures how many are read in a second. Figures are appended
to docs/figures/files.jsonl; docs/files.md ends with them.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Container, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import hashret
from figures import Run, add_run, machine, read_runs
from hashret.readers import Stamped
from tests.office import docx, lines, paragraphs, pdf, xlsx

DOCS = Path(__file__).parent.parent / "docs"
RUNS, PAGE = DOCS / "figures" / "files.jsonl", DOCS / "files.md"
EXPECTED = "expected.jsonl"
FILES, ROWS, WORDS, REPEATS, SEED = 100, 100, 10, 10, 0  # of each kind; lines of a file; words of a line; runs
OUTCOMES = ("right", "wrong", "refused", "crashed")


class _Others(Container[str]):
    """All ids but that of the file of expected texts."""

    def __contains__(self, id: object) -> bool:
        return id != EXPECTED


def scored(folder: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each line of expected.jsonl with its outcome."""
    expected = [json.loads(line) for line in (folder / EXPECTED).read_text("utf-8").splitlines() if line.strip()]
    texts, outcome = texts_of(folder)
    for row in expected:
        if row["path"] in texts:
            yield row, "right" if texts[row["path"]].split() == row["text"].split() else "wrong"
        else:
            yield row, outcome if outcome == "refused" else texts_of(folder / row["path"])[1]


def texts_of(path: Path) -> tuple[dict[str, str], str]:
    """The texts of a folder or file by id, and what becomes of those that are not among them: refused or crashed."""
    try:
        source = hashret.read(path, source="texts")
        if path.is_dir() and isinstance(source, Stamped):
            source = source.only(_Others())
        return {document.id: str(document.content) for document in source}, "refused"
    except hashret.HashretError:
        return {}, "refused"
    except Exception as error:  # noqa: BLE001  what this script looks for
        print(f"{path}: {error!r}", file=sys.stderr)
        return {}, "crashed"


def score(folder: Path, each: bool) -> None:
    """Print the outcomes by kind."""
    counts: dict[str, Counter[str]] = {}
    for row, outcome in scored(folder):
        kind = row.get("kind") or Path(row["path"]).suffix.lstrip(".") or "no suffix"
        counts.setdefault(kind, Counter())[outcome] += 1
        if each and outcome != "right":
            print(json.dumps({"path": row["path"], "kind": kind, "outcome": outcome}))
    for kind, own in sorted(counts.items()):
        print(json.dumps({"kind": kind, "files": own.total(), **{name: own[name] for name in OUTCOMES}}))


def made() -> dict[str, list[bytes]]:
    """The files to measure by kind, each of 100 lines of 10 words."""
    files: dict[str, list[bytes]] = {kind: [] for kind in ("txt", "html", "eml", "docx", "xlsx", "pdf")}
    chance = random.Random(SEED)
    words = ["wheat", "harvest", "ship", "letter", "north", "price", "town", "winter", "road", "examination"]
    for _ in range(FILES):
        rows = [" ".join(chance.choices(words, k=WORDS)) for _ in range(ROWS)]
        mail = EmailMessage()
        mail["From"], mail["Subject"] = "anna@example.org", rows[0]
        mail.set_content("\n".join(rows))
        files["txt"].append("\n".join(rows).encode())
        files["html"].append(f"<html><body>{''.join(f'<p>{row}</p>' for row in rows)}".encode())
        files["eml"].append(mail.as_bytes())
        files["docx"].append(docx(paragraphs(*rows)))
        files["xlsx"].append(xlsx({"Sheet": [row.split() for row in rows]}))
        files["pdf"].append(pdf(*(lines(*rows[first : first + 50]) for first in range(0, ROWS, 50))))
    return files


def speeds(folder: Path) -> Iterator[Run]:
    """Yield a row for each kind: files read in a second, with one child process that has its libraries loaded."""
    for kind, files in made().items():
        place = folder / kind
        place.mkdir()
        for number, raw in enumerate(files):
            (place / f"{number}.{kind}").write_bytes(raw)
        best = 0.0
        for _ in range(REPEATS):
            begun = time.perf_counter()
            assert sum(1 for _ in hashret.read(place, strict=True)) == FILES
            best = max(best, FILES / (time.perf_counter() - begun))
        size = sum(map(len, files)) // FILES
        yield {"kind": kind, "bytes": size, "words": ROWS * WORDS, "value": round(best)}


def summary(runs: list[Run]) -> str:
    """The end of the page: the last figure of each kind."""
    last = {run["kind"]: run for run in runs}
    table = "\n".join(f"| {run['kind']} | {run['bytes']:,} | {run['value']:,} |" for run in last.values())
    cores = max(run["cores"] for run in runs)
    return (
        "## Speed\n\n"
        f"`scripts/bench_files.py` makes {FILES} files of each kind, each of {ROWS * WORDS:,} words, and reads them. "
        f"Best of {REPEATS} runs on {cores} cores, one of which reads.\n\n"
        f"| kind | bytes | files a second |\n| --- | --- | --- |\n{table}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="files and expected.jsonl; without it, measure the speed")
    parser.add_argument("--files", action="store_true", help="print a line for each file that is not right")
    chosen = parser.parse_args()
    if chosen.folder is not None:
        logging.disable()
        score(chosen.folder, chosen.files)
        return
    with tempfile.TemporaryDirectory() as folder:
        for row in speeds(Path(folder)):
            add_run(RUNS, row | machine("xberg"))
    before = PAGE.read_text("utf-8").partition("## Speed\n")[0]
    PAGE.write_text(f"{before.rstrip()}\n\n{summary(read_runs(RUNS))}\n", "utf-8")


if __name__ == "__main__":
    main()
