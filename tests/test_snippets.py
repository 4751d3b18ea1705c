"""Snippets: marks are the words of the question in the text that is shown, in any script and at any length."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashret.analyzer import Analyzer
from hashret.snippets import LENGTH, Snippet, snippet

ENGLISH = Analyzer("english")


def shown(text: str, question: str, title: str = "", analyzer: Analyzer = ENGLISH) -> tuple[str, list[str]]:
    """The text of a snippet, and the parts of it that are marked."""
    made = snippet(text, analyzer.query(question), analyzer, title)
    return made.text, [made.text[a:b] for a, b in made.marks]


def test_words_are_shown_as_they_are_written_and_marked_by_their_stems() -> None:
    text, marked = shown("Card to DELETE, and\n\n  cards deleted.", "deleting a card")
    assert text == "Card to DELETE, and cards deleted."
    assert marked == ["Card", "DELETE", "cards", "deleted"]


def test_the_part_with_most_of_the_words_is_shown() -> None:
    text, marked = shown("wheat " + "of no matter " * 400 + "the price of wheat rose " + "again " * 400, "wheat price")
    assert text.startswith("… ")
    assert text.endswith(" …")
    assert marked == ["price", "wheat"]
    assert len(text) <= LENGTH + 10


def test_without_a_match_the_beginning_is_shown() -> None:
    text, marked = shown("first words " * 100, "zymurgy")
    assert text.startswith("first words")
    assert marked == []
    assert shown("", "zymurgy") == ("", [])


def test_the_title_comes_first() -> None:
    text, marked = shown(
        "On wheat\n" + "it is no matter " * 100 + "the price of wheat", "price wheat", title="On wheat"
    )
    assert text.startswith("On wheat … ")
    assert marked == ["wheat", "price", "wheat"]


@pytest.mark.parametrize(
    ("text", "question", "marked"),
    [
        ("İİ release notes", "release", ["release"]),
        ("在東京都の天気", "東京都", ["東京都"]),
        ("犬小屋", "犬", ["犬"]),
        ("東京tower", "tower", ["tower"]),
        ("call getUserName()", "user", ["getUserName"]),
        ("Wert\u00adpapier", "Wertpapier", ["Wert\u00adpapier"]),
        ("an e\u0301tude", "étude", ["e\u0301tude"]),
        ("snake_case", "case", ["case"]),
        ("C++ code", "C", ["C"]),
    ],
)
def test_marks_fit_the_text_in_any_script(text: str, question: str, marked: list[str]) -> None:
    assert shown(text, question, analyzer=Analyzer()) == (text, marked)


def test_no_character_that_people_see_is_cut() -> None:
    for unit in ("💼🏽", "🇩🇪", "👨\u200d👩\u200d👧", "e\u0301"):
        text, _ = shown(unit * 300, "zymurgy")
        body = text.removesuffix(" …")
        assert body.replace(unit, "") == ""
        assert 0 < len(body) <= LENGTH


def test_a_huge_document_takes_a_moment() -> None:
    started = time.perf_counter()
    text, marked = shown("harvest and wheat " * 600_000, "wheat harvest")
    assert marked
    assert text.startswith("harvest and wheat")
    assert time.perf_counter() - started < 10


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=400), st.text(max_size=20), st.text(max_size=20))
def test_marks_are_sorted_disjoint_and_inside(text: str, question: str, title: str) -> None:
    made = snippet(text + question, ENGLISH.query(question), ENGLISH, title)
    assert isinstance(made, Snippet)
    edges = [edge for mark in made.marks for edge in mark]
    assert edges == sorted(edges)
    assert all(0 <= a < b <= len(made.text) for a, b in made.marks)
    assert "\n" not in made.text
