"""Measure hashret on embeddings of MiniLM: compression, answers, kinds and speed, compared with what else there is.

    HASHRET_DATA=/path/to/data python scripts/bench_embeddings.py [--part NAME]... [--seed N]... [--cache FOLDER]

Each run is appended to docs/figures/embeddings.jsonl and skipped when it is there; docs/embeddings.md is written from
them. Embeddings are cached in a folder, so that each text is embedded once. Needs the extra `text-models`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from figures import Run, add_run, cell_of_seeds, data_folder, machine, method_table, read_runs
from hashret.documents import Document
from hashret.evaluation.evaluate import evaluate
from hashret.evaluation.quantize import report
from hashret.evaluation.trec import read_qrels
from hashret.features import Floats
from hashret.frontends.sentence import Sentence
from hashret.hasher import Hasher
from hashret.index import Index
from hashret.readers.beir import Beir
from questions.common import beir, newsgroups, snippets, some
from questions.rankings import Qrels, by_index, values

DOCS = Path(__file__).parent.parent / "docs"
RUNS, TABLE = DOCS / "figures" / "embeddings.jsonl", DOCS / "embeddings.md"
MODEL, SEEDS, BITS = "minilm", (0, 1, 2), 64
SIZES, METHODS = (8, 16, 24, 48), ("signs", "additive", "itq", "pq", "opq", "rabitq")
RESCORED = 100
JUDGED = {"cranfield": "all", "scifact": "test"}
NAMES = {"20news": "20 Newsgroups", "websnippets": "search snippets", "scifact": "SciFact", "cranfield": "Cranfield"}
QUERIES = {"websnippets": 2280, "20news": 1000}  # of the test documents

Rows = Iterator[Run]


class Embedded:
    """The embeddings of collections, computed when first needed."""

    def __init__(self, data: Path, cache: Path) -> None:
        self.data, self.cache_file = data, cache / "embeddings"

    def documents(self, name: str) -> tuple[list[Document], list[Document]]:
        """Documents and queries."""
        if name in JUDGED:
            judged = self.qrels(name)
            return beir(self.data, name), [q for q in Beir(self.data / f"ir_{name}").queries if q.id in judged]
        load = snippets if name == "websnippets" else newsgroups
        return load(self.data, "train"), some(load(self.data, "test"), QUERIES[name])

    def qrels(self, name: str) -> Qrels:
        """The judgements of a collection."""
        return read_qrels(self.data / f"ir_{name}" / "qrels" / f"{JUDGED[name]}.tsv")

    def of(self, name: str) -> tuple[Floats, Floats]:
        """Embeddings of documents and queries, of length 1."""
        documents, queries = self.documents(name)
        vectorizer = Sentence(model=MODEL, words=False)
        vectorizer.use("auto", self.cache_file)
        own = vectorizer.fit(documents).input
        return np.asarray(own), np.asarray(vectorizer.transform(queries).input)  # MiniLM has no prompt for queries


def recall(case: str, embedded: Embedded, seed: int) -> Rows:
    """Which of the nearest by the floats are found in few bytes, and the seconds to fit."""
    own, queries = embedded.of(case)
    yield from report(own, queries, methods=METHODS, sizes=SIZES, seed=seed)


def answers(case: str, embedded: Embedded, seed: int) -> Rows:
    """Questions with judgements: the floats, what is left of them in few bytes, and the parts of an index."""
    own, queries = embedded.of(case)
    documents, asked = embedded.documents(case)
    names = [document.id for document in documents]
    qrels = {query.id: embedded.qrels(case)[query.id] for query in asked}
    exact = queries @ own.T
    ways = {"floats": exact, "sign bits": np.where(queries > 0, 1.0, -1.0) @ np.where(own > 0, 1.0, -1.0).T}
    for way, scores in ways.items():
        run = {q.id: dict(zip(names, row.tolist(), strict=True)) for q, row in zip(asked, scores, strict=True)}
        yield from _judged(way, values(run, qrels, ("nDCG@10", "R@100")))
    hasher = Hasher.fit(documents, bits=BITS, vectorizer=f"sentence:{MODEL}", seed=seed, cache=embedded.cache_file)
    with tempfile.TemporaryDirectory() as folder:
        for size in (16, 48, 96):
            path = Path(folder) / f"{size}"
            with Index.create(path, documents, hasher=hasher, vectors=size, rescore="int8") as index:
                for oversample, more in ((0, ""), (RESCORED, f", {RESCORED} rescored")):
                    run = by_index(index, asked, ("vectors",), oversample)
                    yield from _judged(f"{size} bytes{more}", values(run, qrels, ("nDCG@10", "R@100")))
        with Index.create(Path(folder) / "index", documents, hasher=hasher) as index:
            for by in (("words",), ("vectors",), ("words", "vectors"), ("words", "codes", "vectors")):
                yield from _judged(" + ".join(by), values(by_index(index, asked, by), qrels, ("nDCG@10", "R@100")))


def _judged(method: str, found: dict[str, Any]) -> Rows:
    for measure, each in found.items():
        yield {"method": method, "measure": measure, "value": round(float(each.mean()), 6), "questions": len(each)}


def kinds(case: str, embedded: Embedded, seed: int) -> Rows:
    """Precision by labels: the floats, codes of 64 bits, and the codes of the default without a model."""
    own, queries = embedded.of(case)
    documents, asked = embedded.documents(case)
    labels = [d.labels for d in documents], [d.labels for d in asked]
    measures = ("P@10", "P@100")
    order = np.argsort(-(queries @ own.T), axis=1, kind="stable")[:, :100]
    shared = np.array(
        [[bool(set(labels[0][p]) & set(mine)) for p in near] for near, mine in zip(order, labels[1], strict=True)]
    )
    for k in (10, 100):
        yield {"method": "floats", "measure": f"P@{k}", "value": round(float(shared[:, :k].mean()), 6)}
    made: dict[str, Any] = {"bits": BITS, "seed": seed}
    alone = Hasher.fit(own, vectorizer="precomputed", **made)
    itq = Hasher.fit(own, vectorizer="precomputed", encoder="itq", **made)
    both = Hasher.fit(documents, vectorizer=f"sentence:{MODEL}", cache=embedded.cache_file, **made)
    without = Hasher.fit(documents, **made)
    codes = {
        "neighborhood": (both.encode(documents), both.encode(asked)),
        "neighborhood, words=false": (alone.encode(own), alone.encode(queries)),  # what the first is for short texts
        "itq on the embeddings": (itq.encode(own), itq.encode(queries)),
        "neighborhood without a model": (without.encode(documents), without.encode(asked)),
    }
    for name, pair in codes.items():
        for row in evaluate(pair[0], labels[0], pair[1], labels[1], measures):
            yield {"method": f"{name}, {BITS} bits", "measure": row["measure"], "value": row["value"]}


def speed(case: str, embedded: Embedded, seed: int) -> Rows:
    """Texts a second, as the median of pairs of runs in turn: sentence-transformers' own encode, and ours."""
    documents = some(embedded.documents(case)[0], 256)
    texts = [str(document.content) for document in documents]
    vectorizer = Sentence(model=MODEL, words=False)
    vectorizer.fit(documents)
    own: Any = vectorizer._model
    ratios = []
    for _ in range(5):
        seconds = []
        for encode in (lambda: own.model.encode(texts, batch_size=32), lambda: vectorizer.transform(documents)):
            started = time.perf_counter()
            encode()
            seconds.append(time.perf_counter() - started)
        ratios.append(seconds[0] / seconds[1])
    yield {"method": "speed", "measure": "ratio", "value": round(float(np.median(ratios)), 4), "texts": len(texts)}


