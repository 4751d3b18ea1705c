"""Measure the default on real texts, compared with common alternatives: precision by labels not used for training.

    HASHRET_DATA=/path/to/data python scripts/bench_quality.py [--corpus NAME]... [--method NAME]... [--bits N]...
        [--seed N]...

Each run is appended to docs/figures/quality.jsonl and skipped when it is there; docs/quality.md is written from them,
and with matplotlib docs/quality.svg.
Vectors are learned once a corpus and shared by all lengths and seeds. No option is set for any corpus.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from figures import add_run, cell, data_folder, machine, read_runs
from hashret import tokens
from hashret.documents import Document
from hashret.encoders import ENCODERS
from hashret.evaluation.evaluate import evaluate, evaluate_run_labels
from hashret.features import CSRMatrix, Features
from hashret.projection import as_scipy
from hashret.readers import read
from hashret.training import Schedule
from hashret.vectorizers import VECTORIZERS

DOCS = Path(__file__).parent.parent / "docs"
RUNS = DOCS / "figures" / "quality.jsonl"
TABLE = DOCS / "quality.md"

BITS, SEEDS, MEASURES = (8, 16, 32, 64, 128), (0, 1, 2), ("P@10", "P@100")
DEEPEST = 100  # documents of a float ranking that the measures look at
TITLES = {
    "ng20_smash": "20 Newsgroups, the split of SMASH (TOIS 2023), counts of words",
    "reuters": "Reuters-21578, ModApte, 90 topics",
    "websnippets": "search snippets, 8 classes",
    "20news": "20 Newsgroups, raw posts, by date",
    "agnews": "AG News, 4 classes, the validation and test parts of DHIM",
}
CODES = {  # name: encoder, vectorizer, its options
    "neighborhood": ("neighborhood", "text", {}),
    "bernoulli": ("bernoulli", "tfidf", {}),
    "itq on topics": ("itq", "text", {"input": "topics"}),
    "itq on words": ("itq", "text", {"input": "words"}),
}
FLOATS = ("tf-idf cosine", "BM25")

Split = tuple[list[Document], list[Document]]


def corpus(name: str, data: Path) -> Split:
    """Documents and queries."""
    if name == "20news":
        folder = data / "20newsgroups"
        parts = [read(folder / f"20news-bydate-{part}.jsonl.gz", label="category") for part in ("train", "test")]
        return list(parts[0]), list(parts[1])
    if name == "websnippets":
        found = list(read(data / name / f"{name}.jsonl.gz"))
        return _split(found, "split", "train", "test")
    if name == "agnews":
        found = list(read(data / name / f"{name}_dhim_valtest.jsonl.gz"))
        return _split(found, "split", "val", "test")
    if name == "reuters":
        folder = data / "reuters21578"
        topics = set((folder / "categories90.txt").read_text("utf-8").split())
        stories = read(folder / "reuters21578.jsonl.gz", id="newid", text="title,body", label="topics")
        found = [replace(story, labels=tuple(t for t in story.labels if t in topics)) for story in stories]
        return _split(found, "modapte90", "train", "test")
    return _counts(np.load(data / name / f"{name}_counts.npz", allow_pickle=False))


def _split(found: list[Document], field: str, *parts: str) -> Split:
    first, second = ([d for d in found if str(d.metadata[field]).startswith(part)] for part in parts)
    return first, second


def _counts(file: Any) -> Split:
    """Create texts from word counts: each word is repeated by its count."""
    parts = []
    for part in ("train", "test"):
        counts, columns, edges = (file[f"{part}_{name}"] for name in ("data", "indices", "indptr"))
        named = file["vocab"][columns].tolist()
        documents = []
        for row, label in enumerate(file[f"{part}_label"].tolist()):
            here = range(edges[row], edges[row + 1])
            text = " ".join(word for at in here for word in [named[at]] * int(counts[at]))
            documents.append(Document(f"{part}-{row}", text, (str(label),)))
        parts.append(documents)
    return parts[0], parts[1]


def measure(
    name: str, split: Split, methods: list[str], bits: list[int], seeds: list[int], done: set[Any]
) -> Iterator[dict[str, Any]]:
    """The runs that are missing."""
    documents, queries = split
    labels, asked = [d.labels for d in documents], [d.labels for d in queries]
    for method in FLOATS:
        if (name, method, 0, 0) not in done:
            for row in _floats(method, documents, queries):
                yield {"corpus": name, "method": method, "bits": 0, "seed": 0, **row}
    fitted: dict[str, tuple[Features, Features]] = {}
    for method in methods:
        encoder, view, options = CODES[method]
        for length in bits:
            for seed in seeds:
                if (name, method, length, seed) in done:
                    continue
                if method not in fitted:
                    vectorizer = VECTORIZERS.get(view).from_params(options)
                    fitted[method] = vectorizer.fit(documents), vectorizer.transform(queries)
                own, theirs = fitted[method]
                started = time.perf_counter()
                program = ENCODERS.get(encoder)().fit(own, length, Schedule(seed=seed)).program()
                seconds = round(time.perf_counter() - started, 1)
                codes, query_codes = program.encode(own.input), program.encode(theirs.input)
                about = {"corpus": name, "method": method, "bits": length, "seed": seed}
                for row in evaluate(codes, labels, query_codes, asked, MEASURES):
                    yield about | row | {"fit_seconds": seconds}


def _floats(method: str, documents: list[Document], queries: list[Document]) -> list[dict[str, Any]]:
    """Rankings by vectors of words."""
    texts, asked = ([str(d.content) for d in part] for part in (documents, queries))
    kept, df = tokens.vocabulary(texts, 10_000, 2, 0.5)
    number = {word: column for column, word in enumerate(kept)}
    own, theirs = tokens.count(texts, number), tokens.count(asked, number)
    if method == "BM25":
        held, wanted = _bm25(own, df), as_scipy(theirs)
    else:
        idf = tokens.rarity(df, len(texts))
        held, wanted = as_scipy(tokens.weigh(own, idf)), as_scipy(tokens.weigh(theirs, idf))
    run = {}
    for row, query in enumerate(queries):
        near = (wanted[row : row + 1] @ held.T).toarray()[0]
        best = np.argpartition(-near, DEEPEST)[:DEEPEST].tolist()
        run[query.id] = {documents[place].id: float(near[place]) for place in best}
    relevant = {d.id: d.labels for d in documents}
    return evaluate_run_labels(run, relevant, {q.id: q.labels for q in queries}, MEASURES)


def _bm25(counts: CSRMatrix, df: np.ndarray, k1: float = 0.9, b: float = 0.4) -> Any:
    """Weights of Robertson & Zaragoza (2009)."""
    rows = np.repeat(np.arange(len(counts)), np.diff(counts.offsets))
    length = np.bincount(rows, counts.data, len(counts))
    norm = k1 * (1 - b + b * length / length.mean())
    idf = np.log(1 + (len(counts) - df + 0.5) / (df + 0.5))
    weights = idf[counts.indices] * counts.data / (counts.data + norm[rows])
    return as_scipy(CSRMatrix(weights.astype(np.float32), counts.indices, counts.offsets, counts.width))


def table(found: list[dict[str, Any]]) -> str:
    """Return the page with the figures."""
    lines = [
        "# Quality",
        "",
        "Written by `scripts/bench_quality.py` from `figures/quality.jsonl`. The training documents are indexed, the "
        "test documents are the queries. A document is relevant if it shares a label with the query; training sees no "
        f"labels. Values are expectations over ties. Mean ± standard deviation of {len(SEEDS)} seeds; the options are "
        "the same for all corpora. `topics` is latent semantic analysis, `words` is the mean of word vectors learned "
        "from the corpus, `bernoulli` reads tf-idf, and BM25 gets the full document as the query.",
        "",
        "![precision against bits](quality.svg)",
    ]
    for name, title in TITLES.items():
        own = [run for run in found if run["corpus"] == name]
        if own:
            lines += ["", f"## {title}", *_tables(own)]
    return "\n".join([*lines, ""])


def summary(found: list[dict[str, Any]], bits: int = 32, measure: str = "P@100") -> str:
    """Return the table of the README."""
    names = [name for name in TITLES if any(run["corpus"] == name for run in found)]
    lines = [f"| {measure} | {' | '.join(names)} |", "| --- |" + " --- |" * len(names)]
    for method in (name for name in (*CODES, *FLOATS) if any(r["method"] == name for r in found)):
        of = {name: [run for run in found if run["corpus"] == name] for name in names}
        cells = (_cell(own, method, bits if method in CODES else 0, measure) for own in of.values())
        lines.append(f"| {method}{f', {bits} bits' if method in CODES else ''} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _tables(own: list[dict[str, Any]]) -> Iterator[str]:
    lengths = sorted({run["bits"] for run in own} - {0})
    for what in MEASURES:
        yield from ("", f"{what}:", "")
        yield f"| | {' | '.join(f'{length} bits' for length in lengths)} |"
        yield "| --- |" + " --- |" * len(lengths)
        for method in (name for name in CODES if any(r["method"] == name for r in own)):
            cells = (_cell(own, method, length, what) for length in lengths)
            yield f"| {method} | {' | '.join(cells)} |"
    yield from ("", "Without codes:", "", f"| | {' | '.join(MEASURES)} |", "| --- | --- | --- |")
    for method in FLOATS:
        yield f"| {method} | {' | '.join(_cell(own, method, 0, what) for what in MEASURES)} |"


def _cell(own: list[dict[str, Any]], method: str, bits: int, measure: str) -> str:
    wanted = (method, bits, measure)
    values = [r["value"] for r in own if (r["method"], r["bits"], r["measure"]) == wanted]
    return cell(values)


def plot(found: list[dict[str, Any]], target: Path, measure: str = "P@100") -> None:
    """Plot precision against bits, one panel per corpus."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    plt.rcParams["svg.hashsalt"] = "hashret"  # the same image from the same figures
    figure, frames = plt.subplots(2, 3, figsize=(12, 7), layout="constrained")
    for axes, (name, title) in zip(frames.flat, TITLES.items(), strict=False):
        own = [r for r in found if r["corpus"] == name and r["measure"] == measure]
        for method in CODES:
            by_bits = {b: [r["value"] for r in own if (r["method"], r["bits"]) == (method, b)] for b in BITS}
            rows = [(bits, mean(values), np.std(values)) for bits, values in by_bits.items() if values]
            if rows:
                axes.errorbar(*np.transpose(rows), fmt="o-", markersize=4, capsize=3, label=method)
        for method, line in zip(FLOATS, ("--", ":"), strict=True):
            for run in (run for run in own if run["method"] == method):
                axes.axhline(run["value"], linestyle=line, color="grey", label=f"{method}, no codes")
        axes.set(xscale="log", title=title.split(",")[0] + (", raw" if name == "20news" else ""))
        axes.set(xlabel="bits", ylabel=measure)
        axes.set_xticks(BITS, list(map(str, BITS)))
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    frames.flat[-1].axis("off")
    frames.flat[-1].legend(*frames.flat[0].get_legend_handles_labels(), loc="center")
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", action="append", choices=list(TITLES))
    parser.add_argument("--method", action="append", choices=list(CODES))
    parser.add_argument("--bits", action="append", type=int)
    parser.add_argument("--seed", action="append", type=int)
    chosen = parser.parse_args()
    data = data_folder("websnippets/, reuters21578/, ...")
    about = machine("torch")
    RUNS.parent.mkdir(parents=True, exist_ok=True)
    for name in chosen.corpus or TITLES:
        done = {(run["corpus"], run["method"], run["bits"], run["seed"]) for run in read_runs(RUNS)}
        split = corpus(name, data)
        methods, bits, seeds = chosen.method or list(CODES), chosen.bits or list(BITS), chosen.seed or list(SEEDS)
        for row in measure(name, split, methods, bits, seeds, done):
            add_run(RUNS, row | about)
        TABLE.write_text(table(read_runs(RUNS)), "utf-8")
    if importlib.util.find_spec("matplotlib"):
        plot(read_runs(RUNS), TABLE.with_suffix(".svg"))


if __name__ == "__main__":
    main()
