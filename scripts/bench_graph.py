"""Measure what an approximate graph costs in quality, and how time and memory grow with the documents.

    HASHRET_DATA=/path/to/data python scripts/bench_graph.py [quality] [growth]

quality: 20 Newsgroups learned by the exact and by the approximate graph, three seeds, P@100 at 64 bits, and the share
of the exact neighbours found. growth: 10,000, 30,000 and 100,000 short texts (pieces of 15 words of the same posts),
each learned in a process of its own. Results go to docs/figures/graph.jsonl; docs/graph.md is written from them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from figures import add_run, data_folder, read_runs
from hashret import graph
from hashret.documents import Document
from hashret.encoders import ENCODERS
from hashret.evaluation.evaluate import evaluate
from hashret.readers import read
from hashret.training import Schedule
from hashret.vectorizers import VECTORIZERS

DOCS = Path(__file__).parent.parent / "docs"
RUNS, PAGE = DOCS / "figures" / "graph.jsonl", DOCS / "graph.md"
BITS, SEEDS, SIZES, PIECE = 64, (0, 1, 2), (10_000, 30_000, 100_000), 15


def posts(part: str) -> list[Document]:
    """20 Newsgroups, by date."""
    return list(
        read(Path(os.environ["HASHRET_DATA"]) / f"20newsgroups/20news-bydate-{part}.jsonl.gz", label="category")
    )


def quality() -> Iterator[dict[str, Any]]:
    """Measure the codes learned with either graph."""
    documents, queries = posts("train"), posts("test")
    vectorizer = VECTORIZERS.get("text")()
    features, asked = vectorizer.fit(documents), vectorizer.transform(queries).input
    own, theirs = ([d.labels for d in each] for each in (documents, queries))
    exact, near = (graph.neighbors(features.views, 20, exact=kind) for kind in (True, False))
    found = [len(set(a) & set(b)) / len(a) for a, b in zip(exact.tolist(), near.tolist(), strict=True)]
    yield {"what": "found", "value": round(float(np.mean(found)), 4)}
    usual = graph.EXACT
    for name, edge in (("exact", usual), ("approximate", 0)):
        graph.EXACT = edge
        for seed in SEEDS:
            program = ENCODERS.get("neighborhood")().fit(features, BITS, Schedule(seed=seed)).program()
            [row] = evaluate(program.encode(features.input), own, program.encode(asked), theirs, ["P@100"])
            yield {"what": name, "seed": seed, "value": row["value"]}
    graph.EXACT = usual


def growth() -> Iterator[dict[str, Any]]:
    """Measure time and memory, with one process per size."""
    for size in SIZES:
        done = subprocess.run(
            [sys.executable, __file__, "learn", str(size)], capture_output=True, text=True, check=True
        )
        yield json.loads(done.stdout.splitlines()[-1])


def learn(size: int) -> dict[str, Any]:
    """Learn from so many short texts."""
    import resource  # not on Windows, where the tests of the docs import this module

    pieces = islice(_pieces(), size)
    documents = [Document(str(number), text) for number, text in enumerate(pieces)]
    start = time.perf_counter()
    features = VECTORIZERS.get("text")().fit(documents)
    middle = time.perf_counter()
    ENCODERS.get("neighborhood")().fit(features, BITS, Schedule())
    end = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    times = {"vectors_seconds": round(middle - start, 1), "fit_seconds": round(end - middle, 1)}
    return {"what": "growth", "documents": len(documents), **times, "peak_mib": peak}


def _pieces() -> Iterator[str]:
    for post in posts("train") + posts("test"):
        words = str(post.content).split()
        yield from (" ".join(words[at : at + PIECE]) for at in range(0, len(words) - PIECE + 1, PIECE))


def table(found: list[dict[str, Any]]) -> str:
    """Return the page with the figures."""
    lines = ["# The graph of neighbours", "", "Written by `scripts/bench_graph.py`.", ""]
    shares = [run["value"] for run in found if run["what"] == "found"]
    if shares:
        lines += [
            f"For more than {graph.EXACT:,} documents the graph is approximate. On 20 Newsgroups (11,314 posts) it has "
            f"{shares[-1]:.1%} of the 20 nearest; P@100 at {BITS} bits, mean ± standard deviation of {len(SEEDS)} "
            "seeds:",
            "",
            "| graph | P@100 |",
            "| --- | --- |",
        ]
        for name in ("exact", "approximate"):
            values = [run["value"] for run in found if run["what"] == name]
            lines.append(f"| {name} | {mean(values):.3f} ± {stdev(values):.3f} |")
    grown = {run["documents"]: run for run in found if run["what"] == "growth"}
    if grown:
        cores = {run["cores"] for run in grown.values()}
        lines += [
            "",
            f"Learning {BITS}-bit codes of short texts ({PIECE} words each), {', '.join(map(str, cores))} processors:",
            "",
            "| documents | vectors | graph and net | highest memory |",
            "| --- | --- | --- | --- |",
        ]
        lines += [
            f"| {size:,} | {run['vectors_seconds']:.0f} s | {run['fit_seconds']:.0f} s | {run['peak_mib']:,} MiB |"
            for size, run in sorted(grown.items())
        ]
    return "\n".join([*lines, ""])


def main() -> None:
    data_folder("20newsgroups/")
    if sys.argv[1:2] == ["learn"]:
        print(json.dumps(learn(int(sys.argv[2]))))
        return
    parts = {"quality": quality, "growth": growth}
    about = {"torch": version("torch"), "cores": os.cpu_count()}
    for name in sys.argv[1:] or list(parts):
        for run in parts[name]():
            add_run(RUNS, run | about)
    PAGE.write_text(table(read_runs(RUNS)), "utf-8")


if __name__ == "__main__":
    main()
