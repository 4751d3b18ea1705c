"""Measure outliers, clusters and map with default options, compared with the encoders that have these capabilities.

    HASHRET_DATA=/path/to/data python scripts/bench_browse.py [--corpus NAME]... [--seed N]...

Each run is appended to docs/figures/browse.jsonl and skipped when it is there; docs/browse.md is written from them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from sklearn.metrics import normalized_mutual_info_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from bench_encoders import corpus
from figures import add_run, data_folder, machine, read_runs
from hashret.analysis.base import features_of
from hashret.analysis.clusters import clusters
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
MOST = 1000  # of those others
DRAWN = 3000  # documents on a map
CORPORA = {"mnist": "MNIST", "20news": "20 Newsgroups"}
SCORERS = ("neighborhood", "autoencoder", "variational", "robust", "dagmm", "density", "student-t")


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", action="append", choices=list(CORPORA))
    parser.add_argument("--seed", action="append", type=int)
    chosen = parser.parse_args()
    data = data_folder("20newsgroups/ and mnist/")
    done = {(run["question"], run["corpus"], run["seed"]) for run in read_runs(RUNS)}
    about = machine("torch")
    for name in chosen.corpus or CORPORA:
        documents = corpus(name, data)[0]
        for question, ask in QUESTIONS.items():
            for seed in chosen.seed or SEEDS:
                if (question, name, seed) in done:
                    continue
                row = {"question": question, "corpus": name, "seed": seed, **ask(documents, seed), **about}
                add_run(RUNS, row)
    TABLE.write_text(table(read_runs(RUNS)), "utf-8")


def find_outliers(documents: list[Document], seed: int, kinds: int, others: int | None) -> dict[str, Any]:
    """ROC AUC of each method for documents of other labels hidden among those of some labels."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(sorted({document.labels[0] for document in documents})).tolist()
    usual, strange = (
        [document for document in documents if document.labels[0] in those]
        for those in (names[:kinds], names[kinds:][:others])
    )
    usual = [usual[place] for place in rng.permutation(len(usual))[:MOST]]
    strange = [strange[place] for place in rng.permutation(len(strange))[: round(HIDDEN * len(usual))]]
    unlike = {document.id for document in strange}

    def ranked(index: Index, way: Mapping[str, Any]) -> float:
        found = outliers(index, k=len(index), seed=seed, **way)
        return float(roc_auc_score([one.document.id in unlike for one in found], [one.score for one in found]))

    ways: dict[str, dict[str, Any]] = {
        "features": {},
        "codes": {"codes": True},
        **{name: {"encoder": name} for name in SCORERS},
    }
    asked = {name: partial(ranked, way=way) for name, way in ways.items()}
    return {"documents": len(usual), "hidden": len(strange), **timed([*usual, *strange], asked, seed)}


def group(documents: list[Document], seed: int) -> dict[str, Any]:
    """Normalised mutual information of labels and of as many clusters."""
    chosen = [documents[place] for place in np.random.default_rng(seed).permutation(len(documents))[:DRAWN]]
    labels = {document.id: document.labels[0] for document in chosen}

    def ask(index: Index, encoder: str | None) -> float:
        found = clusters(index, len(set(labels.values())), encoder=encoder, seed=seed)
        pairs = [(labels[id], cluster.number) for cluster in found for id in cluster.ids]
        return float(normalized_mutual_info_score(*zip(*pairs, strict=True)))

    ways = {"codes": None, **{name: name for name in ("dec", "gmvae", "subspace")}}
    return {
        "documents": len(chosen),
        **timed(chosen, {way: partial(ask, encoder=by) for way, by in ways.items()}, seed),
    }


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

    asked = {"codes": own, **{name: learned(name) for name in ("deep", "pca")}}
    return {"documents": len(chosen), **timed(chosen, asked, seed)}


