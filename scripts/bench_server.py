"""Measure the server on loopback: searches a second, latency, writes beside them, memory, and a map of many points.

    python scripts/bench_server.py [--requests 100000] [--points 1000000] [--seconds 20]

The server runs as `hashret serve --workers 2` in processes of its own, clients as one more process. A FastAPI
application with a handler that does nothing is measured in the same way. The map is opened in chromium, if playwright
and chromium are installed. Each run is appended to docs/figures/server.jsonl; docs/server-speed.md is written from the
last one; memory is that of the run with most requests.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import psutil

from figures import add_run, machine, read_runs
from hashret.index import Index
from hashret.server.points import Points, file_of, version_of, whole

DOCS = Path(__file__).parent.parent / "docs"
RUNS = DOCS / "figures" / "server.jsonl"
PAGE = DOCS / "server-speed.md"

DOCUMENTS, WORDS, LENGTH, TERMS = 20_000, 20_000, 60, 4  # documents, different words, words of a document, of a query
CLIENTS, QUERIES, WARM = 8, 2000, 3  # connections; different queries; seconds before measuring
TOKEN = "token-of-the-benchmark"
BARE = """
import sys
import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess
from hashret.server.run import listening

app = FastAPI()

@app.get("/")
async def nothing() -> dict[str, int]:
    return {"a": 1}

if __name__ == "__main__":
    config = uvicorn.Config("bare:app", workers=2, http="h11", access_log=False, log_level="warning")
    Multiprocess(config, sockets=[listening("127.0.0.1", int(sys.argv[1]))]).run()
"""


def main() -> None:
    """Measure everything, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=100_000, help="requests over which memory is watched")
    parser.add_argument("--points", type=int, default=1_000_000, help="points of the map")
    parser.add_argument("--seconds", type=float, default=20, help="seconds of each measurement")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, queries = make_index(Path(folder) / "texts")
        row: dict[str, Any] = {"documents": DOCUMENTS, "clients": CLIENTS}
        row["bare"] = bare(Path(folder), chosen.seconds)
        with served(["-i", path, "--workers", 2, "--token", TOKEN]) as (address, processes):
            paths = [f"/api/texts/search?q={quote(query)}" for query in queries]
            row["search"] = load(address, paths, chosen.seconds)
            row["search_and_writes"] = beside_writes(address, paths, chosen.seconds)
            row["memory"] = memory(address, paths, processes, chosen.requests)
        row["map"] = big_map(Path(folder) / "points", chosen.points)
        add_run(RUNS, row | machine("fastapi", "uvicorn"))
    PAGE.write_text(table(read_runs(RUNS)), "utf-8")


def make_index(path: Path) -> tuple[Path, list[str]]:
    """An index of random texts with the frequencies of words of Zipf's law, and queries."""
    rng, words = np.random.default_rng(0), [f"w{number}" for number in range(WORDS)]
    weights = 1 / np.arange(1, WORDS + 1)
    weights /= weights.sum()
    texts = (" ".join(rng.choice(words, LENGTH, p=weights)) for _ in range(DOCUMENTS))
    documents = [{"id": f"d{number}", "text": text} for number, text in enumerate(texts)]
    Index.create(path, documents, bits=64, encoder="itq").close()
    return path, [" ".join(rng.choice(words, TERMS, p=weights)) for _ in range(QUERIES)]


@contextlib.contextmanager
def served(arguments: Sequence[object]) -> Iterator[tuple[str, list[psutil.Process]]]:
    """`hashret serve` in processes of its own: its address, and these processes."""
    command = [sys.executable, "-c", "from hashret.cli import main; main()", "serve", "--port", "0"]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*command, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        found = re.search(r" at (http://\S+)/;", process.stdout.readline())
        assert found is not None
        wait_for(found[1], "/healthz")
        time.sleep(3)  # until the other worker serves too
        own = psutil.Process(process.pid)
        yield found[1], [own, *own.children(recursive=True)]
    finally:
        process.terminate()
        process.wait(60)


