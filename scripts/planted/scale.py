"""Time and memory for many short texts, and whether a pair within the radius is missed."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from figures import Run
from hashret.codes import Codes
from hashret.deduplication.candidates import candidates
from hashret.deduplication.sameness import Texts
from hashret.documents import Document
from hashret.index import Index
from hashret.search.join import pairs_within

SIZES = {"10,000": 10_000, "100,000": 100_000, "1,000,000": 1_000_000}
PLANTED, ADDED = 0.05, 1000  # share of documents that are copies with one or two words changed; documents added
CHECKED = 100_000  # documents up to which the pairs are compared with those of brute force
RADII = Texts().radii(Texts.thresholds["near"])
ROWS = 500  # compared at once by brute force

Counts = dict[str, float]


def measure(case: str, data: Path, seed: int) -> Iterator[Run]:
    """The seconds and the memory of finding all duplicates, of the pairs alone, and after an addition."""
    size = SIZES[case]
    with tempfile.TemporaryDirectory() as folder:
        made = documents(data, seed)
        with Index.create(
            Path(folder) / "index", list(islice(made, size)), bits=64, encoder="lsh", vectors=None, seed=seed
        ) as index:
            sketches = index.store.sketches()
            assert sketches is not None
            started = time.perf_counter()
            found = candidates(sketches, RADII)
            yield _row("seconds of the pairs alone", time.perf_counter() - started)
            yield _row("radius", found.radius)
            yield _row("pairs of different sketches", len(found.pairs.first))
            if size <= CHECKED:
                yield _row("pairs missed", _missed(sketches, found.radius))
        del found, sketches
        first = _in_a_process(Path(folder) / "index", [])
        yield _row("seconds", first["seconds"])
        yield _row("MiB", first["mib"])
        yield _row("recall of copies", first["copies"] / sum(place % 20 == 19 for place in range(size)))
        second = _in_a_process(Path(folder) / "index", list(islice(made, ADDED)))
        yield _row("seconds after 1,000 more", second["seconds"])


def _in_a_process(index: Path, more: list[Document]) -> Counts:
    """Find the duplicates in a process of its own, so that its memory can be told."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_found, (str(index), more))


def _found(path: str, more: list[Document]) -> Counts:
    with Index.open(path) as index:
        if more:
            index.add(more)
        before = psutil.Process().memory_info().rss
        started = time.perf_counter()
        duplicates = index.duplicates()
        seconds = time.perf_counter() - started
        peak = _peak()
    pairs = {frozenset((pair.first, pair.second)) for pair in duplicates.pairs}
    copies = sum(frozenset((f"{number}", f"{number - 1}")) in pairs for number in range(19, duplicates.documents, 20))
    return {"seconds": seconds, "mib": max(0.0, peak - before) / (1 << 20), "copies": copies}


def _peak() -> int:
    """The most memory that this process had, in bytes. Linux only."""
    status = Path("/proc/self/status").read_text("ascii")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def _missed(sketches: Codes, radius: int) -> int:
    """The number of pairs within the radius that only one of the join and brute force finds."""
    words = np.ascontiguousarray(sketches).view(np.uint64)
    joined = pairs_within(sketches, radius)
    own = joined.first * len(words) + joined.second
    others: list[npt.NDArray[np.int64]] = []
    for start in range(0, len(words), ROWS):
        block = words[start : start + ROWS]
        distances = np.bitwise_count(block[:, None, 0] ^ words[None, start:, 0])
        distances += np.bitwise_count(block[:, None, 1] ^ words[None, start:, 1])
        first, second = np.nonzero(distances <= radius)
        later = first < second
        others.append((start + first[later]) * len(words) + start + second[later])
    return len(np.setxor1d(own, np.concatenate(others)))


def documents(data: Path, seed: int) -> Iterator[Document]:
    """Yield texts of 12 to 25 words of two texts of one topic. Each twentieth is the one before, slightly changed."""
    rng = np.random.default_rng(seed)
    topics: dict[str, list[list[str]]] = {}
    for row in _rows(data):
        topics.setdefault(str(row["label"]), []).append(row["text"].split())
    vocabulary = [word for texts in topics.values() for text in texts for word in text]
    names = sorted(topics)
    number, words = 0, list[str]()
    while True:
        if number % round(1 / PLANTED) == round(1 / PLANTED) - 1:
            words = list(words)
            for place in rng.choice(len(words), int(rng.integers(1, 3)), replace=False).tolist():
                words[place] = vocabulary[rng.integers(len(vocabulary))]
        else:
            texts = topics[names[rng.integers(len(names))]]
            both = texts[rng.integers(len(texts))] + texts[rng.integers(len(texts))]
            words = [both[place] for place in rng.permutation(len(both))[: int(rng.integers(12, 26))].tolist()]
        yield Document(str(number), " ".join(words))
        number += 1


def _rows(data: Path) -> Iterator[dict[str, Any]]:
    for name in ("agnews/agnews_dhim_valtest.jsonl.gz", "websnippets/websnippets.jsonl.gz"):
        with gzip.open(data / name, "rt", encoding="utf-8") as file:
            yield from map(json.loads, file)


def _row(measure: str, value: float) -> Run:
    return {"method": "hashret", "measure": measure, "value": round(value, 3)}
