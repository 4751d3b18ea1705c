"""Analyzer: the terms of a text, for postings and for questions.

Every run of letters, digits and marks is a term, also a single letter and a hash of 64 digits, after normalization
(Unicode NFKC, case folded) and stemming (Snowball, if the index has a language). Scripts without spaces between words
(Chinese, Japanese, Thai, Khmer, ...) give single characters and pairs of neighbouring ones. An identifier such as
`getUserName` also gives its parts.
"""

from __future__ import annotations

import hashlib
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from hashret import loops, tokens
from hashret.errors import UsageError
from hashret.postings import NO_POSITION, Int32s, Occurrences

NONE = "none"
LANGUAGES = (
    *("arabic", "armenian", "basque", "catalan", "czech", "danish", "dutch", "english", "esperanto", "estonian"),
    *("finnish", "french", "german", "greek", "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian"),
    *("nepali", "norwegian", "persian", "polish", "portuguese", "romanian", "russian", "serbian", "spanish"),
    *("swedish", "tamil", "turkish", "yiddish"),
)
"""Languages with a stemmer."""

STOP_WORDS = frozenset(
    (
        *("a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not"),
        *("of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was"),
        *("will", "with"),
    )
)
"""English words that form no pairs: Lucene's list. They are terms like all others."""

