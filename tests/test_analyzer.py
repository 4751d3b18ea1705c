"""Terms: every word of a document, asked alone, finds it; in any script, of any length."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashret.analyzer import LANGUAGES, Analyzer, checked_language, detect_language
from hashret.errors import UsageError

KHMER = "ការងារនេះជាការងារដែលមានប្រយោជន៍សម្រាប់មនុស្សទាំងអស់គ្នា"
HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
FOUND = [
    ("a C++ compiler", "C++"),
    ("a C++ compiler", "c"),
    ("vitamin C helps", "C"),
    ("pi is 3.14", "3"),
    ("pi is 3.14", "3.14"),
    ("R and S", "r"),
    (f"sha256 {HASH}", HASH.upper()),
    ("犬小屋", "犬"),
    ("犬小屋", "小屋"),
    ("犬小屋", "犬小屋"),
    ("𠮷野家", "𠮷"),
    ("𠮷野家", "𠮷野"),
    (KHMER, KHMER[3:9]),
    ("Wert\u00adpapier", "Wertpapier"),
    ("Wert\u2060papier\ufeff", "wertpapier"),
    ("İstanbul", "istanbul"),
    ("ISTANBUL", "İstanbul"),
    ("Straße", "STRASSE"),
    ("cafe\u0301", "café"),
    ("ﬁnd", "find"),
    ("getUserName()", "user"),
    ("getUserName()", "getusername"),
    ("getUserName()", "getUserName"),
    ("HTTPServer", "server"),
    ("HTTPServer", "http"),
    ("snake_case_name", "case"),
    ("x" * 500, "X" * 500),
    ("the ships sail", "ship"),
    ("إستراتيجية", "إستراتيجية"),
]


@pytest.mark.parametrize(("text", "asked"), FOUND)
@pytest.mark.parametrize("language", ["none", "english"])
def test_a_word_of_a_document_finds_it(text: str, asked: str, language: str) -> None:
    analyzer = Analyzer(language)
    if (text, language) == ("the ships sail", "none"):
        asked = "ships"
    forms = analyzer.forms(text)
    assert analyzer.query(asked)
    assert set(analyzer.query(asked)) <= forms
    assert forms == set(analyzer.occurrences([text]).vocabulary)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["none", "english", "german", "turkish"]))
def test_every_word_of_any_text_is_found_alone(text: str, language: str) -> None:
    analyzer = Analyzer(language)
    forms = analyzer.forms(text)
    for word in text.split():
        assert set(analyzer.query(word)) <= forms


def test_a_long_word_is_not_mistaken_for_another_with_the_same_beginning() -> None:
    analyzer = Analyzer()
    assert analyzer.query("a" * 300) != analyzer.query("a" * 299 + "b")
    assert max(map(len, analyzer.query("a" * 300))) < 100


def test_a_long_run_of_letters_takes_no_more_than_linear_time() -> None:
    for text in ("a" * 300_000, "aB" * 150_000, "A" * 300_000, "Aa0" * 100_000):
        assert len(Analyzer().query(text)) == 1


def test_stemming_is_that_of_the_language() -> None:
    assert Analyzer("english").query("resizing partitions") == ["resiz", "partit"]
    assert Analyzer("german").query("Häuser") == Analyzer("german").query("Hauses") == ["haus"]
    assert Analyzer("none").query("Häuser") == ["häuser"]
    assert Analyzer("turkish").query("KAPI") == Analyzer("turkish").query("kapı")


def test_stop_words_are_terms_but_have_no_position() -> None:
    found = Analyzer("english").occurrences(["sort the lines of text"])
    places = {found.vocabulary[t]: at for t, at in zip(found.terms.tolist(), found.positions.tolist(), strict=True)}
    assert places == {"sort": 0, "the": -1, "line": 1, "of": -1, "text": 2}
    assert found.pairs.tolist() == [2]
    assert Analyzer("german").stop_terms == frozenset()


def test_one_analyzer_serves_many_threads() -> None:
    analyzer, texts = Analyzer("english"), [f"resizing partitions number{i} running" for i in range(300)]
    wanted = [Analyzer("english").query(text) for text in texts]
    wrong: list[str] = []

    def ask() -> None:
        wrong.extend(text for text, own in zip(texts, wanted, strict=True) if analyzer.query(text) != own)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


ENGLISH = ["The harvest of that year was poor, and the price of wheat rose in every market of the county."] * 20
GERMAN = ["Die Ernte jenes Jahres war schlecht, und der Preis des Weizens stieg auf allen Märkten des Landes."] * 20


def test_the_language_is_detected_from_many_texts_or_not_at_all() -> None:
    assert detect_language(ENGLISH) == "english"
    assert detect_language(GERMAN) == "german"
    assert detect_language(ENGLISH + GERMAN) == "none"
    assert detect_language(["404 error"]) == "none"
    assert detect_language([]) == "none"
    assert detect_language(["", "!!!", "x"]) == "none"
    assert detect_language(ENGLISH * 20 + GERMAN[:5]) == "english"


def test_every_language_has_a_stemmer_and_others_are_refused() -> None:
    for language in LANGUAGES:
        assert Analyzer(language).query("wheat")
    with pytest.raises(UsageError, match="unknown language 'klingon'; allowed: auto, none, arabic"):
        checked_language("klingon")
