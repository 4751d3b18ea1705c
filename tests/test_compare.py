"""Comparing encoders: what is left out of a ranking, what there must be to measure by."""

from __future__ import annotations

from typing import Any

import pytest

from hashret import Document
from hashret.errors import DataError
from hashret.evaluation.compare import compare

from .conftest import make_texts

CORPUS = make_texts(60)


def value(asked: list[Document], corpus: list[Document] = CORPUS, **more: Any) -> float:
    (row,) = compare(corpus, asked, ["lsh"], [16], [0], ["P@1"], **more)
    return float(row["value"])


def test_a_query_itself_is_left_out_and_no_other_document() -> None:
    itself = [CORPUS[0]]
    stranger = [Document("stranger", CORPUS[0].content, CORPUS[0].labels)]
    assert value(stranger) == value(stranger, exclude_self=True) == 1
    qrels = {"text-0": {"text-0": 1}, "stranger": {"text-0": 1}}
    assert value(itself, qrels=qrels | {"text-0": {"text-0": 1, "text-1": 1}}) == 1
    assert value(itself, qrels=qrels | {"text-0": {"text-0": 1, "text-1": 1}}, exclude_self=True) < 1
    assert value(stranger, qrels=qrels, exclude_self=True) == 1


def test_documents_and_queries_must_carry_labels() -> None:
    bare = [Document(document.id, document.content) for document in CORPUS]
    for corpus, asked in ((CORPUS, bare[:3]), (bare, CORPUS[:3])):
        with pytest.raises(DataError, match=r"documents and queries must carry labels; name the field \(label\)"):
            value(asked, corpus)


@pytest.mark.parametrize(("corpus", "asked"), [([], CORPUS), (CORPUS, [])])
def test_there_must_be_documents_and_queries(corpus: list[Document], asked: list[Document]) -> None:
    with pytest.raises(DataError, match=f"{len(corpus)} documents and {len(asked)} queries"):
        value(asked, corpus)
