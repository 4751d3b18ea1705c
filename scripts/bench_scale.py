"""Measure what an index costs as it grows: bytes a document, memory, and the time of a query.

    python scripts/bench_scale.py [--part NAME]... [--size N]...

Each run is appended to docs/figures/scale.jsonl and skipped when it is there; the tables of docs/scale.md are written
from them. The data are made here.
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from figures import Run, add_run, machine, read_runs
from hashret import loops
from hashret.backends import push
from hashret.documents import Document
from hashret.index import Index
from hashret.search import searcher

DOCS = Path(__file__).parent.parent / "docs"
RUNS, PAGE = DOCS / "figures" / "scale.jsonl", DOCS / "scale.md"
SEED, DIM, BITS, BYTES, QUERIES, K = 0, 32, 64, 16, 30, 10
MARKS = ("<!-- table: {} -->\n", "<!-- end: {} -->\n")  # a table of the page stands between these lines

Rows = Iterator[Run]


def documents(size: int, texts: bool) -> Iterator[Document]:
    """Texts of 12 words drawn by Zipf's law from 50,000, or vectors around a thousand centres."""
    rng = np.random.default_rng(SEED)
    centres = rng.standard_normal((1000, DIM)).astype(np.float32)
    for start in range(0, size, 10_000):
        count = min(10_000, size - start)
        if texts:
            words = np.minimum(rng.zipf(1.2, (count, 12)), 50_000)
            content: list[object] = [" ".join(f"w{word}" for word in own) for own in words.tolist()]
        else:
            content = list(centres[rng.integers(0, 1000, count)] + 0.7 * rng.standard_normal((count, DIM), np.float32))
        yield from (Document(str(start + row), own) for row, own in enumerate(content))  # type: ignore[arg-type]


def folder(size: int) -> Rows:
    """An index in a folder, of texts and of vectors."""
    for kind in ("texts", "vectors"):
        with tempfile.TemporaryDirectory() as scratch:
            path, started = Path(scratch) / "index", time.perf_counter()
            made = list(documents(size, kind == "texts"))
            started = time.perf_counter()
            with Index.create(path, made, encoder="lsh", bits=BITS) as index:
                seconds = time.perf_counter() - started
                total = sum(own.bytes for own in index.store.manifest.files.values())
                parts: dict[str, int] = {}
                for segment in index.store.segments:
                    for name, (_, items) in segment.places.items():
                        own = items * np.dtype(segment_type(name)).itemsize
                        parts[name.split("/")[0]] = parts.get(name.split("/")[0], 0) + own
            yield {"kind": kind, "measure": "seconds to build", "value": round(seconds, 1)}
            yield {"kind": kind, "measure": "bytes a document", "value": round(total / size, 1)}
            for name in ("codes", "vectors", "words", "ids", "lookup"):
                yield {"kind": kind, "measure": f"bytes of {name}", "value": round(parts.get(name, 0) / size, 1)}
            for by in ("codes", "all"):
                yield from ({"kind": kind, "by": by} | row for row in _process(path, kind, by))


def segment_type(name: str) -> type[np.generic]:
    """The type of the items of an array of a segment."""
    from hashret.store.segment import DTYPES

    return DTYPES[name]


def _process(path: Path, kind: str, by: str) -> Rows:
    """A process of its own that opens an index: its memory, the first query and later ones."""
    code = f"from bench_scale import ask; ask({str(path)!r}, {kind!r}, {by!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    for measure, value in json.loads(done.stdout).items():
        yield {"measure": measure, "value": value}


def ask(path: str, kind: str, by: str) -> None:
    """Print the memory of this process and the times of its queries."""
    queries = [document.content for document in documents(QUERIES, kind == "texts")]
    before = _resident()
    spent = []
    with Index.open(path) as index:
        for query in queries:
            started = time.perf_counter()
            index.search(query, k=K, by="codes" if by == "codes" else None)
            spent.append(1000 * (time.perf_counter() - started))
    found = {"first query, ms": spent[0], "query, ms": median(spent[1:]), "memory, MB": (_resident() - before) / 2**20}
    print(json.dumps({name: round(value, 2) for name, value in found.items()}))


