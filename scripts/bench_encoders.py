"""Measure every encoder on the same plain features: precision by labels that none saw, three seeds, ties expected.

    HASHRET_DATA=/path/to/data python scripts/bench_encoders.py [CORPUS...]

Each run is appended to docs/figures/encoders.jsonl and skipped when it is there; docs/figures.md is written from them.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from hashret.encoders import ENCODERS
from hashret.evaluation.compare import compare
from hashret.sources import read

HERE = Path(__file__).parent.parent / "docs"
RUNS = HERE / "figures" / "encoders.jsonl"
TABLE = HERE / "figures.md"

BITS = 32
SEEDS = (0, 1, 2)
VECTORIZERS = {"20news": "tfidf", "mnist": "pixels"}
MEASURES = ("P@100", "AP")
CORPORA = {
    "20news": ("20newsgroups/20news-bydate-train.jsonl.gz", "20newsgroups/20news-bydate-test.jsonl.gz", "category"),
    "mnist": ("mnist/train-images-idx3-ubyte.gz", "mnist/t10k-images-idx3-ubyte.gz", None),
}
TITLES = {
    "20news": "20 Newsgroups, raw posts, by date: 11,314 documents, 7,532 queries, tf-idf",
    "mnist": "MNIST: 60,000 pictures, 10,000 queries, pixels",
}


def main(corpora: list[str]) -> None:
    if "HASHRET_DATA" not in os.environ:
        sys.exit("HASHRET_DATA is not set: the folder that holds 20newsgroups/ and mnist/")
    for corpus in corpora or list(CORPORA):
        for run in measure(corpus, Path(os.environ["HASHRET_DATA"])):
            with RUNS.open("a", encoding="utf-8") as file:
                file.write(json.dumps(run) + "\n")
            print(json.dumps(run), flush=True)
    TABLE.write_text(table(runs()), "utf-8")


def runs() -> list[dict[str, Any]]:
    """All runs there are."""
    RUNS.parent.mkdir(parents=True, exist_ok=True)
    return [json.loads(line) for line in RUNS.read_text("utf-8").splitlines()] if RUNS.exists() else []


def measure(corpus: str, data: Path) -> Iterator[dict[str, Any]]:
    """The runs that are missing, one measure each."""
    done = {(run["corpus"], run["encoder"], run["seed"]) for run in runs()}
    train, test, label = CORPORA[corpus]
    documents, queries = read(data / train, label=label), read(data / test, label=label)
    for seed in SEEDS:
        missing = [name for name in reversed(ENCODERS.names()) if (corpus, name, seed) not in done]
        if missing:
            about = {
                "corpus": corpus,
                "torch": version("torch"),
                "processor": platform.machine(),
                "cores": os.cpu_count(),
            }
            for row in compare(documents, queries, missing, [BITS], [seed], MEASURES, vectorizer=VECTORIZERS[corpus]):
                yield about | row


def table(all_runs: list[dict[str, Any]]) -> str:
    """The figures as a page: mean and standard deviation over the seeds."""
    lines = [
        "# Figures",
        "",
        f"Written by `scripts/bench_encoders.py` from `figures/encoders.jsonl`. {BITS} bits, {len(SEEDS)} seeds, mean "
        "± standard deviation; relevant is what shares the query's label, ties count in expectation. No label is seen "
        "in training.",
    ]
    for corpus, title in TITLES.items():
        own = [run for run in all_runs if run["corpus"] == corpus]
        if not own:
            continue
        lines += ["", f"## {title}", "", "| encoder | P@100 | AP |", "| --- | --- | --- |"]
        for name in sorted({run["encoder"] for run in own}, key=lambda name: -value(own, name, "P@100")[0]):
            cells = [f"{m:.3f} ± {s:.3f}" for m, s in (value(own, name, measure) for measure in MEASURES)]
            lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def value(own: list[dict[str, Any]], encoder: str, measure: str) -> tuple[float, float]:
    """Mean and standard deviation of one encoder's measure."""
    values = [run["value"] for run in own if run["encoder"] == encoder and run["measure"] == measure]
    return mean(values), stdev(values) if len(values) > 1 else 0.0


if __name__ == "__main__":
    main(sys.argv[1:])
