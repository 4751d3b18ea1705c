"""Measure encoding (compared with scikit-learn), indexing of a million documents, and start-up of queries.

    HASHRET_DATA=/path/to/data python scripts/bench_encode.py [PART]...

Parts: transform, million, cold, warm. Each run is appended to docs/figures/encode.jsonl. docs/encoding.md shows the
latest run of each part.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench_quality import corpus
from bench_search import best, texts
from figures import add_run, data_folder, machine, read_runs
from hashret.documents import Document
from hashret.hasher import Hasher
from hashret.index import Index

DOCS = Path(__file__).parent.parent / "docs"
RUNS = DOCS / "figures" / "encode.jsonl"
TABLE = DOCS / "encoding.md"
QUESTION = "a used car with four wheel drive"


def posts() -> list[Document]:
    """Return all posts of 20 Newsgroups, unprocessed."""
    own, others = corpus("20news", Path(os.environ["HASHRET_DATA"]))
    return [*own, *others]


def transform() -> dict[str, float]:
    """Seconds to encode all posts of 20 Newsgroups, compared with scikit-learn's tf-idf alone."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    documents = posts()
    plain = [str(document.content) for document in documents]
    theirs = TfidfVectorizer(max_features=10_000, sublinear_tf=True).fit(plain)
    ours = Hasher.fit(documents, bits=64)
    return {
        "posts": len(documents),
        "scikit-learn, tf-idf": best(lambda: theirs.transform(plain), 3),
        "hashret, codes": best(lambda: ours.encode(documents), 3),
    }


@contextmanager
def watched() -> Iterator[list[int]]:
    """Record the resident memory of this process in bytes, at the start and every 20 ms."""
    sizes, done = [_resident()], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            sizes.append(_resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield sizes
    finally:
        done.set()
        watcher.join()


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def million() -> dict[str, float]:
    """Rate and memory of indexing a million texts, recombined from news, with a fitted hasher."""
    learned, made = texts(10**6)
    hasher = Hasher.fit(learned, bits=64)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        documents = (Document(str(number), text) for number, text in enumerate(made))
        with watched() as memory:
            Index.create(Path(folder) / "index", documents, hasher=hasher).close()
        seconds = time.perf_counter() - started
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
    return {
        "documents a second": len(made) / seconds,
        "MiB more than before, at most": (max(memory) - memory[0]) / 2**20,
        "bytes a document on disk": size / len(made),
        "bytes of text a document": sum(map(len, made)) / len(made),
    }


def cold() -> dict[str, float]:
    """Seconds for one `hashret query` over all posts, with the start of Python, and for imports alone; best of 7."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "index")
        Index.create(path, posts(), bits=64).close()
        ways = {
            "hashret query": ["-m", "hashret", "query", QUESTION, "-i", path],
            "import numpy, h5py, typer": ["-c", "import numpy, h5py, typer"],
            "import numpy": ["-c", "import numpy"],
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(7):
            for name, words in ways.items():
                started = time.perf_counter()
                subprocess.run([sys.executable, *words], check=True, capture_output=True)
                times[name].append(time.perf_counter() - started)
    return {name: min(found) for name, found in times.items()}


def warm() -> dict[str, float]:
    """Milliseconds for `index.search` with one text over 18,846 posts."""
    documents = posts()
    with tempfile.TemporaryDirectory() as folder, Index.create(Path(folder) / "index", documents, bits=64) as index:
        asked = [" ".join(str(document.content).split()[20:30]) for document in documents[::100]]
        times = []
        for text in asked:
            started = time.perf_counter()
            index.search([text], k=10)
            times.append(1e3 * (time.perf_counter() - started))
    return {"median": median(times), "95 of 100 below": float(np.quantile(times, 0.95))}


PARTS: dict[str, Callable[[], dict[str, float]]] = {
    "transform": transform,
    "million": million,
    "cold": cold,
    "warm": warm,
}


def table(found: list[dict[str, Any]]) -> str:
    """Return the page with the latest figures of each part."""
    lines = [
        "# Encoding and start-up of a query",
        "",
        "Written by `scripts/bench_encode.py` from `figures/encode.jsonl`.",
    ]
    for name, part in PARTS.items():
        own = [run["figures"] for run in found if run["part"] == name]
        if own:
            lines += ["", f"{part.__doc__}", "", "| | |", "| --- | --- |"]
            lines += [
                f"| {what} | {value:,.0f} |" if value >= 100 else f"| {what} | {value:.3g} |"
                for what, value in own[-1].items()
            ]
    return "\n".join([*lines, ""])


def main() -> None:
    """Run the parts named, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART")
    chosen = parser.parse_args().parts or list(PARTS)
    if unknown := set(chosen) - set(PARTS):
        sys.exit(f"unknown parts {sorted(unknown)}; allowed: {', '.join(PARTS)}")
    data_folder("20newsgroups/ and agnews/")
    about = machine("numpy")
    for name in chosen:
        row = {"part": name, "figures": PARTS[name]()} | about
        add_run(RUNS, row)
    TABLE.write_text(table(read_runs(RUNS)), "utf-8")


if __name__ == "__main__":
    main()
