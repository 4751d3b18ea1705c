"""The words of a text, and the text without some of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator
from itertools import groupby

from hashret.analyzer import Analyzer
from hashret.tokens import UNSPACED

MOST = 200  # words of a text that are looked at one by one; the others are one more unit
OTHERS = "other words"
WINDOW = 1 << 17  # characters of a text that are looked at

Span = tuple[int, int]


class SpannedText:
    """A text and its different words; forms of one term are one word.

    In scripts without spaces each character is a word.
    """

    def __init__(self, text: str, analyzer: Analyzer) -> None:
        self.text = text
        spans: dict[str, list[Span]] = {}
        self.terms: dict[str, str] = {}  # term -> word, in the first form that the text has
        word_of: dict[str, str] = {}
        for start, stop in _spans(text[:WINDOW]):
            form = text[start:stop]
            terms = analyzer.query(form)
            key = " ".join(terms) or form
            word = word_of.setdefault(key, form)
            for term in terms:
                self.terms.setdefault(term, word)
            spans.setdefault(word, []).append((start, stop))
        self.spans = dict(list(spans.items())[:MOST])
        if others := [span for own in list(spans.values())[MOST:] for span in own]:
            self.spans[OTHERS] = others

    @property
    def words(self) -> list[str]:
        """The different words, in order of their first occurrence."""
        return list(self.spans)

    def without(self, words: Collection[str]) -> str:
        """The text with a space in place of each occurrence of some words."""
        cut = sorted(span for word in words for span in self.spans[word])
        parts, end = [], 0
        for start, stop in cut:
            parts += [self.text[end:start], " "]
            end = stop
        return "".join([*parts, self.text[end:]])

    def only(self, words: Collection[str]) -> str:
        """The text without all other words."""
        return self.without([word for word in self.spans if word not in words])


def _spans(text: str) -> Iterator[Span]:
    """Where the words of a text are."""
    place = 0
    for inside, run in groupby(text, _in_word):
        length = len(list(run))
        if inside:
            yield from _split(text, place, place + length)
        place += length


def _split(text: str, start: int, stop: int) -> Iterator[Span]:
    """The words of a run of letters: characters of scripts without spaces one by one."""
    for number, part in enumerate(UNSPACED.split(text[start:stop])):
        if number % 2:
            yield from ((place, place + 1) for place in range(start, start + len(part)))
        elif part:
            yield start, start + len(part)
        start += len(part)


def _in_word(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind[0] in "LNM" or (kind == "Cf" and character != "\u200b")