Measure = Callable[[str, Embedded, int], Rows]
PARTS: dict[str, tuple[Measure, Sequence[str]]] = {
    "recall": (recall, ("20news", "websnippets", "scifact")),
    "answers": (answers, ("scifact", "cranfield")),
    "kinds": (kinds, ("websnippets", "20news")),
    "speed": (speed, ("20news",)),
}
TITLES = {
    "answers": "Answers",
    "kinds": "Kinds",
}
ABOUT = {
    "answers": "Questions with judgements. `N bytes` ranks by vectors of N bytes alone, and `100 rescored` scores "
    "the best 100 again by int8 vectors on disk. The last rows are the parts of an index with default options.",
    "kinds": "A document is relevant if it has the label of the query. Training saw no labels. `floats` ranks by the "
    "cosine of the embeddings, the others by Hamming distance. `words=false` learns codes from the embeddings alone.",
}


def table(found: list[Run]) -> str:
    """Return the page with the figures."""
    lines = [
        "# Embeddings",
        "",
        "Written by `scripts/bench_embeddings.py` from `figures/embeddings.jsonl`. Texts are embedded by "
        "all-MiniLM-L6-v2 (384 dimensions, the first 256 tokens). Mean ± standard deviation of the seeds "
        f"{', '.join(map(str, SEEDS))} where a method depends on the seed and was run with all.",
        "",
        "## In few bytes",
        "",
        "Recall@10: how many of the ten nearest by the cosine of the floats are among the first ten. All documents are "
        "in the fit. *bytes* are those of the code; `additive` also stores 4 for a norm that the code determines, "
        "and RaBitQ 8 for two factors.",
        *_recalls([run for run in found if run["part"] == "recall"]),
    ]
    for part, title in TITLES.items():
        own = [run for run in found if run["part"] == part]
        pairs = dict.fromkeys((run["case"], run["measure"]) for run in own)
        columns = {f"{NAMES[case]}, {measure}": {"case": case, "measure": measure} for case, measure in pairs}
        lines += ["", f"## {title}", "", ABOUT[part], *method_table(own, columns)]
    ratios = [run["value"] for run in found if run["part"] == "speed"]
    if ratios:
        lines += ["", "## Speed", ""]
        lines += [
            f"Texts a second, compared with `encode` of sentence-transformers in the same run: {cell_of_seeds(ratios)}."
        ]
    return "\n".join([*lines, ""])


