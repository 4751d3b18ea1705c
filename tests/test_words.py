"""Vocabulary, word counts and weights."""

from __future__ import annotations

import random
import re
import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

from hashret.documents import Document
from hashret.errors import DataError
from hashret.tokens import FEW, count, rarity, tokens, vocabulary, weigh

HAN = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=6)
LATIN = st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=9)
TEXTS = ["aa bb cc bb", "bb cc", "", "aa aa aa dd", "zz", "東京都 bb 東京"]


@given(parts=st.lists(st.tuples(LATIN, HAN), max_size=5))
def test_pairs_of_characters_and_words_come_in_the_order_of_the_text(parts: list[tuple[str, str]]) -> None:
    wanted: list[str] = []
    for word, run in parts:
        wanted += [word, *(map("".join, pairwise(run)) if len(run) > 1 else [run])]
    assert list(tokens("".join(word + run for word, run in parts))) == wanted


@given(text=st.text(st.characters(max_codepoint=0x0DFF)))
def test_words_of_scripts_with_spaces_are_runs_as_ever(text: str) -> None:
    text = unicodedata.normalize("NFKC", text).casefold()
    seen = "".join(c for c in text if unicodedata.category(c) != "Cf")
    spaced = "".join(c if unicodedata.category(c)[0] in "LNM" else " " for c in seen)
    assert list(tokens(text)) == [run for run in spaced.split() if re.fullmatch(".{2,40}", run, re.DOTALL)]


def test_each_text_counts_once_and_equally_frequent_words_come_by_name() -> None:
    kept, df = vocabulary(["bb aa", "bb cc cc cc", "aa dd"], max_features=10, min_df=1, max_df=1.0)
    assert kept == ["aa", "bb", "cc", "dd"]
    assert df.tolist() == [2, 2, 1, 1]


@pytest.mark.parametrize("largest", [1, 3, 4, 9])
def test_of_all_words_the_most_frequent_are_kept(largest: int) -> None:
    kept, df = vocabulary(["aa bb cc dd", "bb cc dd", "cc dd"], largest, min_df=1, max_df=1.0)
    assert kept == ["cc", "dd", "bb", "aa"][:largest]
    assert df.tolist() == [3, 3, 2, 1][:largest]


def frequent(n: int) -> list[str]:
    """Return n texts, with word07 in the first seven, word08 in the first eight."""
    return [" ".join(f"word{df:02d}" for df in range(1, n + 1) if i < df) for i in range(n)]


@given(least=st.integers(1, 12), most=st.floats(0.5, 1.0))
def test_words_lie_within_the_limits_inclusive(least: int, most: float) -> None:
    n = 24
    kept, df = vocabulary(frequent(n), 100, least, most)
    assert df.tolist() == [i for i in range(n, 0, -1) if least <= i <= most * n]
    assert kept == [f"word{i:02d}" for i in df]


def test_under_20_texts_all_words_count() -> None:
    assert len(vocabulary(frequent(FEW - 1), 100, min_df=5, max_df=0.5)[0]) == FEW - 1
    assert vocabulary(frequent(FEW), 100, min_df=5, max_df=0.5)[1].tolist() == [10, 9, 8, 7, 6, 5]


def test_limits_that_leave_no_word_are_not_kept_to() -> None:
    assert vocabulary(["same words"] * 30, 100, min_df=2, max_df=0.5)[0] == ["same", "words"]


def test_texts_without_any_word_are_refused() -> None:
    with pytest.raises(DataError, match="no words in these 2 documents"):
        vocabulary(["?", ""], 10, 1, 1.0)


@pytest.mark.parametrize("which", ["few", "texts"])
def test_counts_and_weights_are_scikit_learns(which: str, texts: list[Document]) -> None:
    chosen = TEXTS if which == "few" else [str(document.content) for document in texts]
    kept, df = vocabulary(chosen, 40, 1, 1.0)
    ours = count(chosen, {word: i for i, word in enumerate(kept)})
    counted = CountVectorizer(analyzer=lambda text: list(tokens(text)), vocabulary=kept).fit_transform(chosen)
    np.testing.assert_array_equal(ours.dense(), counted.toarray())
    np.testing.assert_array_equal(df, (counted.toarray() > 0).sum(axis=0))
    theirs = TfidfTransformer(sublinear_tf=True, smooth_idf=True)
    weighed = theirs.fit_transform(counted).toarray()
    idf = rarity(df, len(chosen))
    np.testing.assert_allclose(idf, theirs.idf_, rtol=1e-6)
    np.testing.assert_allclose(weigh(ours, idf).dense(), weighed, atol=1e-6)


def test_words_that_are_not_known_are_not_counted() -> None:
    rows = count(["xx yy", "aa xx aa"], {"aa": 0, "bb": 1})
    assert rows.dense().tolist() == [[0, 0], [2, 0]]
    assert weigh(rows, np.ones(2, np.float32)).dense().tolist() == [[0, 0], [1, 0]]


def test_no_texts_are_no_rows() -> None:
    assert weigh(count([], {"aa": 0}), np.ones(1, np.float32)).dense().shape == (0, 1)


def test_what_nobody_sees_is_dropped_and_the_zero_width_space_separates() -> None:
    assert list(tokens("govern\u00adment \ufeffbom wo\u2060rd le\u200eft zero\u200bwidth")) == [
        *("government", "bom", "word", "left", "zero", "width")
    ]
    assert list(tokens("\u0dc1\u0dca\u200d\u0dbb\u0dd3")) == ["\u0dc1\u0dca\u0dbb\u0dd3"]
    assert list(tokens("\u4eca\u200d\u5929 \u4eca\u00ad\u5929\u6c14")) == list(
        tokens("\u4eca\u5929 \u4eca\u5929\u6c14")
    )
    assert list(tokens("\u4eca\u200b\u5929")) == ["\u4eca", "\u5929"]
    hidden = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) == "Cf" and c != "\u200b"]
    assert all(list(tokens(f"go{c}vern")) == ["govern"] for c in hidden)


def test_a_long_text_in_pieces_has_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(0)
    kinds = {"L", "M", "N", "P", "S", "Z"}
    known = [c for c in map(chr, range(0x30000)) if unicodedata.category(c)[0] in kinds]
    marks = [c for c in known if unicodedata.combining(c)]
    for _ in range(50):
        text = "".join(rng.choices([*rng.sample(known, 500), *marks[:100], *" \n.,\u3002\uff0c" * 20], k=2000))
        monkeypatch.setattr("hashret.tokens.PIECE", 1 << 20)
        words = list(tokens(text))
        number = {word: i for i, word in enumerate(sorted(set(words))[::2])}
        whole = count([text, "and more", text[:40]], number)
        monkeypatch.setattr("hashret.tokens.PIECE", 60)
        assert list(tokens(text)) == words
        np.testing.assert_array_equal(count([text, "and more", text[:40]], number).dense(), whole.dense())


def test_runs_of_marks_up_to_30_stay() -> None:
    for length in (1, 15, 29, 30):
        run = "e" + "".join(rng_mark for rng_mark in ("\u0334\u0301" * 15)[:length])
        for before in ("", "x", "\u2013 " * 20):
            assert list(tokens(f"{before}{run}z"))[-1] == unicodedata.normalize("NFKC", f"{before}{run}z").split()[-1]
