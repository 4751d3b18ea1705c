"""Tokenize texts, select a vocabulary and count words.

The text is normalised (Unicode NFKC) and case-folded. A word is a run of 2 to 40 letters, digits and combining marks.
Invisible characters (Unicode category Cf: soft hyphens, joiners, direction marks) are dropped; the zero-width space
separates words. Scripts without spaces between words (Chinese, Japanese, Korean, Thai) yield pairs of adjacent
characters. There is no stop list and no stemming. By default, words in more than half of the documents or in only one
are ignored, and the most frequent of the others are kept.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, repeat

import numpy as np
import numpy.typing as npt

from hashret.errors import DataError
from hashret.features import CSRMatrix, Floats
from hashret.progress import track

SHORTEST, LONGEST = 2, 40  # characters of a word
PIECE = 1 << 20  # characters tokenized at once
MARKS = 30  # consecutive combining marks (the stream-safe text format of UAX 15): sorting more is slow
FEW = 20  # with fewer documents, all words are kept

# Thai to Myanmar, Khmer, Tai, kana, Han, Hangul: no spaces between words, or between what would be words elsewhere
UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u3005\u3040-\u30ff\u3400-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U000323af]+)"
)


# a text may be cut before an ASCII or full-width separator, which is not part of a word and does not compose with the
# preceding character
_CUT = re.compile("[\x00-/:-@\\[-`{-\x7f\u3000-\u3002\uff01-\uff0f]")
# combining marks and other characters that are not letters; the last two are letters that normalise to marks
_MARK = re.compile("[^\\w\\s\x00-\x7f]|[\uff9e\uff9f]")
_SOME_MARKS = re.compile(f"(?:{_MARK.pattern}){{{MARKS // 2 + 1}}}")
_MANY_MARKS = re.compile(f"(?:{_MARK.pattern}){{{MARKS + 1},}}+")


def tokens(text: str) -> Iterator[str]:
    """Return an iterator over the words of a text, in order."""
    if len(text) <= PIECE:
        return _tokens(text)
    return (word for piece in pieces(text) for word in _tokens(piece))


def _tokens(text: str) -> Iterator[str]:
    if _unspaced(text := _form(text)):
        return _mixed(text)
    return (run for run in _runs(text) if SHORTEST <= len(run) <= LONGEST)


def pieces(text: str) -> Iterator[str]:
    """Cut a long text into pieces, none of which cuts a word."""
    start = 0
    while len(text) - start > PIECE:
        cut = _CUT.search(text, start + PIECE)
        end = len(text) if cut is None else cut.start()
        yield text[start:end]
        start = end
    yield text[start:]


def _form(text: str) -> str:
    """Return the normalised, case-folded text."""
    return (text if text.isascii() else unicodedata.normalize("NFKC", _few_marks(text))).casefold()


def _few_marks(text: str) -> str:
    """Limit runs of combining marks to MARKS."""
    # a run of more than 30 marks contains one of every 31st characters and 15 neighbours on one side of it, so in most
    # texts only those characters have to be checked
    for hit in _MARK.finditer(text[:: MARKS + 1]):
        place = hit.start() * (MARKS + 1)
        if _SOME_MARKS.match(text, place) or _SOME_MARKS.match(text, max(0, place - MARKS // 2)):
            return _MANY_MARKS.sub(lambda run: _first_marks(run[0]), text)
    return text


def _first_marks(run: str) -> str:
    """Limit the marks in a run of marks and other characters."""
    marks = [c for c in sorted(set(run)) if unicodedata.combining(unicodedata.normalize("NFKD", c)[0])]
    if not marks:
        return run
    several = f"[{re.escape(''.join(marks))}]"
    return re.sub(f"({several}{{{MARKS}}}){several}+", r"\1", run)


def _unspaced(text: str) -> bool:
    return not text.isascii() and UNSPACED.search(text) is not None


def _runs(text: str) -> list[str]:
    """Return the runs of letters, digits and marks, of any length."""
    return text.translate(_SEPARATED).split()


def _mixed(text: str) -> Iterator[str]:
    """Yield the words of a text that is at least partly in a script without spaces."""
    unspaced: list[str] = []
    for number, part in enumerate(UNSPACED.split(text)):
        if number % 2:
            unspaced.append(part)
        elif separated := part.translate(_SEPARATED):  # invisible characters do not separate two unspaced parts
            yield from _pairs("".join(unspaced))
            unspaced.clear()
            yield from (run for run in separated.split() if SHORTEST <= len(run) <= LONGEST)
    yield from _pairs("".join(unspaced))


def _pairs(run: str) -> Iterable[str]:
    return map("".join, pairwise(run)) if len(run) > 1 else [run] if run else []


def runs(text: str) -> Iterator[tuple[str, bool]]:
    """The runs of letters, digits and marks of a text, of any length, and whether their script has no spaces."""
    text = _form(text).replace("i\u0307", "i")  # a capital I with a dot, case folded
    if not _unspaced(text):
        yield from ((run, False) for run in _runs(text))
        return
    unspaced = ""
    for number, part in enumerate(UNSPACED.split(text)):
        if number % 2:
            unspaced += part
        elif separated := part.translate(_SEPARATED):  # otherwise only invisible characters are between the two
            yield from ((run, True) for run in ([unspaced] if unspaced else []))
            unspaced = ""
            yield from ((run, False) for run in separated.split())
    if unspaced:
        yield unspaced, True


class _Separated(dict[int, str]):
    """Translation table, filled on demand: keeps letters, digits and marks, drops invisibles, maps others to spaces."""

    def __missing__(self, code: int) -> str:
        kind = unicodedata.category(chr(code))
        self[code] = chr(code) if kind[0] in "LNM" else "" if kind == "Cf" and code != 0x200B else " "
        return self[code]


_SEPARATED = _Separated()


def vocabulary(
    texts: Sequence[str], max_features: int, min_df: int, max_df: float
) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return the vocabulary, most frequent words first, and the number of texts that contain each word, int64 [words].

    A word must occur in at least `min_df` texts and in at most a share `max_df` of them. If no word does, or there are
    fewer than FEW texts, all words qualify. At most `max_features` are kept. Raises DataError if no text has a word.
    """
    frequency: Counter[str] = Counter()
    for text in track(texts, "counting words", len(texts)):
        frequency.update(set(tokens(text)))
    n = len(texts)
    lowest, highest = (1, n) if n < FEW else (min_df, max_df * n)
    kept = [(word, df) for word, df in frequency.items() if lowest <= df <= highest] or list(frequency.items())
    kept = sorted(kept, key=lambda item: (-item[1], item[0]))[:max_features]
    if not kept:
        raise DataError(f"no words in these {n} documents; a word is a run of 2 to 40 letters or digits")
    return [word for word, _ in kept], np.array([df for _, df in kept], np.int64)