def timed(documents: list[Document], asked: Mapping[str, Callable[[Index], float]], seed: int) -> dict[str, Any]:
    """Return the result of each method on an index of the documents, and its seconds."""
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


AMONG = {  # question -> labels of the usual documents, and of those hidden among them
    "one label among one": (1, 1),
    "all labels among one": (1, None),
    "all labels among five": (5, None),
}
QUESTIONS: dict[str, Callable[[list[Document], int], dict[str, Any]]] = {
    **{name: partial(find_outliers, kinds=kinds, others=others) for name, (kinds, others) in AMONG.items()},
    "clusters": group,
    "map": draw_map,
}


def table(found: list[dict[str, Any]]) -> str:
    """Return the page with all results."""
    counts = sorted(set(Counter((run["corpus"], run["question"]) for run in found).values()))
    seeds = f"{counts[0]} or {counts[-1]}" if len(counts) > 1 else counts[0]
    lines = [
        "# Browsing",
        "",
        "Written by `scripts/bench_browse.py` from `figures/browse.jsonl`. `hashret outliers`, `hashret clusters` and "
        f"`hashret map` on an index with {BITS}-bit codes of the default encoder, compared with encoders that have the "
        f"same capability and their own options. Mean ± standard deviation of {seeds} seeds. Seconds do not include "
        "making the index.",
        "",
        "## Outliers",
        "",
        f"Up to {MOST:,} documents of one label or of five, mixed with {HIDDEN:.0%} as many outliers of one "
        "other label "
        "or of all others, sampled with the seed. The figure is the ROC AUC: the probability that an outlier has a "
        "higher score than another document (.5 is random). `features` is the default of the command, `codes` its "
        "option `--codes`. Codes distinguish the subjects of a corpus. Outliers of one kind get codes close to each "
        "other, so distances between codes can rank them as typical.",
        *_rows(found, list(AMONG)),
        "",
        "## Clusters",
        "",
        f"{DRAWN:,} documents in as many clusters as there are labels. `codes` is k-means of the codes, the default of "
        "`hashret clusters`. The figure is the normalised mutual information with the labels (0 to 1, higher is "
        "better).",
        *_rows(found, ["clusters"]),
        "",
        "## Map",
        "",
        f"{DRAWN:,} documents in two dimensions. `codes` is t-SNE of the codes, the default of `hashret map`; "
        "the other "
        "encoders have a code of two units. The figure is the share of documents that have the most frequent label of "
        f"their {NEAR} nearest neighbours.",
        *_rows(found, ["map"]),
    ]
    return "\n".join([*lines, ""])


def _rows(found: list[dict[str, Any]], questions: list[str]) -> list[str]:
    """Return a table with one row per method, best first, and one column per corpus and question."""
    columns = {
        (name, question): own
        for name in CORPORA
        for question in questions
        if (own := [run for run in found if (run["corpus"], run["question"]) == (name, question)])
    }

    def cell(own: list[dict[str, Any]], way: str) -> str:
        got = [run["figures"][way] for run in own]
        return f" {mean(got):.3f} ± {stdev(got):.3f} |" if len(got) > 1 else f" {mean(got):.3f} |"

    if not columns:
        return ["", "Not measured yet."]
    ways = next(iter(columns.values()))[0]["figures"]
    score = {way: mean(mean(run["figures"][way] for run in own) for own in columns.values()) for way in ways}
    slow = {way: mean(run["seconds"][way] for own in columns.values() for run in own) for way in ways}
    heads = [CORPORA[name] + ("" if question not in AMONG else f", {question}") for name, question in columns]
    lines = ["", f"| way | {' | '.join(heads)} | mean | s |", "| --- |" + " --- |" * (len(heads) + 2)]
    for way in sorted(ways, key=lambda way: -score[way]):
        cells = "".join(cell(own, way) for own in columns.values())
        lines.append(f"| `{way}` |{cells} {score[way]:.3f} | {slow[way]:.0f} |")
    return lines


if __name__ == "__main__":
    main()
