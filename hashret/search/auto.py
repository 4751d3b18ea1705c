"""Auto: the full scan until tables would have paid for themselves."""

from __future__ import annotations

from threading import Lock

import numpy as np

from hashret.codes import Codes
from hashret.search import costs
from hashret.search.base import Neighbors, Searcher
from hashret.search.multi_index import MultiIndex
from hashret.search.scan import Scan

ENOUGH = 64  # queries after which tables have shown what they are worth
SERVED = 0.4  # share of queries served that is worth their memory
BUILDING = Lock()  # held while a searcher of this process builds its tables


class Auto:
    """Scans; once the scans have taken as long as building tables would, builds them; drops them if they serve no one.

    So a single question waits for nothing, a service is soon as fast as can be, and neither takes more than twice what
    the better choice would have taken from the start.
    """

    name = "auto"
    summary = "scan, until tables would have paid for themselves; then multi_index"
    exact = True

    def __init__(self, codes: Codes, bits: int, threads: int | None = None) -> None:
        self.bits, self.threads = bits, threads
        self.scan = Scan(codes, bits, threads)
        self.tables: MultiIndex | None = None
        self.spent = 0.0  # nanoseconds of scanning
        self.worth = costs.tables_fit(len(codes), bits)

    def search(self, queries: Codes, k: int) -> Neighbors:
        """The k nearest, ties by position."""
        return self._now(len(queries)).search(queries, k)

    def within(self, queries: Codes, radius: int) -> Neighbors:
        """All within the radius, inclusive."""
        return self._now(len(queries)).within(queries, radius)

    def _now(self, queries: int) -> Searcher:
        """What serves best, given how much has been asked. One thread builds the tables; others scan meanwhile."""
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
