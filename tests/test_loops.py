"""The compiled loops of ranking, and the same in NumPy: both are right, and damaged postings are refused."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashret import loops, postings
from hashret.extensions import extension
from hashret.postings import Occurrences

COMPILED = extension("_ranking")
EITHER = [None] if COMPILED is None else [None, COMPILED]


@pytest.fixture(params=EITHER, ids=["numpy", "compiled"][: len(EITHER)], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test runs with the compiled loops and without them."""
    monkeypatch.setattr(loops, "_compiled", request.param)


@st.composite
def term_postings(draw: st.DrawFn) -> tuple[int, list[tuple[int, list[int]]]]:
    """A number of documents, and the documents of a term with its positions in them."""
    rows = draw(st.integers(1, 400))
    documents = sorted(draw(st.sets(st.integers(0, rows - 1), max_size=40)))
    places = st.sets(st.one_of(st.integers(0, 30), st.integers(0, 1 << 20)), min_size=1, max_size=5)
    return rows, [(document, sorted(draw(places))) for document in documents]


def stored(rows: int, *terms: list[tuple[int, list[int]]]) -> dict[str, np.ndarray]:
    """The arrays of a field whose terms "0", "1", ... have these documents and positions."""
    each = sorted((document, at, number) for number, term in enumerate(terms) for document, own in term for at in own)
    of = np.bincount([document for document, _, _ in each], minlength=rows) if each else np.zeros(rows, np.int64)
    return postings.arrays(
        Occurrences(
            [str(number) for number in range(len(terms))],
            np.concatenate([[0], np.cumsum(of)]).astype(np.int64),
            np.array([number for _, _, number in each], np.int32),
            np.array([at for _, at, _ in each], np.int32),
            np.zeros(rows, np.int64),
        )
    )


def of_term(arrays: dict[str, np.ndarray], term: str) -> tuple[bytes, bytes]:
    place = bytes(arrays["terms/bytes"]).decode().index(term)
    found = []
    for name in ("postings", "positions"):
        offsets = arrays[f"{name}/offsets"]
        found.append(arrays[f"{name}/bytes"][offsets[place] : offsets[place + 1]].tobytes())
    return found[0], found[1]


@settings(max_examples=60, deadline=None)
@given(term_postings(), st.integers(0, 2**32))
def test_bm25_and_count_read_what_was_written(case: tuple[int, list[tuple[int, list[int]]]], seed: int) -> None:
    rows, term = case
    if not term:
        return
    data, _ = of_term(stored(rows, term), "0")
    rng = np.random.default_rng(seed)
    norms, scores, live = rng.random(rows) + 0.1, rng.random(rows), rng.random(rows) < 0.5
    wanted = scores.copy()
    for document, places in term:
        wanted[document] += 1.5 * (len(places) / (len(places) + norms[document]))
    loops.bm25(data, norms, 1.5, scores)
    assert scores.tolist() == wanted.tolist()
    assert loops.count(data, live) == sum(bool(live[document]) for document, _ in term)


@settings(max_examples=60, deadline=None)
@given(term_postings(), st.integers(0, 2**32))
def test_pairs_are_those_of_brute_force(case: tuple[int, list[tuple[int, list[int]]]], seed: int) -> None:
    rows, first = case
    rng = np.random.default_rng(seed)
    second = []
    for document, places in first:
        own = {max(0, at + int(rng.integers(-1, 3))) for at in places} - set(places)
        if own and rng.random() < 0.7:
            second.append((document, sorted(own)))
    if not second:
        return
    arrays = stored(rows, first, second)
    documents, counts = loops.pairs(*of_term(arrays, "0"), *of_term(arrays, "1"), rows)
    after = dict(second)
    pairs = {document: sum(at + 1 in after.get(document, []) for at in places) for document, places in first}
    assert dict(zip(documents.tolist(), counts.tolist(), strict=True)) == {d: n for d, n in pairs.items() if n}


def test_a_term_is_a_neighbour_of_itself() -> None:
    arrays = stored(3, [(0, [1, 2, 3, 7]), (2, [5])])
    own = of_term(arrays, "0")
    documents, counts = loops.pairs(*own, *own, 3)
    assert (documents.tolist(), counts.tolist()) == ([0], [2])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, (1 << 32) - 1), max_size=50))
