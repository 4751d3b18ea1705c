"""Measure the costs of search on this machine and write them to hashret/search/costs.py.

    python scripts/fit_costs.py [--show]

One thread, a million codes by chance: a code of a scan in batches, by its bytes; a bucket; a code while tables grow.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np

from bench_search import best, uniform
from hashret.search import costs
from hashret.search.lookup import Lookup
from hashret.search.multi_index import MultiIndex
from hashret.search.scan import Scan
from hashret.search.tables import Buckets

FILE = Path(costs.__file__)
N, QUERIES = 10**6, 64


def scanned() -> tuple[float, float]:
    """Nanoseconds per code in batches: a constant and an amount per byte."""
    widths = [w for w in costs.LOOPS if w <= 16]  # longer codes are limited by memory bandwidth
    times = []
    for width in widths:
        codes = uniform(N, 8 * width)
        made = Scan(codes, 8 * width, threads=1)
        times.append(1e9 * best(lambda made=made, codes=codes: made.search(codes[:QUERIES], 10)) / N / QUERIES)
    slope, start = np.polyfit(widths, times, 1)
    return max(0.01, float(start)), max(0.001, float(slope))


def bucket(kind: type[Buckets], bits: int, radius: int) -> float:
    """Nanoseconds for each bucket that a search within a radius looks into, what lies in it included."""
    made = kind(uniform(N, bits), bits, threads=1)
    made.costs = (float("inf"), 1.0)
    queries = np.random.default_rng(7).integers(0, 256, (QUERIES, bits // 8), dtype=np.uint8)
    seconds = best(lambda: made.within(queries, radius))
    sizes, most = [len(chunk) for chunk in made.chunks()], radius // len(made.chunks())
    looked = sum(_ways(size, apart) for size in sizes for apart in range(most + 1))
    return 1e9 * seconds / QUERIES / looked


def _ways(n: int, r: int) -> int:
    return int(np.prod([(n - i) / (i + 1) for i in range(r)]) + 0.5)


def built() -> float:
    """Nanoseconds a code in one chunk's table."""
    codes = uniform(N, 64)
    return 1e9 * best(lambda: MultiIndex(codes, 64), 3) / N / costs.chunks(N, 64)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--show", action="store_true", help="change nothing")
    show = parser.parse_args().show
    code, byte = scanned()
    found = {
        "CODE": code,
        "BYTE": byte,
        "BUCKET": bucket(MultiIndex, 64, 11),  # four chunks, up to two bits apart
        "ADDRESS": bucket(Lookup, 24, 4),
        "BUILD": built(),
    }
    source = FILE.read_text("utf-8")
    for name, value in found.items():
        print(f"{name} {value:.3g}")
        source = re.sub(rf"^{name} = [\d.]+", f"{name} = {value:.3g}", source, flags=re.MULTILINE)
    if not show:
        FILE.write_text(source, "utf-8")


if __name__ == "__main__":
    main()
