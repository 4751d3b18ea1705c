"""Measure search against other libraries in one run: time per query and recall.

    HASHRET_DATA=/path/to/data python scripts/bench_search.py [--codes KIND]... [--documents N]... [--bits N]...

Codes are uniform, clustered, or those of the default encoder, learned from news (agnews/) and given to a million texts
made by recombining them. Each case is appended to docs/figures/search.jsonl and skipped when it is there;
docs/performance.md is written from them.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from figures import add_run, machine, read_runs
from hashret.codes import Codes, pack
from hashret.documents import Document
from hashret.search import searcher

DOCS = Path(__file__).parent.parent / "docs"
RUNS = DOCS / "figures" / "search.jsonl"
TABLE = DOCS / "performance.md"

KINDS = {
    "uniform": "uniform: random bits, no near codes",
    "clustered": "clustered: 20,000 centres, each bit flipped with probability .05",
    "encoder": "the default encoder's, of a million recombined news texts",
}
SIZES, LENGTHS, K, ASKED = (10**5, 10**6, 10**7), (32, 64, 128, 256), 10, 200
RADII = (2, 4)  # of addresses: 211 and 6,196 of them
WANTED = 0.99  # recall that an inexact index has to reach
Answer = tuple[np.ndarray, np.ndarray]  # distances, positions [m, k]


def uniform(n: int, bits: int) -> Codes:
    """Random codes."""
    return np.random.default_rng(0).integers(0, 256, (n, bits // 8), dtype=np.uint8)


def clustered(n: int, bits: int) -> Codes:
    """Codes near centres."""
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 256, (20_000, bits // 8), dtype=np.uint8)
    made = centres[rng.integers(len(centres), size=n)]
    for start in range(0, n, 100_000):
        part = made[start : start + 100_000]
        part ^= np.packbits(rng.random((len(part), bits), dtype=np.float32) < 0.05, axis=1)
    return made


@cache
def texts(n: int) -> tuple[list[Document], list[str]]:
    """News to learn from, and n texts, each of a piece of one and a piece of another."""
    from bench_quality import corpus

    learned, others = corpus("agnews", Path(os.environ["HASHRET_DATA"]))
    rng = np.random.default_rng(0)
    words = [str(document.content).split() for document in (*learned, *others)]
    made = []
    for a, b in rng.integers(len(words), size=(n, 2)).tolist():
        piece = max(1, len(words[b]) // 4)
        at, start = rng.integers(len(words[a]) + 1), rng.integers(max(1, len(words[b]) - piece))
        made.append(" ".join([*words[a][:at], *words[b][start : start + piece], *words[a][at:]]))
    return learned, made


@cache
def encoder(n: int, bits: int) -> Codes:
    """Codes of recombined texts."""
    from hashret.hasher import Hasher

    learned, made = texts(n)
    hasher = Hasher.fit(learned, bits=bits)
    parts = (made[start : start + 20_000] for start in range(0, n, 20_000))
    codes = [hasher.encode([Document(text, text) for text in part]) for part in parts]
    return np.concatenate(codes)[np.random.default_rng(1).permutation(n)]


def ways(codes: Codes, bits: int, asked: Codes, edge: np.ndarray) -> Iterator[tuple[str, Any]]:
    """Yield each method with a function that queries it, created on demand."""
    dim = 8 * codes.shape[1]
    for name in ("scan", "multi_index", "lookup")[: 3 if bits <= 32 else 2]:
        ours = searcher(codes, bits, name, threads=1)
        yield name, lambda queries, ours=ours: ours.search(queries, K).distances
    flat = faiss.IndexBinaryFlat(dim)
    flat.add(codes)
    yield "FAISS flat", lambda queries: flat.search(queries, K)[0]
    if len(codes) <= 10**6:
        ivf: Any = faiss.index_binary_factory(dim, f"BIVF{1024 if len(codes) <= 10**5 else 4096}")
        ivf.cp.min_points_per_centroid = 1
        ivf.train(codes[:200_000])
        ivf.add(codes)
        yield "FAISS IVF", _enough(ivf, "nprobe", (1, 2, 4, 8, 16, 32, 64, 128), asked, edge)
        multi = faiss.IndexBinaryMultiHash(dim, 4, min(16, bits // 4))
        multi.add(codes)
        yield "FAISS MultiHash", _enough(multi, "nflip", (0, 1, 2), asked, edge)
    if len(codes) <= 10**5:
        graph = faiss.IndexBinaryHNSW(dim, 16)
        graph.add(codes)
        yield "FAISS HNSW", _enough(graph.hnsw, "efSearch", (16, 64, 256), asked, edge, graph)
    if importlib.util.find_spec("usearch") and len(codes) <= 10**6:
        from usearch.index import MetricKind, search

        yield "usearch, exact", lambda queries: search(codes, queries, K, MetricKind.Hamming, exact=True).distances


def _enough(
    knob: Any, name: str, values: tuple[int, ...], asked: Codes, edge: np.ndarray, index: Any = None
) -> Callable[[Codes], np.ndarray]:
    """Tune an index to reach the required recall, or the best it can."""
    index = index or knob
    for value in values:
        setattr(knob, name, value)
        if recall(index.search(asked, K)[0], edge) >= WANTED:
            break
    return lambda queries: np.asarray(index.search(queries, K)[0])


def recall(distances: np.ndarray, edge: np.ndarray) -> float:
    """Return the share of results not farther than the k-th true neighbour; ties count as found."""
    return float(((distances <= edge[:, None]) & (distances >= 0)).mean())


def best(work: Callable[..., Any], repeats: int = 5) -> float:
    """Return the minimum time of several repetitions, in seconds, because the machine is shared."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def measure(kind: str, n: int, bits: int) -> Iterator[dict[str, Any]]:
    """All methods on one case, on one thread."""
    faiss.omp_set_num_threads(1)
    makers: dict[str, Callable[[int, int], Codes]] = {"uniform": uniform, "clustered": clustered, "encoder": encoder}
    made = makers[kind](n + ASKED, bits)
    asked, codes = made[:ASKED], np.ascontiguousarray(made[ASKED:])
    edge = searcher(codes, bits, "scan").search(asked, K).distances[:, -1]
    whole = codes.reshape(-1)[: codes.size // 8 * 8].view(np.uint64)
    case = {"codes": kind, "documents": n, "bits": bits}
    yield case | {"method": "reading", "one_us": 1e6 * best(whole.max, 9)}
    started = time.perf_counter()
    for name, ask in ways(codes, bits, asked, edge):
        built = time.perf_counter() - started
        some = asked[: 20 if n * bits > 10**8 else ASKED]
        one = best(lambda ask=ask, some=some: [ask(some[i : i + 1]) for i in range(len(some))], 3) / len(some)
        batch = best(lambda ask=ask: ask(asked[:100])) / 100
        row = {"method": name, "one_us": round(1e6 * one, 2), "batch_us": round(1e6 * batch, 2)}
        yield case | row | {"recall": round(recall(ask(asked), edge), 4), "build_seconds": round(built, 2)}
        started = time.perf_counter()


def addresses() -> Iterator[dict[str, Any]]:
    """Lookup within a radius, 20 bits, among few documents and among a hundred times as many, all others far away."""
    rng = np.random.default_rng(0)
    every, asked, few = np.arange(2**20), rng.integers(2**20, size=20), rng.integers(2**20, size=10**5)
    far = np.all([np.bitwise_count(every ^ query) > max(RADII) for query in asked], axis=0)
    many = np.concatenate([few, rng.choice(every[far], 10**7 - len(few))])
    for numbers in (few, many):
        codes, queries = (pack((n[:, None] >> np.arange(20) & 1).astype(bool)) for n in (numbers, asked))
        for radius in RADII:
            made: Any = searcher(codes, 20, "lookup", threads=1)
            found = made.within(queries, radius)
            case = {"codes": "addresses", "documents": len(codes), "bits": 20, "radius": radius, "method": "lookup"}
            one = best(lambda m=made, r=radius, q=queries: [m.within(q[i : i + 1], r) for i in range(20)], 7) / 20
            yield case | {
                "one_us": round(1e6 * one, 2),
                "hits": len(found.positions) / 20,
                "served": float(made.luck[0]),
            }


def table(found: list[dict[str, Any]]) -> str:
    """Return the page with the figures."""
    lines = [
        "# Performance",
        "",
        f"Written by `scripts/bench_search.py` from `figures/search.jsonl`: the {K} nearest neighbours, one "
        "thread, all "
        "methods of a case in one run. Times are microseconds per query, for single queries and for batches of "
        "100; the "
        "column after each is the speed relative to FAISS's full scan. Recall counts a document as found if it is not "
        f"farther than the true {K}th; approximate indexes are tuned to reach {WANTED} where they can. "
        "`reading` is the "
        "time in which NumPy finds the maximum of all codes, a limit set by the memory. `scan`, `multi_index` and "
        "`lookup` are exact by construction.",
        "",
        "![microseconds a query](performance.svg)",
    ]
    cases = sorted(
        {(r["codes"], r["bits"], r["documents"]) for r in found if r["codes"] in KINDS},
        key=lambda c: (list(KINDS).index(c[0]), *c[1:]),
    )
    for kind, bits, n in cases:
        own = [r for r in found if (r["codes"], r["bits"], r["documents"]) == (kind, bits, n)]
        flat = next(r for r in own if r["method"] == "FAISS flat")
        lines += ["", f"## {n:,} codes of {bits} bits, {KINDS[kind]}", ""]
        lines += ["| | one by one | | in batches | | recall | built in, s |", "| --- |" + " --- |" * 6]
        for row in own:
            cells = [f"{row['one_us']:,.0f}" if row["one_us"] >= 100 else f"{row['one_us']:.1f}"]
            if row["method"] == "reading":
                lines.append(f"| reading | {cells[0]} | {n * bits / 8e3 / row['one_us']:.1f} GB/s | | | | |")
                continue
            cells += [f"{flat['one_us'] / row['one_us']:.1f}", f"{row['batch_us']:,.1f}"]
            cells += [
                f"{flat['batch_us'] / row['batch_us']:.1f}",
                f"{row['recall']:.3f}",
                f"{row['build_seconds']:.1f}",
            ]
            lines.append(f"| {row['method']} | {' | '.join(cells)} |")
    if around := [r for r in found if r["codes"] == "addresses"]:
        lines += ["", "## Addresses: `lookup`, 20 bits, all within a radius, one query at a time", ""]
        lines += ["| documents | radius | documents found | us |", "| --- | --- | --- | --- |"]
        lines += [f"| {r['documents']:,} | {r['radius']} | {r['hits']:.0f} | {r['one_us']:.1f} |" for r in around]
    return "\n".join([*lines, ""])


def plot(found: list[dict[str, Any]], target: Path, n: int = 10**6, bits: int = 64) -> None:
    """Plot the time per query of each method on each kind of codes, as SVG."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.hashsalt"], rcParams["svg.fonttype"] = "hashret", "none"
    own = [r for r in found if (r["documents"], r["bits"]) == (n, bits) and "batch_us" in r]
    methods = list(dict.fromkeys(r["method"] for r in own))
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    for kind, marker in zip(KINDS, "os^", strict=True):
        rows = [r for r in own if r["codes"] == kind]
        places = [methods.index(r["method"]) for r in rows]
        axes.scatter(
            [r["batch_us"] for r in rows], places, marker=marker, label=KINDS[kind].split(":")[0].split(",")[0]
        )
        for r, place in zip(rows, places, strict=True):
            if r["recall"] < WANTED:
                axes.annotate(
                    f"recall {r['recall']:.2f}", (r["batch_us"], place), xytext=(4, 4), textcoords="offset points"
                )
    axes.set(xscale="log", xlabel=f"microseconds a query: {n:,} codes of {bits} bits, batches of 100, one thread")
    axes.set_yticks(range(len(methods)), methods)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.legend()
    figure.savefig(target, metadata={"Date": None})


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--codes", action="append", choices=list(KINDS))
    parser.add_argument("--documents", action="append", type=int)
    parser.add_argument("--bits", action="append", type=int)
    chosen = parser.parse_args()
    if "HASHRET_DATA" not in os.environ and "encoder" in (chosen.codes or KINDS):
        sys.exit("HASHRET_DATA is not set: the folder that holds agnews/; --codes uniform does without")
    from hashret import _kernel

    about = {"faiss": version("faiss-cpu"), "kernel": _kernel.variants()[0], **machine("numpy")}
    for kind in chosen.codes or KINDS:
        for n in chosen.documents or SIZES:
            for bits in chosen.bits or LENGTHS:
                done = {(run["codes"], run["documents"], run["bits"]) for run in read_runs(RUNS)}
                large = n * bits > 10**9 or (kind == "encoder" and (n > 10**6 or bits == 256))
                if (kind, n, bits) in done or (large and not chosen.documents):
                    continue
                for row in [*measure(kind, n, bits)]:  # all of them or none
                    add_run(RUNS, row | about)
    if not chosen.codes and not any(run["codes"] == "addresses" for run in read_runs(RUNS)):
        for row in addresses():
            add_run(RUNS, row | about)
    TABLE.write_text(table(read_runs(RUNS)), "utf-8")
    if importlib.util.find_spec("matplotlib"):
        plot(read_runs(RUNS), TABLE.with_suffix(".svg"))


if __name__ == "__main__":
    main()