def count(texts: Iterable[str], number: dict[str, int]) -> CSRMatrix:
    """Count the words of each text; `number` maps a word to its column. Returns a sparse matrix [n, words]."""
    width = len(number)
    found: list[npt.NDArray[np.int64]] = []
    sums: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []  # flat positions and counts of long texts
    for row, text in enumerate(texts):
        if len(text) <= PIECE:
            found.append(_columns(text, number))
        else:
            columns, counts = _sum(text, number)
            sums.append((row * width + columns, counts))
            found.append(np.zeros(0, np.int64))
    rows = np.repeat(np.arange(len(found)), [len(columns) for columns in found])
    columns = np.concatenate([np.zeros(0, np.int64), *found])
    known = columns >= 0
    places, counts = np.unique(rows[known] * width + columns[known], return_counts=True)
    if sums:
        places = np.concatenate([places, *(part for part, _ in sums)])
        counts = np.concatenate([counts, *(part for _, part in sums)])
        order = places.argsort()
        places, counts = places[order], counts[order]
    offsets = np.searchsorted(places, np.arange(len(found) + 1) * width)
    indices = (places % max(1, width)).astype(np.int32)
    return CSRMatrix(counts.astype(np.float32), indices, offsets, width)


def _sum(text: str, number: dict[str, int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The columns of the words of a long text, sorted, and how often it holds each."""
    total = np.zeros(len(number) + 1, np.int64)  # the last for words that have no column
    for piece in pieces(text):
        total += np.bincount(_columns(piece, number) % len(total), minlength=len(total))
    columns = total[:-1].nonzero()[0]
    return columns, total[columns]


def _columns(text: str, number: dict[str, int]) -> npt.NDArray[np.int64]:
    """Return the column of each word of a text, in order; -1 for an unknown word."""
    text = _form(text)
    found = _mixed(text) if _unspaced(text) else _runs(text)  # runs of the wrong length are unknown words
    return np.fromiter(map(number.get, found, repeat(-1)), np.int64)


def rarity(df: npt.NDArray[np.int64], n: int) -> Floats:
    """Return the inverse document frequency of words that occur in df of n texts: 1 + ln((1 + n) / (1 + df))."""
    return (1 + np.log((1 + n) / (1 + df.astype(np.float64)))).astype(np.float32)


def weigh(counts: CSRMatrix, idf: Floats) -> CSRMatrix:
    """Return sublinear tf-idf, (1 + ln tf) idf, with rows of length 1; a text without known words is a row of zeros."""
    values = (1 + np.log(counts.data)) * idf[counts.indices]
    rows = np.repeat(np.arange(len(counts)), np.diff(counts.offsets))
    length = np.sqrt(np.bincount(rows, weights=values.astype(np.float64) ** 2, minlength=len(counts)))
    return CSRMatrix((values / length[rows]).astype(np.float32), counts.indices, counts.offsets, counts.width)