def test_integers_survive(values: list[int]) -> None:
    data, sizes = loops.as_integers(np.array(values, np.int64))
    assert loops.integers(data).tolist() == values
    assert sizes.sum() == len(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80",
        b"\x80\x80\x80\x80\x80\x01",
        b"\xff\xff\xff\xff\x1f",
        b"\x02",
        b"\x01\x01",
        b"\x00\x01",
        b"\x09",
        b"\x00",
    ],
    ids=["cut", "long", "too large", "no count", "same document", "count of one", "beyond the last", "lone step"],
)
def test_damaged_postings_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="postings are damaged"):
        loops.bm25(data, np.ones(4), 1.0, np.zeros(4))
    with pytest.raises(ValueError, match="postings are damaged"):
        loops.count(data, np.ones(4, bool))
    with pytest.raises(ValueError, match="postings are damaged"):
        loops.unpack(data, np.array([0, len(data)], np.uint32), 4)


def test_positions_that_do_not_fit_the_postings_are_refused() -> None:
    with pytest.raises(ValueError, match="postings are damaged"):
        loops.pairs(b"\x00\x02", b"\x01", b"\x00\x02", b"\x02\x01", 1)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=30), st.binary(max_size=30), st.integers(1, 300))
def test_any_bytes_are_read_or_refused(data: bytes, other: bytes, rows: int) -> None:
    for read in (
        lambda: loops.bm25(data, np.ones(rows), 1.0, np.zeros(rows)),
        lambda: loops.pairs(data, other, other, data, rows),
        lambda: loops.unpack(data, np.array([0, len(other), len(data)], np.uint32), rows),
        lambda: loops.integers(data),
    ):
        with suppress(ValueError):
            read()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(0, 60), st.integers(0, 2**32))
def test_table_scores_are_those_of_brute_force(width: int, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, (n, width), dtype=np.uint8)
    table = rng.integers(-(1 << 24), 1 << 24, (width, 256)).astype(np.int32)
    sums = [sum(int(table[place, byte]) for place, byte in enumerate(code)) for code in codes.tolist()]
    assert loops.table_scores(codes, table, 1.0, 0.0).tolist() == sums
    norms = (rng.random(n) * (rng.random(n) < 0.8)).astype(np.float32)
    wanted = [(0.5 * own + 3) / norm if norm else 0 for own, norm in zip(sums, norms.tolist(), strict=True)]
    assert loops.table_scores(codes, table, 0.5, 3.0, norms) == pytest.approx(wanted, rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(0, 2**32), st.booleans())
def test_standardize_is_the_definition(n: int, seed: int, some_absent: bool) -> None:
    rng = np.random.default_rng(seed)
    values, scores = rng.standard_normal(n) * 3 + 50, rng.random(n)
    absent = rng.random(n) < 0.3 if some_absent else None
    here = values if absent is None else values[~absent]
    wanted = scores.copy()
    if len(here) and here.std() > 1e-6 * np.abs(here).max():
        wanted[slice(None) if absent is None else ~absent] += 0.5 * (here - here.mean()) / here.std()
    loops.standardize(values, absent, 0.5, scores)
    assert scores == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("values", [[0.1] * 7, [0.1 + 1e-9 * i for i in range(5)], [0.0] * 4, [3.0], []])
def test_values_that_are_equal_up_to_rounding_add_nothing(values: list[float]) -> None:
    scores = np.zeros(len(values))
    loops.standardize(np.array(values, np.float64), None, 1.0, scores)
    assert not scores.any()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-3, 3), max_size=80), st.integers(0, 90), st.integers(0, 2**32), st.booleans())
def test_top_is_a_stable_sort(values: list[int], k: int, seed: int, filtered: bool) -> None:
    scores = np.array(values, np.float64)
    allowed = np.random.default_rng(seed).random(len(values)) < 0.6 if filtered else None
    places = [i for i in range(len(values)) if allowed is None or allowed[i]]
    wanted = sorted(places, key=lambda i: (-scores[i], i))[:k]
    positions, ties = loops.top(scores, allowed, k)
    assert positions.tolist() == wanted
    assert ties == (sum(scores[i] == scores[wanted[-1]] for i in places) if wanted else 0)