def wait_for(address: str, path: str) -> None:
    """Wait until a server answers."""
    for _ in range(600):
        with contextlib.suppress(OSError):
            if asyncio.run(timed(address, [path], 0.01, 1))["count"]:
                return
        time.sleep(0.1)
    sys.exit(f"{address} does not answer")


def load(address: str, paths: Sequence[str], seconds: float, clients: int = CLIENTS) -> dict[str, float]:
    """Requests a second and their latencies, from a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(_run, (address, list(paths), WARM, clients))
        found: dict[str, float] = pool.apply(_run, (address, list(paths), seconds, clients))
    return found


def _run(address: str, paths: list[str], seconds: float, clients: int) -> dict[str, float]:
    return asyncio.run(timed(address, paths, seconds, clients))


async def timed(address: str, paths: Sequence[str], seconds: float, clients: int) -> dict[str, float]:
    """Send requests on connections that stay open, each when the answer to the one before has come."""
    until = time.perf_counter() + seconds
    each = await asyncio.gather(*(_client(address, paths[place::clients] or paths, until) for place in range(clients)))
    times = np.array([own for part in each for own in part]) * 1000
    rate = len(times) / seconds
    middle, late = np.percentile(times, [50, 99]) if len(times) else (0.0, 0.0)
    return {"count": len(times), "per_second": round(rate, 1), "p50_ms": round(float(middle), 2)} | {
        "p99_ms": round(float(late), 2)
    }


async def _client(address: str, paths: Sequence[str], until: float) -> list[float]:
    host, port = urlsplit(address).hostname or "", urlsplit(address).port or 80
    reader, writer = await asyncio.open_connection(host, port)
    times, number = [], 0
    while (began := time.perf_counter()) < until:
        writer.write(f"GET {paths[number % len(paths)]} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode("latin-1").splitlines()[0])
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        assert length is not None
        await reader.readexactly(int(length[1]))
        times.append(time.perf_counter() - began)
        number += 1
    writer.close()
    return times


def bare(folder: Path, seconds: float) -> dict[str, float]:
    """A FastAPI application whose handler does nothing, with two workers."""
    (folder / "bare.py").write_text(BARE)
    process = subprocess.Popen([sys.executable, "bare.py", "8799"], cwd=folder)
    try:
        wait_for("http://127.0.0.1:8799", "/")
        time.sleep(2)
        return load("http://127.0.0.1:8799", ["/"], seconds)
    finally:
        process.terminate()
        process.wait(30)


def beside_writes(address: str, paths: Sequence[str], seconds: float) -> dict[str, float]:
    """Searches while documents are added one at a time, five a second."""
    import http.client

    stop, added = threading.Event(), 0

    def write() -> None:
        nonlocal added
        connection = http.client.HTTPConnection(urlsplit(address).netloc)
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        while not stop.wait(0.2):
            body = {"documents": [{"id": f"new-{added}", "text": f"w{added} w{added + 1} w5"}]}
            connection.request("POST", "/api/texts/documents", json.dumps(body), headers)
            response = connection.getresponse()
            said = response.read()
            assert response.status == 200, said
            added += 1

    thread = threading.Thread(target=write)
    thread.start()
    found = load(address, paths, seconds)
    stop.set()
    thread.join()
    return found | {"written": added}


def memory(address: str, paths: Sequence[str], processes: list[psutil.Process], requests: int) -> dict[str, float]:
    """MiB of all processes of the server, at the start and after each tenth of many requests."""

    def used() -> float:
        return float(round(sum(own.memory_info().rss for own in processes if own.is_running()) / 2**20, 1))

    rate = load(address, paths, 2)["per_second"]
    begun, found, done = used(), [], 0.0
    while done < requests:
        done += load(address, paths, max(5.0, requests / 10 / rate))["count"]
        found.append(used())
    return {"requests": done, "begun_mib": begun, "half_mib": found[len(found) // 2], "ended_mib": found[-1]}


def big_map(path: Path, count: int) -> dict[str, float]:
    """A map of many points, made here: bytes sent, and milliseconds until it can be used in chromium."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((count, 8)).astype(np.float32)
    index = Index.create(path, vectors, bits=16, encoder="lsh", vectors=None)
    centres = rng.uniform(-0.8, 0.8, (20, 2))
    label = rng.integers(0, 20, count)
    places = centres[label] + rng.standard_normal((count, 2)) * 0.06
    labels = [f"group {number}" for number in range(20)]
    points = Points(version_of(index), whole(places[:, 0]), whole(places[:, 1]), label.astype(np.uint16), labels)
    points.save(file_of(index.path))
    index.close()
    row: dict[str, float] = {"points": count, "bytes": len(points.bytes())}
    with served(["-i", path]) as (address, _):
        row |= in_browser(f"{address}/i/points/map")
    return row


