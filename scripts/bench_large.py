"""Measure encoding with several processes, and the quality of training on several processes.

    HASHRET_DATA=/path/to/data python scripts/bench_large.py workers|torchrun...

Each run is appended to docs/figures/large.jsonl. docs/scaling.md is written from the runs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from bench_quality import corpus
from figures import add_run, cell, data_folder, machine, read_runs
from hashret.documents import Document
from hashret.evaluation.evaluate import evaluate
from hashret.hasher import Hasher
from hashret.index import Index
from hashret.readers import read

DOCS = Path(__file__).parent.parent / "docs"
RUNS = DOCS / "figures" / "large.jsonl"
TABLE = DOCS / "scaling.md"
WORKERS = (None, 1, 2)
PROCESSES, SEEDS, BITS, MEASURE = (1, 2), (0, 1, 2), 32, "P@100"
TEXTS = "websnippets"


def write(documents: list[Document], path: Path) -> None:
    """Write documents as JSON lines."""
    lines = (json.dumps({"id": d.id, "text": d.content, "label": list(d.labels)}) + "\n" for d in documents)
    path.write_text("".join(lines), "utf-8")


def digest(index: Path) -> str:
    """Return a digest of all files of an index but the manifest, which has a random identity."""
    found = hashlib.sha256()
    for path in sorted(index.rglob("*")):
        if path.is_file() and path.name != "manifest.json":
            found.update(f"{path.relative_to(index)}\0".encode() + path.read_bytes())
    return found.hexdigest()


def workers(data: Path) -> Iterator[dict[str, Any]]:
    """Index the posts of 20 Newsgroups with a hasher, in one process and with workers."""
    own, others = corpus("20news", data)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        posts = [*own, *others]
        for number in range(4):
            write(posts[number::4], folder / f"{number}.jsonl")
        source = [folder / f"{number}.jsonl" for number in range(4)]
        hasher = Hasher.fit(islice(posts, 5000), bits=64, encoder="itq")
        first = ""
        for count in WORKERS:
            path = folder / f"index-{count}"
            started, used = time.perf_counter(), time.process_time()
            Index.create(path, read(*source), hasher=hasher, vectors=None, language="english", workers=count).close()
            seconds, cpu = time.perf_counter() - started, time.process_time() - used
            first = first or digest(path)
            yield {
                "workers": count or 0,
                "documents": len(posts),
                "seconds": round(seconds, 2),
                "seconds of the first process": round(cpu, 2),
                "equal": digest(path) == first,
            }


def torchrun(data: Path) -> Iterator[dict[str, Any]]:
    """Fit the default encoder on search snippets with torchrun, and measure the codes of the test documents."""
    documents, queries = corpus(TEXTS, data)
    labels, asked = [d.labels for d in documents], [d.labels for d in queries]
    with tempfile.TemporaryDirectory() as scratch:
        write(documents, Path(scratch) / "texts.jsonl")
        for seed in SEEDS:
            for count in PROCESSES:
                start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
                fit = ["-m", "hashret", "fit", "texts.jsonl", "--hasher", f"{seed}-{count}", "--seed", str(seed)]
                command = [*start, *fit, "--bits", str(BITS), "--device", "cpu", "--quiet"]
                subprocess.run(command, cwd=scratch, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
                hasher = Hasher.load(Path(scratch) / f"{seed}-{count}")
                codes, asked_codes = hasher.encode(documents), hasher.encode(queries)
                [row] = evaluate(codes, labels, asked_codes, asked, [MEASURE])
                yield {"processes": count, "seed": seed, "measure": MEASURE, "value": round(row["value"], 4)}


PARTS = {"workers": workers, "torchrun": torchrun}


def table(found: list[dict[str, Any]]) -> str:
    """Return the page with the figures."""
    lines = [
        "# Several processes",
        "",
        "Written by `scripts/bench_large.py` from `figures/large.jsonl`. [large.md](large.md) explains the commands.",
        "",
        "## Encoding",
        "",
        "Posts of 20 Newsgroups in four files are indexed with a fitted hasher (`itq`, 64 bits, words but no vectors). "
        "The first process reads all documents, and with workers it appends what they encode; its seconds of "
        "processor time limit what more workers can gain. The measuring machine has two cores, and other programs ran "
        "on it, so the seconds that pass are no guide.",
        "",
        "| workers | documents | seconds | seconds of the first process | equal bytes |",
        "| --- | --- | --- | --- | --- |",
    ]
    last = {run["workers"]: run for run in found if run["part"] == "workers"}
    for count, run in sorted(last.items()):
        seconds = f"{run['seconds']:.1f} | {run['seconds of the first process']:.1f}"
        lines.append(f"| {count or 'none'} | {run['documents']:,} | {seconds} | {'yes' if run['equal'] else 'no'} |")
    lines += [
        "",
        "## Training",
        "",
        f"{MEASURE} of the default encoder with {BITS} bits on search snippets, fitted by torchrun (gloo). Training "
        "documents are the corpus, test documents the queries. Mean ± standard deviation over seeds.",
        "",
        "| processes | seeds | P@100 |",
        "| --- | --- | --- |",
    ]
    runs = {(run["processes"], run["seed"]): run["value"] for run in found if run["part"] == "torchrun"}
    for count in sorted({processes for processes, _ in runs}):
        values = [value for (processes, _), value in sorted(runs.items()) if processes == count]
        lines.append(f"| {count} | {len(values)} | {cell(values)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Run the parts that are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="+", choices=list(PARTS))
    data = data_folder("20newsgroups/, websnippets/")
    for part in parser.parse_args().parts:
        for row in PARTS[part](data):
            add_run(RUNS, {"part": part, **row, **machine("torch")})
    TABLE.write_text(table(read_runs(RUNS)), "utf-8")


if __name__ == "__main__":
    main()
