"""Searchers: exact or not, verified or not, with tables if they are worth building."""

from __future__ import annotations

import logging
import os
import threading
from bisect import bisect_left
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import hashret
from hashret import search
from hashret.codes import hamming
from hashret.errors import HashretError, UsageError
from hashret.search import Neighbors, costs, searcher

pytest.importorskip("hashret._kernel")

from hashret.search.multi_index import MultiIndex
from hashret.search.scan import Scan


def codes(n: int = 2000, seed: int = 0) -> np.ndarray:
    """Clustered codes of 32 bits."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 256, (40, 4), dtype=np.uint8)
    return centres[rng.integers(40, size=n)] ^ (rng.random((n, 4)) < 0.2).astype(np.uint8)


def test_auto_scans_until_tables_pay_and_answers_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "BUILD", 0.05)
    own, asked = codes(50_000), codes(50_000)[:8]
    made = searcher(own, 32)
    first = made.search(asked[:1], 5)
    later = [made.search(asked, 5) for _ in range(50)][-1]
    assert (first.searcher, later.searcher) == ("scan", "multi_index")
    assert (later.positions == Scan(own, 32).search(asked, 5).positions).all()


def test_tables_fit_while_they_leave_room_in_memory() -> None:
    assert costs.tables_fit(1000, 64)
    assert not costs.tables_fit(10**13, 64)


@pytest.mark.parametrize("bits", [16, 64, 256])
def test_tables_fit_into_a_quarter_of_the_memory_on_any_system(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def largest() -> int:
        """The largest number of documents whose tables fit."""
        return bisect_left(range(10**13), True, key=lambda documents: not costs.tables_fit(documents, bits)) - 1

    found = largest()
    each = costs.chunks(found, bits) * (bits // 8 + 4) + 16
    assert found * each == pytest.approx(psutil.virtual_memory().total / 4, rel=1e-6)
    monkeypatch.delattr(os, "sysconf", raising=False)  # as on Windows
    assert largest() == found


@pytest.mark.parametrize("documents", [3 * 10**4, 10**5, 10**6, 10**7, 10**8])
@pytest.mark.parametrize("bits", [64, 128, 256, 1024])
def test_a_bucket_holds_some_codes_and_a_scan_costs_something(documents: int, bits: int) -> None:
    assert 2 < documents / 2 ** (bits / costs.chunks(documents, bits)) < 64
    assert all(costs.code(size) > 0 for size in range(1, bits // 8 + 1))


def test_auto_builds_no_tables_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "BUILD", 1e-6)
    assert searcher(codes(), 32).search(codes(8), 5).searcher == "multi_index"
    monkeypatch.setattr(costs, "MEMORY", 1e-9)
    assert searcher(codes(), 32).search(codes(8), 5).searcher == "scan"


def test_auto_drops_tables_that_serve_no_query(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "BUILD", 1e-6)
    rng = np.random.default_rng(0)
    own, asked = (rng.integers(0, 256, (n, 8), dtype=np.uint8) for n in (500, 100))  # not near each other
    made = searcher(own, 64)
    ways = [made.search(asked, 5).searcher for _ in range(4)]
    assert ways[0] == "multi_index"
    assert ways[-1] == "scan"


def test_auto_builds_its_tables_once_while_other_threads_go_on_scanning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "BUILD", 1e-6)
    scanned, built = threading.Event(), []

    class Slow(MultiIndex):
        def __init__(self, *arguments: Any) -> None:
            built.append(threading.get_ident())
            assert scanned.wait(10)  # the search of another thread ends before the tables are built
            super().__init__(*arguments)

    monkeypatch.setattr("hashret.search.auto.MultiIndex", Slow)
    own, made = codes(), searcher(codes(), 32)

    def search(number: int) -> str:
        way = made.search(own[number : number + 1], 5).searcher
        if way == "scan":
            scanned.set()
        return way

    with ThreadPoolExecutor(4) as pool:
        ways = list(pool.map(search, range(40)))
    assert len(built) == 1
    assert {"scan", "multi_index"} == {*ways}


def test_an_index_of_faiss_says_what_it_misses(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hashret")
    found = searcher(codes(), 32, "BIVF16").search(codes(5), 10)
    assert not found.exact
    assert found.searcher == "BIVF16"
    assert "BIVF16 is approximate: recall@10 is" in caplog.text
    with pytest.raises(UsageError, match="FAISS cannot create 'BNonsense'"):
        searcher(codes(), 32, "BNonsense")


@pytest.mark.parametrize("string", ["BFlat", "BIVF16", "BIVF16_HNSW8", "BHNSW16", "BHash8", "BHash2x8"])
def test_what_an_index_of_faiss_finds_lies_at_the_distance_it_says(string: str) -> None:
    own, asked = codes(), codes(80, seed=1)
    found, true = searcher(own, 32, string).search(asked, 10), Scan(own, 32).search(asked, 10)
    distances = np.take_along_axis(hamming(asked, own), found.positions, axis=1)
    assert (found.distances == distances).all()
    for near, positions in zip(distances.tolist(), found.positions.tolist(), strict=True):
        assert sorted(zip(near, positions, strict=True)) == list(zip(near, positions, strict=True))
        assert len(set(positions)) == 10
    assert found.ties_at_k is not None
    assert (found.ties_at_k >= (distances == distances[:, -1:]).sum(axis=1)).all()
    assert (found.distances <= true.distances).mean() > 0.5
    if string == "BFlat":
        assert (found.distances == true.distances).all()


@pytest.mark.parametrize("string", ["BIVF64", "BHash8"])
def test_a_query_that_an_index_of_faiss_finds_too_few_for_gets_the_full_scan(string: str) -> None:
    own, asked = codes(), codes(20, seed=1)
    found, true = searcher(own, 32, string).search(asked, 1500), Scan(own, 32).search(asked, 1500)
    assert (found.positions == true.positions).all()
    assert (found.distances == true.distances).all()
    assert found.ties_at_k is not None
    assert (found.ties_at_k == true.ties_at_k).all()


def test_every_answer_can_be_verified(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hashret")
    own, asked = codes(), codes(3, seed=1)
    for name in ("auto", "scan", "multi_index", "lookup", "flat"):
        made = searcher(own, 32, name, verify=True)
        made.search(asked, 7)
        made.within(asked, 3)
        assert f"results of {'scan' if name == 'auto' else name} equal those of a full scan" in caplog.text
    searcher(own, 32, "BIVF64", verify=True).search(asked, 10)
    assert "of the 30 nearest" in caplog.text


def test_a_wrong_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    true = Scan.search

    def wrong(self: Scan, queries: np.ndarray, k: int) -> Neighbors:
        found = true(self, queries, k)
        found.positions[0, 0] += 1
        return found

    monkeypatch.setattr(Scan, "search", wrong)
    with pytest.raises(HashretError, match="the results of scan differ from a full scan"):
        searcher(codes(), 32, "scan", verify=True).search(codes(1), 3)


def test_without_the_compiled_part_faiss_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    own, asked = codes(), codes(4, seed=1)
    before = searcher(own, 32).search(asked, 9)
    assert all(search.available(name) for name in search.SEARCHERS.names())
    monkeypatch.setattr(search, "compiled", lambda: False)
    assert [name for name in search.SEARCHERS.names() if search.available(name)] == ["flat"]
    after = searcher(own, 32).search(asked, 9)
    assert after.searcher == "flat"
    assert (before.positions == after.positions).all()
    with pytest.raises(UsageError, match="scan needs hashret's C extension; reinstall with a C compiler"):
        searcher(own, 32, "scan")


def test_an_index_searches_as_it_is_told(tmp_path: Path) -> None:
    texts = [f"document number {number} of {number % 7}" for number in range(60)]
    with hashret.Index.create(tmp_path / "index", texts, bits=16, encoder="lsh") as index:
        [wanted] = index.search(["number 3"], k=5, by="codes")
        for name in ("scan", "multi_index", "lookup", "flat"):
            index.search_by(name, threads=2, verify=True)
            [hits] = index.search(["number 3"], k=5, by="codes")
            assert hits.searcher == name
            assert [hit.id for hit in hits] == [hit.id for hit in wanted]
        with pytest.raises(UsageError, match="unknown searcher 'skan'; did you mean 'scan'"):
            index.search_by("skan")
        with pytest.raises(UsageError, match="threads must be 1 to 1024, got 0"):
            index.search_by("scan", threads=0)


def test_lookup_takes_short_codes_only() -> None:
    with pytest.raises(UsageError, match="lookup supports codes of at most 32 bits, not 64"):
        searcher(np.zeros((3, 8), np.uint8), 64, "lookup")
