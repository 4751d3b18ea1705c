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
import time
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from PIL import Image

from figures import add_run, data_folder, read_runs
from hashret.documents import Document
from hashret.encoders import ENCODERS
from hashret.evaluation.evaluate import evaluate
from hashret.features import Features
from hashret.readers import read
from hashret.training import Schedule
from hashret.vectorizers import VECTORIZERS

DOCS = Path(__file__).parent.parent / "docs"
RUNS, TABLE = DOCS / "figures" / "images.jsonl", DOCS / "images.md"
SEEDS, MEASURES = (0, 1, 2), ("AP", "P@10", "P@100")
BITS = {"mnist": (16, 32, 64), "cifar10": (32, 64)}
METHODS = {"mnist": ("neighborhood", "itq on pixels"), "cifar10": ("neighborhood", "itq on pixels", "itq on HOG")}
TITLES = {
    "mnist": "MNIST: 60,000 images, 10,000 queries",
    "cifar10": "CIFAR-10 (JPEG): 10,000 images, 1,000 queries",
}
PER_CLASS = {"train": 1000, "test": 100}  # of CIFAR-10, the first by name

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
            if taken[part, kind] < PER_CLASS[part]:
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
    documents, queries = split
    labels, asked = [d.labels for d in documents], [d.labels for d in queries]
    vectorizer = VECTORIZERS.get("pixels")()
    pixels = vectorizer.fit(documents), vectorizer.transform(queries)
    for method in METHODS[name]:
        encoder, _, view = method.partition(" on ")
        missing = [(b, s) for b in bits for s in seeds if (name, method, b, s) not in done]
        own, theirs = (hog(documents), hog(queries)) if view == "HOG" and missing else pixels
        for length, seed in missing:
            started = time.perf_counter()
            program = ENCODERS.get(encoder)().fit(own, length, Schedule(seed=seed)).program()
            seconds = round(time.perf_counter() - started, 1)
            codes = program.encode(own.input), program.encode(theirs.input)
            for row in evaluate(codes[0], labels, codes[1], asked, MEASURES):
                about = {"corpus": name, "method": method, "bits": length, "seed": seed}
                yield about | row | {"fit_seconds": seconds}


def table(found: list[dict[str, Any]]) -> str:
    """Return the page with the figures."""
    lines = [
        "# Images",
        "",
        "Written by `scripts/bench_images.py` from `figures/images.jsonl`. The training images are indexed, the test "
        "images are the queries. An image is relevant if it has the query's label; training sees no labels. AP is over "
        f"the full ranking; values are expectations over ties. Mean ± standard deviation of {len(SEEDS)} seeds, "
        "default "
        "options. HOG: histograms of oriented gradients.",
    ]
    for name, title in TITLES.items():
        for what in MEASURES:
            lines += ["", f"## {title}, {what}", "", "| | " + " | ".join(f"{b} bits" for b in BITS[name]) + " | fit |"]
            lines += ["| --- |" + " --- |" * (len(BITS[name]) + 1)]
            for method in METHODS[name]:
                own = [r for r in found if (r["corpus"], r["method"], r["measure"]) == (name, method, what)]
                cells = [_cell([r["value"] for r in own if r["bits"] == bits]) for bits in BITS[name]]
                slowest = f"{max(r['fit_seconds'] for r in own):.0f} s" if own else "-"
                lines.append(f"| {method} | {' | '.join(cells)} | {slowest} |")
    return "\n".join([*lines, ""])


def _cell(values: list[float]) -> str:
    return f"{mean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "") if values else "-"


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