def in_browser(address: str) -> dict[str, float]:
    """Open the map in chromium: milliseconds until all points are drawn, of a zoom, and of a selection of half."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return {}
    chromium = shutil.which("chromium")
    if chromium is None:
        return {}
    flags = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 1000, "height": 800})
        page.goto(address)
        page.wait_for_selector("#map[data-ready]", timeout=120_000)
        ready = float(page.evaluate("Number(document.querySelector('#map').dataset.ready)"))
        began = time.perf_counter()
        page.click("#closer")
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        zoomed = time.perf_counter() - began
        page.click("#lasso")
        box = page.locator("#lasso-layer").bounding_box()
        assert box is not None
        corners = [(5, 5), (box["width"] / 2, 5), (box["width"] / 2, box["height"] - 5), (5, box["height"] - 5)]
        began = time.perf_counter()
        page.mouse.move(box["x"] + 5, box["y"] + 5)
        page.mouse.down()
        for x, y in corners:
            page.mouse.move(box["x"] + x, box["y"] + y)
        page.mouse.up()
        page.wait_for_selector("#selection li", timeout=60_000)
        selected = time.perf_counter() - began
        browser.close()
    return {"ready_ms": ready, "zoom_ms": round(1000 * zoomed), "select_ms": round(1000 * selected)}


def table(runs: Sequence[dict[str, Any]]) -> str:
    """The page."""
    run = runs[-1]
    rows = [
        ("a FastAPI handler that does nothing", run["bare"]),
        ("text searches", run["search"]),
        ("text searches beside writes", run["search_and_writes"]),
    ]
    lines = [
        "# Speed of the server\n",
        "Written by `scripts/bench_server.py` from `figures/server.jsonl`.\n",
        f"`hashret serve --workers 2` on loopback, {run['documents']:,} documents of {LENGTH} words, 64 bits, all "
        f"three parts, k 10 with snippets; queries of {TERMS} words on {run['clients']} connections. "
        f"{run['cores']} cores, which the process that sends the requests shares.\n",
        "| | a second | median ms | p99 ms |\n| --- | --- | --- | --- |",
        *(f"| {name} | {own['per_second']:,.0f} | {own['p50_ms']:.1f} | {own['p99_ms']:.1f} |" for name, own in rows),
        f"\n{run['search_and_writes']['written']} documents were added meanwhile, one a transaction.\n",
    ]
    used = max((own["memory"] for own in runs), key=lambda own: float(own["requests"]))
    points = run["map"]
    lines.append(
        f"Memory of all processes over {used['requests']:,.0f} requests: {used['begun_mib']:.0f} MiB at the start, "
        f"{used['half_mib']:.0f} MiB in the middle, {used['ended_mib']:.0f} MiB at the end.\n"
    )
    lines.append(f"The map of {points['points']:,} points is {points['bytes'] / 1e6:.1f} MB.")
    if "ready_ms" in points:
        lines.append(
            f"In chromium without a GPU it is drawn {points['ready_ms'] / 1000:.1f} s after the page was opened; a "
            f"zoom takes {points['zoom_ms']:.0f} ms, a lasso over half of it {points['select_ms']:.0f} ms."
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
