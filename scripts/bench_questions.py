"""Measure the ranking by words, codes and vectors, compared with BM25, other codes and the features themselves.

    HASHRET_DATA=/path/to/data python scripts/bench_questions.py [--part NAME]... [--case NAME]... [--seed N]...

Each row is appended to docs/figures/questions.jsonl, and a case is skipped when its rows are there; docs/questions.md
is written from them. No option is set but the seed: 64 bits, vectors of 16 bytes. Methods without chance are recorded
once. Needs bm25s, and matplotlib for the icons.
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from figures import add_run, data_folder, machine, read_runs
from questions import costs, images, likeness, texts
from questions.common import Indexes, Row
from questions.page import page

DOCS = Path(__file__).parent.parent / "docs"
RUNS, TABLE = DOCS / "figures" / "questions.jsonl", DOCS / "questions.md"
SEEDS = (0, 1, 2)
ONCE = ("words", "bm25s", "FTS5", "grey pixels", "grey pixels less their mean", "pca")  # the same for any seed
FIRST_SEED_ONLY = ("size", "time")

Measure = Callable[[str, Path, Indexes, int], Iterator[Row]]
PARTS: dict[str, tuple[Measure, tuple[str, ...]]] = {  # name: what measures it, the cases
    "judged": (texts.judged, ("cranfield", "scifact")),
    "known": (texts.known, tuple(texts.KNOWN)),
    "resized": (images.resized, ("icons",)),
    "labelled": (likeness.labelled, ("websnippets", "20news")),
    "nearest": (likeness.nearest, ("websnippets", "mnist")),
    "size": (costs.size, (costs.NEWS, "cranfield")),
    "time": (costs.timed, (costs.NEWS, "million")),
    "mixed": (texts.mixed, ("scifact",)),
}


def table(found: list[Row]) -> str:
    """Return the page with the figures."""
    return page(found)


def run(part: str, case: str, seed: int, data: Path, indexes: Indexes) -> list[Row]:
    """The rows of a case that are to be recorded."""
    measure, _ = PARTS[part]
    about = {"part": part, "case": case, "seed": seed}
    rows = [about | row for row in measure(case, data, indexes, seed)]
    return [row for row in rows if seed == SEEDS[0] or row["method"] not in ONCE]


def missing(parts: list[str], cases: list[str] | None, seeds: list[int]) -> Iterator[tuple[str, str, int]]:
    """What is not recorded, the first seed of all parts first."""
    done = {(row["part"], row["case"], row["seed"]) for row in read_runs(RUNS)}
    for seed in seeds:
        for part in parts:
            for case in PARTS[part][1]:
                wanted = (cases is None or case in cases) and (seed == SEEDS[0] or part not in FIRST_SEED_ONLY)
                if wanted and (part, case, seed) not in done:
                    yield part, case, seed


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", action="append", choices=list(PARTS))
    parser.add_argument("--case", action="append", choices=sorted({c for _, cases in PARTS.values() for c in cases}))
    parser.add_argument("--seed", action="append", type=int)
    chosen = parser.parse_args()
    needs_data = set(chosen.part or PARTS) - {"known", "resized"}
    data = data_folder("ir_cranfield/, ir_scifact/, ...") if needs_data else Path(os.environ.get("HASHRET_DATA", ""))
    versions = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    about = machine("torch", "numpy", "bm25s", "PyStemmer", "matplotlib") | versions
    RUNS.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        indexes = Indexes(Path(folder))
        for part, case, seed in missing(chosen.part or list(PARTS), chosen.case, chosen.seed or list(SEEDS)):
            for row in run(part, case, seed, data, indexes):
                add_run(RUNS, row | about)
            TABLE.write_text(table(read_runs(RUNS)), "utf-8")
        indexes.close()


if __name__ == "__main__":
    main()
