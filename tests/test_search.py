"""The contract of all registered searchers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hashret import search
from hashret.codes import Codes
from hashret.errors import UsageError
from hashret.search import SEARCHERS, Searcher
from hashret.testing import SearcherSuite

LIMITS: dict[str, dict[str, Any]] = {"lookup": {"longest": 32}}
"""What the suite cannot ask of a searcher."""


class Always(SearcherSuite):
    """A searcher that never switches from buckets to a full scan."""

    def make(self, codes: Codes, bits: int) -> Searcher:
        """Return the searcher, with a prohibitive cost of a full scan."""
        made = super().make(codes, bits)
        made.costs = (np.inf, 1.0)  # type: ignore[attr-defined]
        return made


def suite(name: str, base: type[SearcherSuite], **limits: Any) -> None:
    """Run a suite on a searcher if it is available."""
    if search.available(name):
        title = f"Test{base.__name__}_{name}"
        attributes = {"searcher": SEARCHERS.get(name), "__module__": __name__, **LIMITS.get(name, {}), **limits}
        globals()[title] = type(title, (base,), attributes)


for _name in SEARCHERS.names():
    suite(_name, SearcherSuite)
suite("multi_index", Always)
suite("lookup", Always, longest=16)  # of longer codes it would visit up to 2^24 addresses


@pytest.mark.parametrize("name", SEARCHERS.names())
def test_an_unknown_searcher_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="unknown searcher"):
        search.searcher(np.zeros((2, 2), np.uint8), 13, f"{name}x")


def test_the_searcher_of_a_name_is_that_of_the_registry() -> None:
    codes = np.zeros((2, 2), np.uint8)
    for name in filter(search.available, SEARCHERS.names()):
        assert type(search.searcher(codes, 13, name)) is SEARCHERS.get(name)
