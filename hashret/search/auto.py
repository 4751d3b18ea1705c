"""Full scans first, tables after enough queries."""

from __future__ import annotations

from threading import Lock

import numpy as np

from hashret.codes import Codes
from hashret.search import costs
from hashret.search.base import Neighbors, Searcher
from hashret.search.multi_index import MultiIndex
from hashret.search.scan import Scan

ENOUGH = 64  # queries in tables before their usefulness is judged
SERVED = 0.4  # tables are dropped if they answer a smaller share of queries without a full scan
BUILDING = Lock()  # only one searcher per process builds tables at a time


class Auto:
    """Chooses between full scans and multi-index tables.

    It builds tables once the time spent on scans exceeds the time to build them, and drops them if most queries still
    need a full scan. So the total time is at most twice that of the better choice.
    """

    name = "auto"
    summary = "scan for the first queries, then multi_index"
    exact = True

    def __init__(self, codes: Codes, bits: int, threads: int | None = None) -> None:
        self.bits, self.threads = bits, threads
        self.scan = Scan(codes, bits, threads)
        self.tables: MultiIndex | None = None
        self.spent = 0.0  # estimated time of all scans, in nanoseconds
        self.worth = costs.tables_fit(len(codes), bits)  # False after tables were dropped

    def search(self, queries: Codes, k: int) -> Neighbors:
        """Return the k nearest codes of each query; ties are sorted by position."""
        return self._now(len(queries)).search(queries, k)

    def within(self, queries: Codes, radius: int) -> Neighbors:
        """Return all codes within the radius (inclusive) of each query."""
        return self._now(len(queries)).within(queries, radius)

    def _now(self, queries: int) -> Searcher:
        """Return the searcher to use for the next queries. While one thread builds tables, others scan."""
        codes, tables = self.scan.codes, self.tables
        if tables and tables.luck[1] >= ENOUGH and tables.luck[0] < SERVED:
            self.tables, self.worth, tables = None, False, None
        if tables or not self.worth:
            return tables or self.scan
        self.spent += queries * len(codes) * costs.code(codes.shape[1])
        if self.spent > costs.building(len(codes), self.bits) and BUILDING.acquire(blocking=False):
            try:
                if self.worth and not self.tables:
                    self.tables = MultiIndex(np.asarray(codes), self.bits, self.threads)
                tables = self.tables
            finally:
                BUILDING.release()
        return tables or self.scan
