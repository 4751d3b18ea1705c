"""Measure the store: adds per second, one more document in a large index, opening, bytes per document.

    python scripts/bench_store.py [--documents N]

Texts are made of words by chance, codes by `lsh`, so that nothing but the store takes time. The run is appended to
docs/figures/store.jsonl; docs/durability.md tells the newest.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench_search import best
from figures import add_run, read_runs
from hashret.documents import Document
from hashret.hasher import Hasher
from hashret.index import Index

DOCS = Path(__file__).parent.parent / "docs"
RUNS = DOCS / "figures" / "store.jsonl"  # those of soak_store.py too
PAGE = DOCS / "durability.md"
WORDS = [f"word{n}" for n in range(5000)]


def texts(count: int, seed: int) -> Iterator[Document]:
    """Documents of twenty words."""
    rng = np.random.default_rng(seed)
    for start in range(0, count, 1000):
        for number, row in enumerate(rng.integers(len(WORDS), size=(min(1000, count - start), 20)).tolist(), start):
            yield Document(f"{seed}-{number}", " ".join(WORDS[place] for place in row))


def measure(count: int) -> dict[str, float]:
    """Measure all figures."""
    hasher = Hasher.fit(texts(2000, 9), bits=64, encoder="lsh")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        started = time.perf_counter()
        Index.create(path, texts(count, 0), hasher=hasher).close()
        figures = {"documents": count, "created, documents a second": count / (time.perf_counter() - started)}
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        text = sum(len(str(document.content)) for document in texts(2000, 0)) / 2000
        figures |= {"bytes a document": size / count, "bytes of its text": text}
        figures["opened, milliseconds"] = 1e3 * best(lambda: Index.open(path).close(), 7)
        with Index.open(path) as index:
            singles = []
            for document in texts(60, 1):
                began = time.perf_counter()
                index.add([document])
                singles.append(1e3 * (time.perf_counter() - began))
            figures |= {"one more, milliseconds, median": median(singles), "one more, at most": max(singles)}
            began = time.perf_counter()
            index.add(texts(10_000, 2))
            figures["added in one batch, documents a second"] = 10_000 / (time.perf_counter() - began)
            began = time.perf_counter()
            index.delete([f"0-{number}" for number in range(1000)])
            figures["1,000 deleted, milliseconds"] = 1e3 * (time.perf_counter() - began)
            figures["segments"] = len(index.store.segments)
    return figures


def summary(found: list[dict[str, Any]]) -> str:
    """The newest run of each part, as docs/durability.md shows it."""
    newest = {run["part"]: run["figures"] for run in found}
    lines = ["| | |", "| --- | --- |"]
    for part in ("kills", "cuts", "flips", "fuzz", "creates", "writers", "links", "sectors", "truncations", "store"):
        for name, value in newest.get(part, {}).items():
            lines.append(f"| {name if part == 'store' else f'{part}: {name}'} | {value:,.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, default=10**6)
    row = {"part": "store", "figures": measure(parser.parse_args().documents), "cores": os.cpu_count()}
    add_run(RUNS, row)
    head, _, _ = PAGE.read_text("utf-8").partition("| | |\n")
    PAGE.write_text(head + summary(read_runs(RUNS)) + "\n", "utf-8")


if __name__ == "__main__":
    main()
