"""`SearcherSuite`, the contract of all searchers: the results of brute force, with ties in order of position."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashret.codes import Codes, pack, unpack
from hashret.errors import DataError, UsageError
from hashret.search import Neighbors, Searcher

BITS = [1, 5, 8, 13, 32, 64, 100, 256]


def tied(count: int, bits: int, seed: int = 0, kinds: int = 12) -> np.ndarray:
    """Return codes with many duplicates and near-duplicates."""
    rng = np.random.default_rng(seed)
    kinds_of = rng.random((kinds, bits)) < 0.5
    rows = kinds_of[rng.integers(kinds, size=count)]
    flip = rng.random(rows.shape) < (rng.random((count, 1)) < 0.4) * 0.05
    return pack(rows ^ flip)


def brute(codes: np.ndarray, queries: np.ndarray, bits: int) -> list[list[tuple[int, int]]]:
    """Return the sorted (distance, position) pairs of each query."""
    a, b = unpack(queries, bits), unpack(codes, bits)
    return [sorted(((int((q != c).sum())), i) for i, c in enumerate(b)) for q in a]


def rows_of(found: Neighbors) -> list[list[tuple[int, int]]]:
    return [
        list(zip(d, p, strict=True)) for d, p in zip(found.distances.tolist(), found.positions.tolist(), strict=True)
    ]


def check_search(made: Searcher, codes: np.ndarray, queries: np.ndarray, bits: int, k: int) -> None:
    found, wanted = made.search(queries, k), brute(codes, queries, bits)
    assert found.positions.shape == found.distances.shape == (len(queries), min(k, len(codes)))
    assert rows_of(found) == [row[:k] for row in wanted]
    assert found.exact
    assert found.ties_at_k is not None
    last = [row[:k][-1][0] if row else None for row in wanted]
    counts = [sum(d == edge for d, _ in row) for row, edge in zip(wanted, last, strict=True)]
    assert found.ties_at_k.tolist() == counts


def check_within(made: Searcher, codes: np.ndarray, queries: np.ndarray, bits: int, radius: int) -> None:
    found = made.within(queries, radius)
    wanted = [[pair for pair in row if pair[0] <= radius] for row in brute(codes, queries, bits)]
    assert found.offsets is not None
    assert found.offsets.tolist() == np.cumsum([0, *map(len, wanted)]).tolist()
    flat = list(zip(found.distances.tolist(), found.positions.tolist(), strict=True))
    assert flat == [pair for row in wanted for pair in row]
    assert found.exact


class SearcherSuite:
    """Contract tests of an exact searcher. Subclass it and set `searcher`."""

    searcher: ClassVar[type[Searcher]]

    longest: ClassVar[int] = max(BITS)
    """Length in bits of the longest codes to test; at least 16."""

    def make(self, codes: Codes, bits: int) -> Searcher:
        """Return a searcher over the codes; skips the test if they are too long."""
        if bits > self.longest:
            pytest.skip(f"takes codes of at most {self.longest} bits")
        return self.searcher(codes, bits)

    def test_it_describes_itself(self) -> None:
        made = self.make(tied(3, 13), 13)
        assert made.name
        assert made.summary
        assert made.exact

    @pytest.mark.parametrize("bits", BITS)
    def test_the_nearest_are_those_of_brute_force(self, bits: int) -> None:
        codes, queries = tied(300, bits), tied(9, bits)
        made = self.make(codes, bits)
        for k in (1, 10, 299, 300, 1000):
            check_search(made, codes, queries, bits, k)

    @pytest.mark.parametrize("bits", BITS)
    def test_all_within_a_radius_are_those_of_brute_force(self, bits: int) -> None:
        codes, queries = tied(300, bits), tied(70, bits)
        made = self.make(codes, bits)
        for radius in (0, 1, 2, bits // 2, bits):
            check_within(made, codes, queries, bits, radius)

    # several subclasses run the same test
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(st.data())
    def test_any_codes_give_the_answers_of_brute_force(self, data: st.DataObject) -> None:
        bits = data.draw(st.integers(1, min(40, self.longest)))
        row = st.lists(st.booleans(), min_size=bits, max_size=bits)
        few = data.draw(st.lists(row, min_size=1, max_size=3))
        rows = data.draw(st.lists(st.sampled_from(few), max_size=12))
        asked = data.draw(st.lists(st.one_of(st.sampled_from(few), row), max_size=3))
        codes = pack(np.array(rows, bool).reshape(-1, bits))
        queries = pack(np.array(asked, bool).reshape(-1, bits))
        made = self.make(codes, bits)
        check_search(made, codes, queries, bits, data.draw(st.integers(1, 15)))
        check_within(made, codes, queries, bits, data.draw(st.integers(0, bits + 2)))

    def test_the_answer_for_k_is_a_prefix_of_that_for_any_larger_k(self) -> None:
        codes = tied(500, 13)
        made = self.make(codes, 13)
        largest = rows_of(made.search(codes[:20], 500))
        for k in range(1, 500, 37):
            assert rows_of(made.search(codes[:20], k)) == [row[:k] for row in largest]

    def test_a_searcher_over_equal_codes_lists_them_in_order(self) -> None:
        bits = min(64, self.longest)
        codes = np.zeros((50, bits // 8), np.uint8)
        found = self.make(codes, bits).search(codes[:2], 7)
        assert found.positions.tolist() == [list(range(7))] * 2
        assert found.ties_at_k is not None
        assert found.ties_at_k.tolist() == [50, 50]

    def test_no_codes_have_no_neighbours(self) -> None:
        made = self.make(np.zeros((0, 2), np.uint8), 16)
        queries = np.zeros((3, 2), np.uint8)
        found = made.search(queries, 5)
        assert found.positions.shape == found.distances.shape == (3, 0)
        within = made.within(queries, 16)
        assert within.offsets is not None
        assert within.offsets.tolist() == [0, 0, 0, 0]

    def test_no_queries_have_no_answers(self) -> None:
        made = self.make(tied(20, 16), 16)
        none = np.zeros((0, 2), np.uint8)
        assert made.search(none, 5).positions.shape == (0, 5)
        within = made.within(none, 3)
        assert within.offsets is not None
        assert within.offsets.tolist() == [0]
        assert len(within.positions) == len(within.distances) == 0

    @pytest.mark.parametrize("radius", [10**6, 2**31 - 1, 2**31, 10**12])
    def test_a_radius_beyond_the_bits_takes_all(self, radius: int) -> None:
        codes = tied(30, 13)
        assert len(self.make(codes, 13).within(codes[:1], radius).positions) == 30

    def test_a_k_beyond_all_reason_takes_all(self) -> None:
        codes = tied(30, 13)
        assert self.make(codes, 13).search(codes[:1], 10**12).positions.shape == (1, 30)

    @pytest.mark.parametrize(
        "bad",
        [np.zeros((2, 2), np.int8), np.zeros((2, 3), np.uint8), np.zeros(2, np.uint8), np.full((2, 2), 255, np.uint8)],
    )
    def test_codes_and_queries_that_do_not_fit_are_refused(self, bad: np.ndarray) -> None:
        with pytest.raises(DataError, match="codes of 13 bits"):
            self.make(bad, 13)
        made = self.make(tied(20, 13), 13)
        with pytest.raises(DataError, match="queries of 13 bits"):
            made.search(bad, 1)
        with pytest.raises(DataError, match="queries of 13 bits"):
            made.within(bad, 1)

    @pytest.mark.parametrize("k", [0, -3])
    def test_k_must_be_at_least_1(self, k: int) -> None:
        with pytest.raises(UsageError, match=f"k must be at least 1, got {k}"):
            self.make(tied(20, 13), 13).search(tied(1, 13), k)

    def test_a_radius_must_be_at_least_0(self) -> None:
        with pytest.raises(UsageError, match="radius must be at least 0, got -1"):
            self.make(tied(20, 13), 13).within(tied(1, 13), -1)

    def test_what_is_asked_for_is_not_changed(self) -> None:
        codes, queries = tied(40, 13), tied(5, 13)
        before = codes.copy(), queries.copy()
        made = self.make(codes, 13)
        made.search(queries, 3)
        made.within(queries, 3)
        assert (codes == before[0]).all()
        assert (queries == before[1]).all()
