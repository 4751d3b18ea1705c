"""Words, the views learned from them, and the vectorizer `text`."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from hashret import tokens
from hashret.documents import Document
from hashret.errors import StoreError
from hashret.features import CSRMatrix
from hashret.vectorizers import views
from hashret.vectorizers.base import State
from hashret.vectorizers.text import Text

from .samples import dense
from .test_index import corpus


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("東京都", ["東京", "京都"]),
        ("ひらがな", ["ひら", "らが", "がな"]),
        ("서울시", ["서울", "울시"]),
        ("ไทยง", ["ไท", "ทย", "ยง"]),
        ("木", ["木"]),
        ("iPhone 手機殼 case", ["iphone", "手機", "機殼", "case"]),
        ("中文and英文", ["中文", "and", "英文"]),
    ],
)
def test_scripts_without_spaces_give_pairs_of_characters(text: str, wanted: list[str]) -> None:
    assert list(tokens.tokens(text)) == wanted


def test_word_vectors_are_those_of_the_formula() -> None:
    weights = _random_rows(40, 12)
    x = weights.dense().astype(np.float64)
    together = x.T @ x
    np.fill_diagonal(together, 0)
    margin = together.sum(1)
    context = margin**0.75 / (margin**0.75).sum()
    information = np.maximum(np.log(np.maximum(together / np.outer(margin, context), 1e-300)), 0)
    left, values, _ = np.linalg.svd(information)
    ours = views.word_vectors(weights, 4, seed=0).astype(np.float64)
    wanted = left[:, :4] * values[:4] ** 0.25
    assert np.allclose(ours @ ours.T, wanted @ wanted.T, atol=1e-4)  # equal up to signs


def test_latent_directions_are_singular_vectors() -> None:
    weights = _random_rows(40, 12)
    right = np.linalg.svd(weights.dense())[2][:3].T
    ours = views.latent(weights, 3, seed=0)
    assert np.allclose(ours @ ours.T, right @ right.T, atol=1e-4)


def _random_rows(n: int, width: int) -> CSRMatrix:
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{word:02d}" for word in rng.choice(width, 5)) for _ in range(n)]
    counts = tokens.count(texts, {f"w{word:02d}": word for word in range(width)})
    return tokens.weigh(counts, np.ones(width, np.float32))


def test_words_of_one_topic_lie_near_each_other() -> None:
    vectorizer = Text(dim=3)
    vectorizer.fit(corpus(200))
    unit = vectorizer.vectors / np.linalg.norm(vectorizer.vectors, axis=1, keepdims=True)
    ship, tide, wheat = (unit[vectorizer.number[word]] for word in ("ship", "tide", "wheat"))
    assert ship @ tide > ship @ wheat + 0.5


@pytest.mark.parametrize(("input", "parts"), [("words", 1), ("topics", 1), ("both", 2)])
def test_the_input_can_be_chosen(input: str, parts: int) -> None:
    vectorizer = Text(input=input, dim=10, topics=7)
    features = vectorizer.fit(corpus(60))
    assert len(vectorizer.shares) == parts
    assert features.shape == ({"words": 10, "topics": 7, "both": 17}[input],)
    assert np.allclose(np.linalg.norm(dense(features.input), axis=1), parts**0.5, atol=1e-5)
    assert [len(view) for view in features.views] == [60, 60, 60]


def test_short_documents_have_no_topics_and_long_ones_have() -> None:
    rng = np.random.default_rng(0)

    def texts(length: int) -> list[Document]:
        return [Document(str(i), " ".join(f"w{w}" for w in rng.choice(400, length, replace=False))) for i in range(100)]

    for length, wanted in ((8, 1), (80, 2)):
        vectorizer = Text(dim=5, topics=5)
        vectorizer.fit(texts(length))
        assert len(vectorizer.shares) == wanted


def test_what_has_no_known_word_is_known_to_be_unknown() -> None:
    vectorizer = Text()
    vectorizer.fit(corpus(60))
    features = vectorizer.transform([Document("a", "xyzzy"), Document("b", "ship xyzzy")])
    assert vectorizer.knows(features.input).tolist() == [False, True]
    assert not np.asarray(features.input)[0].any()


@pytest.mark.parametrize(
    "damage",
    [{"shares": [1.0, 1.0]}, {"widths": [3]}, {"widths": ["x"]}, {"shares": None}, {"shares": [], "widths": []}],
)
def test_parts_that_do_not_fit_the_vectors_are_refused(damage: dict[str, object]) -> None:
    vectorizer = Text(input="words")
    vectorizer.fit(corpus(60))
    state = vectorizer.state()
    with pytest.raises(StoreError):
        Text().restore(State({**state.facts, **damage}, state.tensors, state.vocabulary))


def test_few_documents_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "hashret"):
        Text().fit(corpus(30))
    assert "30 documents: codes learned from fewer than 500 are inaccurate" in caplog.text
