"""Relevance: by shared labels and by judgements."""

from __future__ import annotations

import numpy as np
import pytest

from hashret.evaluation.evaluate import evaluate, evaluate_qrels
from hashret.evaluation.labels import Judgements, SharedLabels


def test_documents_that_share_any_label_are_relevant_once() -> None:
    relevance = SharedLabels([["a", "b"], ["c"], [], ["b", "b"], ("a",)], [["a", "b"], ["c"], {"z"}, []])
    assert [relevance.relevant(query)[0].tolist() for query in range(4)] == [[0, 3, 4], [1], [], []]
    assert relevance.queries.tolist() == [0, 1, 2]


def test_shared_labels_agree_with_comparing_every_pair() -> None:
    rng = np.random.default_rng(0)
    labels = [{str(label) for label in rng.integers(0, 20, rng.integers(0, 5))} for _ in range(200)]
    relevance = SharedLabels(labels[:150], labels[150:])
    for query, wanted in enumerate(labels[150:]):
        shared = [row for row, each in enumerate(labels[:150]) if wanted & each]
        assert relevance.relevant(query)[0].tolist() == shared


def test_a_corpus_without_labels_has_nothing_relevant() -> None:
    relevance = SharedLabels([[], []], [["a"]])
    assert relevance.relevant(0)[0].tolist() == []


def test_judgements_give_positions_and_grades() -> None:
    qrels = {"q": {"a": 2, "b": 0, "c": -1, "d": 1, "gone": 5}, "empty": {}, "none": {"a": 0}}
    relevance = Judgements(qrels, ["d", "c", "b", "a"], ["none", "q", "empty", "unknown"])
    positions, levels = relevance.relevant(1)
    assert positions.tolist() == [3, 0, -1]
    assert relevance.grades[levels].tolist() == [2, 1, 5]
    assert relevance.queries.tolist() == [0, 1]


def test_qrels_may_judge_documents_outside_the_corpus_and_queries_outside_the_list(
    caplog: pytest.LogCaptureFixture,
) -> None:
    codes = np.array([[0], [1]], np.uint8)
    qrels = {"q": {"a": 1, "gone": 2}, "other": {"a": 1}}
    (row,) = evaluate_qrels(codes, ["a", "b"], codes, ["q", "unjudged"], qrels, ["R@1"])
    assert row == {"measure": "R@1", "value": 0.5, "worst": 0.5, "best": 0.5, "queries": 1}
    assert "1 of 2 queries are left out" in caplog.text


def test_a_label_that_no_document_has_counts_zero() -> None:
    codes = np.array([[0], [1]], np.uint8)
    (row,) = evaluate(codes, [["x"], []], codes, [["x"], ["unseen"]], ["P@1"])
    assert (row["value"], row["queries"]) == (0.5, 2)