def _recalls(found: list[Run]) -> list[str]:
    cases = [case for case in NAMES if any(run["case"] == case for run in found)]
    lines = ["", "| | bytes | " + " | ".join(f"{NAMES[case]} | fit" for case in cases) + " |"]
    lines += ["| --- | --- |" + " --- |" * 2 * len(cases)]
    for method, size in dict.fromkeys((run["method"], _code_bytes(run)) for run in found):
        own = [run for run in found if (run["method"], _code_bytes(run)) == (method, size)]
        cells = []
        for case in cases:
            here = [run for run in own if run["case"] == case]
            cells += [
                cell_of_seeds([run["recall@10"] for run in here]),
                f"{mean(run['fit_seconds'] for run in here):.1f} s" if here else "-",
            ]
        lines.append(f"| {method} | {size} | {' | '.join(cells)} |")
    return lines


def _code_bytes(run: Run) -> int:
    extra = {"additive": 4, "rabitq": 8}
    return int(run["bytes"]) - extra.get(run["method"], 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", action="append", choices=list(PARTS))
    parser.add_argument("--case", action="append", choices=list(NAMES))
    parser.add_argument("--seed", action="append", type=int)
    parser.add_argument("--cache", type=Path, help="folder of the cache of embeddings; a temporary one by default")
    chosen = parser.parse_args()
    data = data_folder("ir_scifact/, websnippets/, ...")
    with tempfile.TemporaryDirectory() as folder:
        embedded = Embedded(data, (chosen.cache or Path(folder)).resolve())
        for seed in chosen.seed or SEEDS:
            for part in chosen.part or PARTS:
                measure, cases = PARTS[part]
                for case in [case for case in cases if chosen.case is None or case in chosen.case]:
                    _run(measure, {"part": part, "case": case, "seed": seed}, embedded)


def _run(measure: Measure, about: Run, embedded: Embedded) -> None:
    """Record a case, unless it is."""
    if any(about.items() <= run.items() for run in read_runs(RUNS)):
        return
    rows = list(measure(about["case"], embedded, about["seed"]))
    for row in rows:
        add_run(RUNS, about | row | machine("torch", "numpy", "faiss-cpu", "sentence-transformers"))
    TABLE.write_text(table(read_runs(RUNS)), "utf-8")


if __name__ == "__main__":
    main()
