"""Measure the default on images, compared with ITQ: average precision by labels that were not used for training.

    HASHRET_DATA=/path/to/data python scripts/bench_images.py [--corpus NAME]... [--bits N]... [--seed N]...

Each run is appended to docs/figures/images.jsonl and skipped when it is there; docs/images.md is written from them.
Needs scikit-image for the histograms of oriented gradients that ITQ is given on CIFAR-10.
"""

from __future__ import annotations

import argparse
import io
import os
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from figures import add_run, cell, data_folder, read_runs
from hashret.documents import Document
from hashret.encoders import ENCODERS
from hashret.evaluation.evaluate import evaluate
from hashret.evaluation.queries import RankedQueries, evaluate_index
from hashret.features import Features
from hashret.index import Index
from hashret.readers import read
from hashret.training import Schedule
from hashret.vectorizers import VECTORIZERS

DOCS = Path(__file__).parent.parent / "docs"
RUNS, TABLE = DOCS / "figures" / "images.jsonl", DOCS / "images.md"
SEEDS, MEASURES = (0, 1, 2), ("AP", "P@10", "P@100")
BITS = {"mnist": (16, 32, 64), "cifar10": (32, 64), "cifar10-all": (64,)}
CODES, ALL_PARTS = "neighborhood", "neighborhood, codes and vectors"  # the default, by codes alone and by all parts
CIFAR = (CODES, ALL_PARTS, "itq on pixels", "itq on HOG")
METHODS = {"mnist": (CODES, ALL_PARTS, "itq on pixels"), "cifar10": CIFAR, "cifar10-all": CIFAR}
TITLES = {
    "mnist": "MNIST: 60,000 images, 10,000 queries",
    "cifar10": "CIFAR-10 (JPEG): 10,000 images, 1,000 queries",
    "cifar10-all": "CIFAR-10 (JPEG): 50,000 images, 1,000 queries",
}
PER_CLASS = {  # images of a class, the first by name
    "cifar10": {"train": 1000, "test": 100},
    "cifar10-all": {"train": 5000, "test": 100},
}

Split = tuple[list[Document], list[Document]]


def corpus(name: str, data: Path) -> Split:
    """Images and queries."""
    if name == "mnist":
        parts = [read(data / "mnist" / f"{part}-images-idx3-ubyte.gz") for part in ("train", "t10k")]
        return list(parts[0]), list(parts[1])
    found: dict[str, list[Document]] = {"train": [], "test": []}
    taken: Counter[tuple[str, str]] = Counter()
    with tarfile.open(data / "cifar10_jpeg" / "cifar10_jpeg.tar.xz") as archive:
        members = [member for member in archive if member.isfile() and member.name.endswith(".jpg")]
        for member in sorted(members, key=lambda member: member.name):
            part, kind, _ = member.name.split("/")[-3:]
            if taken[part, kind] < PER_CLASS[name][part]:
                taken[part, kind] += 1
                file = archive.extractfile(member)
                assert file is not None
                pixels = np.asarray(Image.open(io.BytesIO(file.read())).convert("RGB"))
                found[part].append(Document(member.name, pixels, (kind,)))
    return found["train"], found["test"]


def hog(documents: list[Document]) -> Features:
    """Histograms of oriented gradients as scikit-image makes them."""
    from skimage.feature import hog as histograms

    size = {"orientations": 9, "pixels_per_cell": (8, 8), "cells_per_block": (2, 2), "channel_axis": 2}
    rows = np.stack([histograms(document.content, **size) for document in documents]).astype(np.float32)
    return Features(rows, rows.shape[1:])


def measure(name: str, split: Split, bits: list[int], seeds: list[int], done: set[Any]) -> Iterator[dict[str, Any]]:
    """The runs that are missing."""
    for length in bits:
        for seed in seeds:
            missing = [method for method in METHODS[name] if (name, method, length, seed) not in done]
            about = {"corpus": name, "bits": length, "seed": seed}
            if by_index := [method for method in missing if method in (CODES, ALL_PARTS)]:
                yield from (about | row for row in _of_index(split, length, seed, by_index))
            for method in missing:
                if method.startswith("itq"):
                    yield from (about | row for row in _of_itq(split, length, seed, method))


