"""Measure what `hashret outliers` and `hashret map` do unless told otherwise, beside the encoders that can too.

    HASHRET_DATA=/path/to/data python scripts/bench_browse.py [--corpus NAME]... [--seed N]...

Each run is appended to docs/figures/browse.jsonl and skipped when it is there; docs/browse.md is written from them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from bench_encoders import corpus
from hashret.analysis.base import features_of
from hashret.analysis.map import plane
from hashret.analysis.outliers import outliers
from hashret.documents import Document
from hashret.encoders import ENCODERS
from hashret.index import Index
from hashret.training import Schedule

DOCS = Path(__file__).parent.parent / "docs"
RUNS = DOCS / "figures" / "browse.jsonl"
TABLE = DOCS / "browse.md"

BITS, SEEDS, NEAR = 32, (0, 1, 2), 15
HIDDEN = 0.05  # outliers, as a share of the others
DRAWN = 3000  # documents on a map
CORPORA = {"mnist": "MNIST", "20news": "20 Newsgroups"}
SCORERS = ("neighborhood", "autoencoder", "variational", "robust", "dagmm", "density", "student-t")
OWN = "codes"  # the way that asks no encoder


def runs() -> list[dict[str, Any]]:
    """All runs there are."""
    return [json.loads(line) for line in RUNS.read_text("utf-8").splitlines()] if RUNS.exists() else []


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", action="append", choices=list(CORPORA))
    parser.add_argument("--seed", action="append", type=int)
    chosen = parser.parse_args()
    if "HASHRET_DATA" not in os.environ:
        sys.exit("HASHRET_DATA is not set: the folder that holds 20newsgroups/ and mnist/")
    done = {(run["question"], run["corpus"], run["seed"]) for run in runs()}
    about = {"torch": version("torch"), "processor": platform.machine(), "cores": os.cpu_count()}
    for name in chosen.corpus or CORPORA:
        documents = corpus(name, Path(os.environ["HASHRET_DATA"]))[0]
        for question, ask in QUESTIONS.items():
            for seed in chosen.seed or SEEDS:
                if (question, name, seed) in done:
                    continue
                row = {"question": question, "corpus": name, "seed": seed, **ask(documents, seed), **about}
                with RUNS.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
    TABLE.write_text(table(runs()), "utf-8")


def find_outliers(documents: list[Document], seed: int) -> dict[str, Any]:
    """ROC AUC of documents of one label hidden among those of another, by each way's scores."""
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(sorted({document.labels[0] for document in documents}))[:2].tolist()
    usual, strange = ([document for document in documents if document.labels[0] == kind] for kind in kinds)
    strange = [strange[place] for place in rng.permutation(len(strange))[: round(HIDDEN * len(usual))]]
    unlike = {document.id for document in strange}

    def ranked(index: Index, encoder: str | None) -> float:
        found = outliers(index, k=len(index), encoder=encoder, seed=seed)
        return float(roc_auc_score([one.document.id in unlike for one in found], [one.score for one in found]))

    ways = {OWN: None, **{name: name for name in SCORERS}}
    asked = {way: lambda index, name=name: ranked(index, name) for way, name in ways.items()}
    return {"labels": kinds, "documents": len(usual), "hidden": len(strange), **timed([*usual, *strange], asked, seed)}


def draw_map(documents: list[Document], seed: int) -> dict[str, Any]:
    """Share of documents that have the label of most of their nearest others in the plane."""
    chosen = [documents[place] for place in np.random.default_rng(seed).permutation(len(documents))[:DRAWN]]
    labels = {document.id: document.labels[0] for document in chosen}

    def own(index: Index) -> float:
        points = plane(index, seed=seed)
        return named(np.array([(p.x, p.y) for p in points]), [labels[p.id] for p in points])

    def learned(name: str) -> Callable[[Index], float]:
        def ask(index: Index) -> float:
            features = features_of(index)
            fitted: Any = ENCODERS.get(name)().fit(features, 2, Schedule(seed=seed))
            return named(fitted.project(features.input), [labels[id] for id in index.ids])

        return ask

    asked = {OWN: own, **{name: learned(name) for name in ("deep", "pca")}}
    return {"documents": len(chosen), **timed(chosen, asked, seed)}


def timed(documents: list[Document], asked: Mapping[str, Callable[[Index], float]], seed: int) -> dict[str, Any]:
    """What each way gives on an index of the documents, and its seconds."""
    found, seconds = {}, {}
    with tempfile.TemporaryDirectory() as folder, Index.create(folder, documents, bits=BITS, seed=seed) as index:
        for way, ask in asked.items():
            started = time.perf_counter()
            found[way] = ask(index)
            seconds[way] = round(time.perf_counter() - started, 1)
    return {"figures": found, "seconds": seconds}


def named(places: np.ndarray, labels: list[str]) -> float:
    """Share of points whose label is that of most of the nearest others."""
    kinds, numbers = np.unique(labels, return_inverse=True)
    near = KNeighborsClassifier(NEAR).fit(places, numbers).kneighbors(return_distance=False)
    votes = (numbers[near][..., None] == np.arange(len(kinds))).sum(axis=1)
    return float((votes.argmax(axis=1) == numbers).mean())


QUESTIONS = {"outliers": find_outliers, "map": draw_map}


def table(found: list[dict[str, Any]]) -> str:
    """Both questions as a page."""
    lines = [
        "# Browsing",
        "",
        "Written by `scripts/bench_browse.py` from `figures/browse.jsonl`: what `hashret outliers` and `hashret map` "
        f"do on an index of the default's {BITS}-bit codes, beside the encoders that answer the same question, learned "
        f"anew with their own options. Mean ± standard deviation of {len(SEEDS)} seeds. `{OWN}` is what the commands "
        "do unless told otherwise; its seconds are those after the index was made.",
        "",
        "## Outliers",
        "",
        f"The documents of one label with {HIDDEN:.0%} as many of one other label among them, both drawn by the seed: "
        "the chance that one of these has the higher score of a pair (ROC AUC; .5 is guessing).",
        *_rows([run for run in found if run["question"] == "outliers"]),
        "",
        "## Map",
        "",
        f"{DRAWN:,} documents in a plane, `{OWN}` by t-SNE of them, the others by a code of two units: the share that "
        f"have the label of most of their {NEAR} nearest.",
        *_rows([run for run in found if run["question"] == "map"]),
    ]
    return "\n".join([*lines, ""])


def _rows(own: list[dict[str, Any]]) -> list[str]:
    """A row a way, the best first."""
    there = [name for name in CORPORA if any(run["corpus"] == name for run in own)]
    if not there:
        return []

    def values(way: str, name: str, part: str = "figures") -> list[float]:
        return [run[part][way] for run in own if run["corpus"] == name]

    heads = "".join(f" {CORPORA[name]} | s |" for name in there)
    lines = ["", f"| way |{heads}", "| --- |" + " --- | --- |" * len(there)]
    for way in sorted(own[0]["figures"], key=lambda way: -mean(mean(values(way, name)) for name in there)):
        cells = []
        for name in there:
            got = values(way, name)
            spread = f" ± {stdev(got):.3f}" if len(got) > 1 else ""
            cells.append(f" {mean(got):.3f}{spread} | {mean(values(way, name, 'seconds')):.0f} |")
        lines.append(f"| `{way}` |{''.join(cells)}")
    return lines


if __name__ == "__main__":
    main()
