"""Measures: compared with ir-measures without ties, and with all orders of ties."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import chain, permutations, product
from math import comb
from typing import Any

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashret.codes import hamming
from hashret.errors import DataError, UsageError
from hashret.evaluation.evaluate import evaluate, evaluate_qrels, evaluate_run, evaluate_run_labels
from hashret.evaluation.measures import parse
from hashret.evaluation.ties import Ties

KNOWN = ["P@1", "P@3", "P@40", "R@1", "R@5", "R@40", "AP", "AP@2", "AP@7", "AP@40"]
KNOWN += ["nDCG", "nDCG@1", "nDCG@6", "nDCG@40", "RR", "RR@1", "RR@3", "RR@40"]
CUTS = [name + f"@{k}" for name in ("P", "R", "AP", "nDCG", "RR") for k in (1, 2, 3, 4, 9)]
HITS = [f"AP@{k}(hits)" for k in (1, 2, 3, 4, 9)]


def order_value(name: str, grades: list[int], judged: list[int]) -> float:
    """A measure of one ranking without ties, straight from its definition: grades as ranked, and of all judged."""
    parts = re.fullmatch(r"(\w+)(?:@(\d+)(\(hits\))?)?", name)
    assert parts is not None
    kind, k, hits = parts.groups()
    top = grades[: int(k)] if k else grades
    ranks = [rank for rank, grade in enumerate(top, 1) if grade > 0]
    total = sum(grade > 0 for grade in judged)
    if not ranks or not total:
        return 0.0
    if kind == "P":
        return len(ranks) / int(k)
    if kind == "R":
        return len(ranks) / total
    if kind == "RR":
        return 1 / ranks[0]
    if kind == "AP":
        return sum(number / rank for number, rank in enumerate(ranks, 1)) / (len(ranks) if hits else total)
    ideal = sorted((grade for grade in judged if grade > 0), reverse=True)[: int(k) if k else None]
    gain, most = (sum(g / np.log2(i + 1) for i, g in enumerate(row, 1) if g > 0) for row in (top, ideal))
    return float(gain / most)


def brute(name: str, groups: list[list[int]], missed: list[int]) -> tuple[float, float, float]:
    """Return the mean, minimum and maximum over all orders of ties; grades by group, and of documents not retrieved."""
    orders = product(*(list(permutations(group)) for group in groups))
    judged = [*chain(*groups), *missed]
    values = [order_value(name, list(chain(*order)), judged) for order in orders]
    return float(np.mean(values)), min(values), max(values)


def as_ties(groups: list[list[int]], missed: list[int]) -> Ties:
    """One ranking as counts."""
    judged = [*chain(*groups), *missed]
    grades = sorted({grade for grade in judged if grade > 0}, reverse=True) or [1]

    def count(values: list[int]) -> list[int]:
        return [sum(value == grade for value in values) for grade in grades]

    return Ties(
        np.array([[len(group) for group in groups]], np.int64),
        np.array([[count(group) for group in groups]], np.int64),
        np.array([count(judged)], np.int64),
        np.array(grades, np.int64),
    )


@pytest.mark.parametrize("name", KNOWN)
def test_without_ties_every_measure_is_that_of_ir_measures(name: str) -> None:
    rng = np.random.default_rng(3)
    qrels = {f"q{q}": {f"d{d}": int(rng.integers(-1, 4)) for d in rng.choice(40, 15, replace=False)} for q in range(20)}
    qrels["q0"] = dict.fromkeys(qrels["q0"], 0)  # judged, nothing relevant
    run = {
        f"q{q}": {f"d{d}": float(s) for d, s in zip(rng.permutation(40)[:25], rng.permutation(99), strict=False)}
        for q in range(1, 22)
    }  # one judged query without a ranking, two rankings without judgements
    del run["q5"]
    measure = ir_measures.parse_measure(name)
    expected = ir_measures.calc_aggregate([measure], qrels, run)[measure]
    (row,) = evaluate_run(run, qrels, [name])
    assert row["queries"] == 20
    assert [row["value"], row["worst"], row["best"]] == pytest.approx([expected] * 3, abs=1e-9)


def test_each_query_alone_is_that_of_ir_measures() -> None:
    rng = np.random.default_rng(4)
    for query in map(str, range(30)):
        qrels = {query: {f"d{d}": int(rng.integers(0, 3)) for d in range(30)}}
        run = {query: {f"d{d}": float(s) for d, s in enumerate(rng.permutation(20))}}
        measures = [ir_measures.parse_measure(name) for name in KNOWN]
        expected = ir_measures.calc_aggregate(measures, qrels, run)
        rows = evaluate_run(run, qrels, KNOWN)
        assert [row["value"] for row in rows] == pytest.approx([expected[each] for each in measures], abs=1e-9)


RANKINGS = [
    ([[1], [0, 1], [0, 0, 1, 1], [1, 0]], []),
    ([[1, 0, 0, 1, 0, 1]], [1]),
    ([[0, 0], [], [0, 1, 0], [1, 1, 1]], [1, 1]),
    ([[1], [0, 0], [1, 0]], []),
    ([[1, 1], [0, 0], [1, 0, 0]], []),
    ([[0], [2, 0, 1], [3, 0, 1, 0]], [3]),
    ([[0, 3, 1, 0, 2]], [2, 1]),
    ([[0, 0, 0]], [1]),
    ([[0, 0], [0]], []),
    ([[-1, 2, 1, 0]], [-1]),
]


@pytest.mark.parametrize(("groups", "missed"), RANKINGS)
@pytest.mark.parametrize("name", ["AP", "nDCG", "RR", *CUTS, *HITS])
def test_with_ties_the_value_is_the_mean_over_all_orders(name: str, groups: list[list[int]], missed: list[int]) -> None:
    values = parse(name).values(as_ties(groups, missed))[:, 0]
    assert values.tolist() == pytest.approx(brute(name, groups, missed), abs=1e-12)


rankings = st.lists(st.lists(st.sampled_from([0, 0, 1, 1, 2, 3]), max_size=4), min_size=1, max_size=3)


@settings(deadline=None, max_examples=60)
@given(rankings, st.lists(st.integers(0, 3), max_size=3), st.integers(1, 12))
def test_any_ranking_agrees_with_all_its_orders(groups: list[list[int]], missed: list[int], k: int) -> None:
    for kind in ("P@{}", "R@{}", "AP", "AP@{}", "nDCG", "nDCG@{}", "RR", "RR@{}", "AP@{}(hits)"):
        name = kind.format(k)
        expected, worst, best = parse(name).values(as_ties(groups, missed))[:, 0]
        assert worst <= expected <= best
        assert (expected, worst, best) == pytest.approx(brute(name, groups, missed), abs=1e-12)


def test_large_groups_lose_no_digits() -> None:
    """More than fifty thousand documents, compared with the plain sums over all places and numbers of hits."""
    before, found, n, r, k = 50_000, 20_000, 4_000, 200, 52_500
    counts, relevant = np.array([[before, n]]), np.array([[[found], [r]]])
    ties = Ties(counts, relevant, np.array([[found + r]]), np.array([1]))
    i, c = np.arange(1, n + 1), k - before

    def plain(N: int, R: int, n: int, r: int, c: int) -> float:
        return float((r / n * (R + 1 + (i[:c] - 1) * (r - 1) / (n - 1)) / (N + i[:c])).sum())

    first = sum(
        found / before * (1 + (place - 1) * (found - 1) / (before - 1)) / place for place in range(1, before + 1)
    )
    total = first + plain(before, found, n, r, n)
    assert parse("AP").expected(ties)[0] == pytest.approx(total / (found + r), rel=1e-12)
    ways = [comb(r, m) * comb(n - r, c - m) for m in range(r + 1)]
    hits = sum(
        Fraction(way, sum(ways)) * Fraction((first + (plain(before, found, c, m, c) if m else 0)) / (found + m))
        for m, way in enumerate(ways)
    )
    assert parse(f"AP@{k}(hits)").expected(ties)[0] == pytest.approx(float(hits), rel=1e-10)


EVERY = ["P@1", "P@7", "R@7", "AP", "AP@7", "nDCG", "nDCG@7", "RR", "RR@7", "P(r=2)", "R(r=2)", "AP@7(hits)"]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 60))
def test_order_and_names_of_documents_change_nothing(seed: int, labels: int, documents: int) -> None:
    rng = np.random.default_rng(seed)
    codes, queries = random_codes(rng, documents, 1), random_codes(rng, 5, 1)
    ids = [f"d{d}" for d in range(documents)]
    qrels = {f"q{q}": {each: int(rng.integers(0, labels + 1)) for each in ids} for q in range(5)}
    rows = evaluate_qrels(codes, ids, queries, list(qrels), qrels, EVERY)
    shuffled = rng.permutation(documents)
    names = {each: f"x{number}" for number, each in enumerate(rng.permutation(ids))}
    renamed = {query: {names[each]: grade for each, grade in judged.items()} for query, judged in qrels.items()}
    again = evaluate_qrels(codes[shuffled], [names[ids[d]] for d in shuffled], queries, list(qrels), renamed, EVERY)
    for row, other in zip(rows, again, strict=True):
        assert row["worst"] <= row["value"] <= row["best"]
        assert other == pytest.approx(row, abs=1e-12)


def random_codes(rng: np.random.Generator, number: int, width: int) -> np.ndarray:
    return rng.integers(0, 256, (number, width), dtype=np.uint8)


def random_labels(rng: np.random.Generator, number: int) -> list[set[str]]:
    return [{f"l{label}" for label in rng.choice(8, rng.integers(0, 4), replace=False)} for _ in range(number)]


def test_evaluate_is_plain_counting_with_many_labels() -> None:
    rng = np.random.default_rng(0)
    codes, queries = random_codes(rng, 500, 2), random_codes(rng, 40, 2)
    labels, query_labels = random_labels(rng, 500), random_labels(rng, 40)
    precisions, balls, empty = [], [], 0
    for query, wanted in zip(queries, query_labels, strict=True):
        if not wanted:
            continue
        relevant = np.array([bool(wanted & each) for each in labels])
        distance = np.unpackbits(codes ^ query, axis=1).sum(axis=1)
        chance = [min(1, max(0, 100 - (distance < d).sum()) / (distance == d).sum()) for d in distance]
        precisions.append((relevant * chance).sum() / 100)
        inside = distance <= 2
        empty += not inside.any()
        balls.append(relevant[inside].mean() if inside.any() else 0.0)
    top, ball = evaluate(codes, labels, queries, query_labels, ["P@100", "P(r=2)"])
    assert top["value"] == pytest.approx(np.mean(precisions), abs=1e-12)
    assert ball == pytest.approx(
        {"measure": "P(r=2)", "queries": len(balls), "empty": empty} | dict.fromkeys(VALUES, np.mean(balls))
    )
    assert 0 < empty < len(balls)


VALUES = ("value", "worst", "best")


def test_chunks_of_queries_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    arguments = (random_codes(rng, 300, 2), random_labels(rng, 300), random_codes(rng, 30, 2), random_labels(rng, 30))
    rows = evaluate(*arguments, EVERY)
    monkeypatch.setattr("hashret.evaluation.evaluate.CHUNK", 700)
    assert evaluate(*arguments, EVERY) == [pytest.approx(row, abs=1e-12) for row in rows]


def test_an_excluded_query_is_as_if_it_were_not_in_the_corpus() -> None:
    rng = np.random.default_rng(2)
    codes, labels = random_codes(rng, 60, 1), [each | {"all"} for each in random_labels(rng, 60)]
    for position in (0, 17, 59):
        rest = np.delete(np.arange(60), position)
        expected = evaluate(codes[rest], [labels[row] for row in rest], codes[[position]], [labels[position]], EVERY)
        exclude = np.array([position])
        assert evaluate(codes, labels, codes[[position]], [labels[position]], EVERY, exclude=exclude) == expected
        qrels = {"q": {str(row): int(bool(labels[row] & labels[position])) for row in range(60)}}
        ids = [str(row) for row in range(60)]
        assert evaluate_qrels(codes, ids, codes[[position]], ["q"], qrels, EVERY, exclude=exclude) == [
            pytest.approx(row) for row in expected
        ]


def test_a_run_of_distances_is_measured_as_the_codes_are() -> None:
    rng = np.random.default_rng(5)
    codes, labels = random_codes(rng, 80, 1), dict(zip(map(str, range(80)), random_labels(rng, 80), strict=True))
    queries = {name: each for name, each in labels.items() if int(name) < 12}
    distances = hamming(codes[:12], codes)
    run = {q: {d: -float(distances[int(q), int(d)]) for d in labels} for q in queries}
    names = [name for name in EVERY if "(r=" not in name]
    for exclude in (np.full(12, -1), np.arange(12)):
        rows = evaluate(codes, list(labels.values()), codes[:12], list(queries.values()), names, exclude=exclude)
        measured = evaluate_run_labels(run, labels, queries, names, exclude_self=bool(exclude[-1] >= 0))
        assert measured == [pytest.approx(row, abs=1e-12) for row in rows]


@pytest.mark.parametrize(
    ("name", "usual"), [("MAP", "AP"), ("MRR@5", "RR@5"), ("P( r = 2 )", "P(r=2)"), ("NDCG@3", "nDCG@3")]
)
def test_other_spellings_are_read(name: str, usual: str) -> None:
    assert parse(name).name == usual


@pytest.mark.parametrize("name", EVERY)
def test_a_measure_is_named_as_it_is_written(name: str) -> None:
    assert parse(name).name == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "P",
        "R",
        "P@0",
        "P@-1",
        "P@1.5",
        "p@5",
        "Rprec",
        "nonsense",
        "P(r=-1)",
        "AP(hits)",
        "P@5(hits)",
        "P(rel=2)@5",
    ],
)
def test_an_unknown_measure_is_refused_with_those_allowed(name: str) -> None:
    with pytest.raises(UsageError, match="allowed: P@k, R@k, AP") as error:
        parse(name)
    assert error.value.exit_code == 2


def test_what_cannot_be_measured_is_refused() -> None:
    codes = np.zeros((2, 1), np.uint8)
    labels = [["a"], ["b"]]
    with pytest.raises(DataError, match="none of 2 queries"):
        evaluate(codes, labels, codes, [[], []], ["AP"])
    with pytest.raises(DataError, match="equal lengths"):
        evaluate(codes, labels[:1], codes, labels, ["AP"])
    wrong: Any
    for wrong in ("ab", b"ab", {"a": 1, "b": 2}):
        with pytest.raises(DataError, match="labels must be one collection of str per document, got"):
            evaluate(codes, wrong, codes, labels, ["AP"])
    for wrong in (b"a", {"a": 1}, None, [None], [b"a"], [["a"]]):
        with pytest.raises(DataError, match=r"labels? must be"):
            evaluate(codes, [wrong, ["b"]], codes, labels, ["AP"])
    known: Any
    for known in ([True], [1, 0], np.zeros((2, 1), bool)):
        with pytest.raises(DataError, match="known must hold True or False for each of 2 queries"):
            evaluate(codes, labels, codes, labels, ["AP"], known=known)
    with pytest.raises(DataError, match="exclude"):
        evaluate(codes, labels, codes, labels, ["AP"], exclude=np.array([0, 2]))
    with pytest.raises(DataError, match="query codes"):
        evaluate(codes, labels, np.zeros((2, 2), np.uint8), labels, ["AP"])
    with pytest.raises(UsageError, match="list of names"):
        evaluate(codes, labels, codes, labels, [])
    name: Any
    for name in ("A", "P@0", "P@" + "9" * 5000, 3, None):
        with pytest.raises(UsageError, match=r"measure .*; allowed: P@k"):
            evaluate(codes, labels, codes, labels, [name])
    with pytest.raises(UsageError, match="only scores"):
        evaluate_run({"q": {"d": 1.0}}, {"q": {"d": 1}}, ["AP", "P(r=2)"])
    with pytest.raises(DataError, match="not in the corpus"):
        evaluate_run_labels({"q": {"x": 1.0}}, {"d": ["a"]}, {"q": ["a"]}, ["AP"])


def test_a_query_is_left_out_of_its_run_also_where_no_judgement_names_it() -> None:
    run, qrels = {"q": {"q": 3.0, "a": 2.0, "b": 1.0}}, {"q": {"a": 1}}
    assert [evaluate_run(run, qrels, "RR", exclude_self=left_out)[0]["value"] for left_out in (False, True)] == [0.5, 1]


def test_one_measure_and_one_label_a_document_need_no_list() -> None:
    codes = np.array([[0], [1], [3]], np.uint8)
    wanted = evaluate(codes, [["sport"], ["news"], ["sport"]], codes, [["sport"], ["news"], ["port"]], ["P@1"])
    assert wanted[0]["value"] == 2 / 3
    assert evaluate(codes, ["sport", "news", "sport"], codes, ["sport", "news", "port"], "P@1") == wanted
    numbers: Any = [1, 2, [1]]
    others: Any = np.array([1, 2, 3])
    assert evaluate(codes, numbers, codes, others, "P@1") == wanted


@pytest.mark.parametrize("scored", [False, True])
def test_a_query_of_which_nothing_is_known_counts_with_nothing_found(
    scored: bool, caplog: pytest.LogCaptureFixture
) -> None:
    codes = np.array([[0], [1], [3]], np.uint8)
    labels, names = ["a", "b", "a"], ["P@1", "AP", "nDCG", "RR", "R@3", "AP@2(hits)", "P(r=8)", "R(r=8)"]
    near = -hamming(codes, codes).astype(float)
    both = evaluate(
        codes,
        labels,
        codes,
        labels,
        names,
        scores=near.__getitem__ if scored else None,
        known=np.array([True, False, True]),
    )
    assert "1 of 3 queries have no known words and retrieve nothing" in caplog.text
    alone = evaluate(
        codes, labels, codes[[0, 2]], ["a", "a"], names, scores=near[[0, 2]].__getitem__ if scored else None
    )
    assert [row["queries"] for row in both] == [3] * len(names)
    assert [row["value"] * 3 for row in both] == pytest.approx([row["value"] * 2 for row in alone])
    assert [row["empty"] for row in both if "empty" in row] == [1, 1]
    none = evaluate(codes, labels, codes, labels, names, exclude=np.arange(3), known=np.zeros(3, bool))
    assert [row["best"] for row in none] == [0] * len(names)


def test_no_documents_have_nothing_to_find() -> None:
    none, codes = np.zeros((0, 1), np.uint8), np.zeros((2, 1), np.uint8)
    for row in evaluate(none, [], codes, ["a", "b"], ["P@1", "AP", "P(r=2)"]):
        assert (row["value"], row["queries"]) == (0, 2)
    (row,) = evaluate_qrels(none, [], codes, ["q", "r"], {"q": {"gone": 1}}, "nDCG")
    assert (row["value"], row["queries"]) == (0, 1)