def _of_index(split: Split, bits: int, seed: int, methods: list[str]) -> Iterator[dict[str, Any]]:
    """Measure an index with no option set."""
    documents, queries = split
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Index.create(folder, documents, bits=bits, seed=seed) as index:
        seconds = round(time.perf_counter() - started, 1)
        for method in methods:
            asked = RankedQueries(index, queries, "codes" if method == CODES else None)
            for row in evaluate_index(index, asked, MEASURES):
                yield {"method": method, **row, "fit_seconds": seconds}


def _of_itq(split: Split, bits: int, seed: int, method: str) -> Iterator[dict[str, Any]]:
    documents, queries = split
    vectorizer = VECTORIZERS.get("pixels")()
    if method.endswith("HOG"):
        own, theirs = hog(documents), hog(queries)
    else:
        own, theirs = vectorizer.fit(documents), vectorizer.transform(queries)
    started = time.perf_counter()
    program = ENCODERS.get("itq")().fit(own, bits, Schedule(seed=seed)).program()
    seconds = round(time.perf_counter() - started, 1)
    codes = program.encode(own.input), program.encode(theirs.input)
    for row in evaluate(codes[0], [d.labels for d in documents], codes[1], [d.labels for d in queries], MEASURES):
        yield {"method": method, **row, "fit_seconds": seconds}


def table(found: list[dict[str, Any]]) -> str:
    """Return the page with the figures."""
    lines = [
        "# Images",
        "",
        "Written by `scripts/bench_images.py` from `figures/images.jsonl`. The training images are indexed, the test "
        "images are the queries. An image is relevant if it has the query's label; training sees no labels. AP is over "
        f"the full ranking; values are expectations over ties. Mean ± standard deviation of {len(SEEDS)} seeds. "
        "The default (`neighborhood`) is ranked by its codes alone (Hamming distance), and by codes and vectors as "
        "a query on an index ranks. HOG: histograms of oriented gradients. The last column is the time that building "
        "the index, or fitting ITQ, took with the longest codes.",
    ]
    for name, title in TITLES.items():
        for what in MEASURES:
            lines += ["", f"## {title}, {what}", "", "| | " + " | ".join(f"{b} bits" for b in BITS[name]) + " | time |"]
            lines += ["| --- |" + " --- |" * (len(BITS[name]) + 1)]
            for method in METHODS[name]:
                own = [r for r in found if (r["corpus"], r["method"], r["measure"]) == (name, method, what)]
                cells = [cell([r["value"] for r in own if r["bits"] == bits]) for bits in BITS[name]]
                longest = [r for r in own if r["bits"] == BITS[name][-1]]
                slowest = f"{max(r['fit_seconds'] for r in longest):.0f} s" if longest else "-"
                lines.append(f"| {method} | {' | '.join(cells)} | {slowest} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", action="append", choices=list(TITLES))
    parser.add_argument("--bits", action="append", type=int)
    parser.add_argument("--seed", action="append", type=int)
    chosen = parser.parse_args()
    data = data_folder("mnist/ and cifar10_jpeg/")
    RUNS.parent.mkdir(parents=True, exist_ok=True)
    for name in chosen.corpus or TITLES:
        done = {(run["corpus"], run["method"], run["bits"], run["seed"]) for run in read_runs(RUNS)}
        split = corpus(name, data)
        for row in measure(name, split, chosen.bits or list(BITS[name]), chosen.seed or list(SEEDS), done):
            add_run(RUNS, row | {"torch": version("torch"), "cores": os.cpu_count()})
        TABLE.write_text(table(read_runs(RUNS)), "utf-8")


if __name__ == "__main__":
    main()