def _resident() -> int:
    """The bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def arrays(size: int) -> Rows:
    """The loops of search alone, over random codes and vectors: a scan, tables, and the sum of three parts."""
    rng = np.random.default_rng(SEED)
    codes = rng.integers(0, 256, (size, BITS // 8), np.uint8)
    near = codes[rng.integers(0, size, QUERIES)] ^ (1 << rng.integers(0, 8, (QUERIES, BITS // 8))).astype(np.uint8)
    for name in ("scan", "multi_index"):
        made = searcher(codes, BITS, name=name, threads=2)
        yield {"measure": f"{name}, ms", "value": _each(lambda row, own=made: own.search(near[row : row + 1], K))}  # type: ignore[misc]
    vectors, norms = rng.integers(0, 256, (size, BYTES), np.uint8), rng.random(size, np.float32) + 1
    tables = [rng.integers(-1000, 1000, (width, 256)).astype(np.int32) for width in (BITS // 8, BYTES)]

    def ranked(_: int) -> None:
        scores = np.zeros(size)
        loops.standardize(loops.table_scores(codes, tables[0], 1.0, 0.0), None, 1.0, scores)
        loops.standardize(loops.table_scores(vectors, tables[1], 1.0, 0.0, norms), None, 1.0, scores)
        loops.top(scores, None, K)

    yield {"measure": "codes and vectors, ms", "value": _each(ranked)}


def engines(size: int) -> Rows:
    """A copy of an index of vectors in each engine: the time to push, bytes, and the time of a query."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    servers: Any = importlib.import_module("servers")
    queries = [document.content for document in documents(QUERIES, texts=False)]
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        Index.create(Path(scratch) / "index", list(documents(size, texts=False)), encoder="lsh", bits=BITS).close()
        addresses = {
            "postgresql": f"postgresql://postgres@/postgres/scale?host={stack.enter_context(servers.postgres())}",
            "milvus": f"milvus://127.0.0.1:{stack.enter_context(servers.milvus())}/scale",
        }
        for name, address in addresses.items():
            started = time.perf_counter()
            push(Path(scratch) / "index", address)
            yield {"kind": name, "measure": "seconds to push", "value": round(time.perf_counter() - started, 1)}
            with Index.open(address) as index:
                if (held := index.info()["bytes"]) is not None:
                    yield {"kind": name, "measure": "bytes a document", "value": round(held / size, 1)}
                for by in ("codes", "all"):
                    asked = "codes" if by == "codes" else None
                    spent = _each(lambda row, own=index, by=asked: own.search(queries[row], k=K, by=by))  # type: ignore[misc]
                    yield {"kind": name, "by": by, "measure": "query, ms", "value": spent}


def _each(call: Callable[[int], object]) -> float:
    call(0)
    spent = []
    for row in range(QUERIES):
        started = time.perf_counter()
        call(row)
        spent.append(1000 * (time.perf_counter() - started))
    return round(median(spent), 3)


PARTS: dict[str, tuple[Callable[[int], Rows], tuple[int, ...]]] = {
    "folder": (folder, (100_000, 1_000_000)),
    "arrays": (arrays, (1_000_000, 10_000_000)),
    "engines": (engines, (100_000, 1_000_000)),
}


def tables(runs: list[Run]) -> dict[str, list[str]]:
    """The lines of each table of the page."""
    found: dict[str, list[str]] = {}
    for part, (_, sizes) in PARTS.items():
        own = [run for run in runs if run["part"] == part]
        rows = list(dict.fromkeys((run.get("kind", ""), run.get("by", ""), run["measure"]) for run in own))
        lines = ["| | " + " | ".join(f"{size:,}" for size in sizes) + " |", "| --- |" + " --- |" * len(sizes)]
        for kind, by, measure in rows:
            values = {
                run["documents"]: f"{run['value']:g}"
                for run in own
                if (run.get("kind", ""), run.get("by", ""), run["measure"]) == (kind, by, measure)
            }
            name = ", ".join(filter(None, (kind, by and f"by {by}", measure)))
            lines.append(f"| {name} | " + " | ".join(values.get(size, "-") for size in sizes) + " |")
        found[part] = lines
    return found


def table(runs: list[Run]) -> str:
    """The page, with its tables written anew."""
    page = PAGE.read_text("utf-8")
    for name, lines in tables(runs).items():
        first, last = (mark.format(name) for mark in MARKS)
        if first in page:
            before, _, rest = page.partition(first)
            page = before + first + "\n" + "\n".join(lines) + "\n\n" + last + rest.partition(last)[2]
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", action="append", choices=list(PARTS))
    parser.add_argument("--size", action="append", type=int)
    chosen = parser.parse_args()
    for part in chosen.part or PARTS:
        measure, sizes = PARTS[part]
        for size in chosen.size or sizes:
            about = {"part": part, "documents": size, "seed": SEED}
            if not any(about.items() <= run.items() for run in read_runs(RUNS)):
                for row in list(measure(size)):
                    add_run(RUNS, about | row | machine("numpy", "h5py"))
    PAGE.write_text(table(read_runs(RUNS)), "utf-8")


if __name__ == "__main__":
    main()