LONGEST = 64  # characters of a term; a longer one is cut and gets a hash of all of it
SAMPLE, SAMPLE_CHARACTERS, SAMPLE_LEAST = 300, 1000, 200  # texts, of each text, in all: what detects the language
SURE = 0.8  # share of the sampled texts that must be in one language
_CODES = {
    "ar": "arabic",
    "hy": "armenian",
    "eu": "basque",
    "ca": "catalan",
    "cs": "czech",
    "da": "danish",
    "nl": "dutch",
    "en": "english",
    "eo": "esperanto",
    "et": "estonian",
    "fi": "finnish",
    "fr": "french",
    "de": "german",
    "el": "greek",
    "hi": "hindi",
    "hu": "hungarian",
    "id": "indonesian",
    "ga": "irish",
    "it": "italian",
    "lt": "lithuanian",
    "ne": "nepali",
    "no": "norwegian",
    "nb": "norwegian",
    "nn": "norwegian",
    "fa": "persian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "es": "spanish",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
_EMPTY: Int32s = np.zeros(0, np.int32)
_IDENTIFIER = re.compile(
    r"(?<![A-Za-z0-9])(?:[A-Z]*+[a-z0-9]++(?=[A-Z])|[A-Z]{3,}+[a-z]{2})[A-Za-z0-9]*+"
)  # getUserName, HTTPServer
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


class Analyzer:
    """Terms of texts in one language, or in any ("none": words are not stemmed).

    Example:
        >>> Analyzer("english").query("Resizing the partitions")
        ['resiz', 'the', 'partit']
    """

    def __init__(self, language: str = NONE) -> None:
        self.language = checked_language(language)
        self._terms = _Terms(self.language)
        self.stop_terms = frozenset(map(self.term, STOP_WORDS if self.language in (NONE, "english") else ()))

    def term(self, word: str) -> str:
        """The term of a normalized word."""
        return self._terms[word]

    def query(self, text: str) -> list[str]:
        """The terms of a question, in order. Of a script without spaces the pairs of characters."""
        return [self.term(word) for word in self._words(text)[0]]

    def forms(self, text: str) -> set[str]:
        """All terms under which a document with this text is found."""
        words, extra = self._words(text)
        return {self.term(word) for word in (*words, *extra)}

    def occurrences(self, texts: Iterable[str]) -> Occurrences:
        """The terms of texts with their positions."""
        number = _Numbers(self._terms)
        main: list[Int32s] = [_EMPTY]
        extra: list[Int32s] = [_EMPTY]
        for text in texts:
            for found, into in zip(self._words(text), (main, extra), strict=True):
                into.append(np.fromiter(map(number.__getitem__, found), np.int32, len(found)))
        silent = np.array([term in self.stop_terms for term in number.terms], bool)
        each, more = (np.array([len(own) for own in parts[1:]], np.int64) for parts in (main, extra))
        terms, others = np.concatenate(main), np.concatenate(extra)
        placed = (~silent)[terms]
        counts = np.bincount(np.repeat(np.arange(len(each)), each), placed, len(each)).astype(np.int64)
        positions = loops.running(placed.astype(np.int64), each) - 1
        # others have no neighbours, so they form no pairs
        apart = np.repeat(counts, more) + 2 * loops.running(np.ones(len(others), np.int64), more)
        offsets = np.concatenate([[0], np.cumsum(each + more)])
        joined, places = np.zeros((2, offsets[-1]), np.int32)
        for start, lengths, own, at in (
            (offsets[:-1], each, terms, positions),
            (offsets[:-1] + each, more, others, apart),
        ):
            rows = np.repeat(start, lengths) + loops.running(np.ones(len(own), np.int64), lengths) - 1
            joined[rows], places[rows] = own, np.where(silent[own], NO_POSITION, at)
        return Occurrences(list(number.terms), offsets, joined, places, np.maximum(counts - 1, 0))

    def versions(self) -> dict[str, str]:
        """The language, and the versions of what terms depend on."""
        found = {"language": self.language, "unicode": unicodedata.unidata_version}
        if self.language != NONE:
            import Stemmer

            found["stemmer"] = Stemmer.version()
        return found

    def _words(self, text: str) -> tuple[list[str], list[str]]:
        """The words of a text in order, and others that it is found by: single characters, parts of identifiers."""
        words: list[str] = []
        extra: list[str] = []
        for piece in tokens.pieces(text):
            for run, unspaced in tokens.runs(self._turkish(piece)):
                if unspaced and len(run) > 1:
                    words += map("".join, pairwise(run))
                    extra += run
                else:
                    words.append(run)
            for match in _IDENTIFIER.finditer(piece):
                if len(match[0]) <= LONGEST:
                    extra += map(str.lower, _PART.findall(match[0]))
        return words, extra

    def _turkish(self, text: str) -> str:
        return text.replace("I", "ı") if self.language == "turkish" else text


class _Terms(dict[str, str]):
    """Word -> term, filled when first used; a stemmer serves one thread at a time."""

    def __init__(self, language: str) -> None:
        self.lock = threading.Lock()
        self.stem: Any = None
        if language != NONE:
            import Stemmer

            self.stem = Stemmer.Stemmer(language, 0).stemWord

    def __missing__(self, word: str) -> str:
        with self.lock:
            term = self.stem(word) if self.stem else word
        if len(term) > LONGEST:
            term = term[:LONGEST] + hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        self[word] = term
        return term


class _Numbers(dict[str, int]):
    """Word -> number of its term, in order of first occurrence."""

    def __init__(self, term: _Terms) -> None:
        self.term = term
        self.terms: dict[str, int] = {}

    def __missing__(self, word: str) -> int:
        self[word] = number = self.terms.setdefault(self.term[word], len(self.terms))
        return number


def checked_language(language: str) -> str:
    """The language; raises UsageError if there is no stemmer for it."""
    if language not in (*LANGUAGES, NONE):
        listed = ", ".join(("auto", NONE, *LANGUAGES))
        raise UsageError(f"unknown language {language!r}; allowed: {listed}")
    return language


def detect_language(texts: Sequence[str]) -> str:
    """The language of most of the texts, "none" if that is not clear or has no stemmer.

    Looks at up to 300 texts, spread evenly, so the result does not depend on chance.
    """
    from py3langid import classify

    places = {int(place) for place in np.linspace(0, len(texts) - 1, SAMPLE)} if len(texts) else ()
    chosen = [texts[place][:SAMPLE_CHARACTERS] for place in sorted(places)]
    chosen = [text for text in chosen if len(text.split()) > 2]
    if sum(map(len, chosen)) < SAMPLE_LEAST:
        return NONE
    votes: Counter[str] = Counter()
    for text in chosen:
        votes[classify(text)[0]] += len(text)
    code, count = votes.most_common(1)[0]
    return _CODES.get(code, NONE) if count >= SURE * sum(votes.values()) else NONE
