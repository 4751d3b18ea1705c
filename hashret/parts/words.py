"""Words: what counts as one, which of them a corpus is known by, and how often a text holds each.

The text is brought to one form (Unicode NFKC, case folded); a word is a run of letters, digits and marks of 2 to 40
characters. Scripts that put no spaces between words (Chinese, Japanese, Korean, Thai) give each pair of neighbouring
characters. There is no stop list and no stemming: words in more than half of the documents, and words in one document
only, are left out, and of the rest the most frequent are kept.
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
from hashret.features import Floats, Rows
from hashret.progress import track

SHORTEST, LONGEST = 2, 40  # characters of a word
FEW = 20  # documents, below which every word counts

# Thai to Myanmar, kana, Han, Hangul: no spaces between words, or between what would be words elsewhere
_UNSPACED = re.compile("([\u0e00-\u0eff\u1000-\u109f\u3005\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+)")


def tokens(text: str) -> Iterator[str]:
    """The words of a text, in order."""
    if _unspaced(text := _form(text)):
        return _mixed(text)
    return (run for run in _runs(text) if SHORTEST <= len(run) <= LONGEST)


def _form(text: str) -> str:
    """The one form."""
    return (text if text.isascii() else unicodedata.normalize("NFKC", text)).casefold()


def _unspaced(text: str) -> bool:
    return not text.isascii() and _UNSPACED.search(text) is not None


def _runs(text: str) -> list[str]:
    """Runs of letters, digits and marks, of any length."""
    return text.translate(_SEPARATED).split()


def _mixed(text: str) -> Iterator[str]:
    """The words of a text that is not, or not all, in a script with spaces."""
    for number, part in enumerate(_UNSPACED.split(text)):
        if number % 2:
            yield from map("".join, pairwise(part)) if len(part) > 1 else [part]
        else:
            yield from (run for run in _runs(part) if SHORTEST <= len(run) <= LONGEST)


class _Separated(dict[int, str]):
    """Letters, digits and marks as they are, all else a space; filled as characters are met."""

    def __missing__(self, code: int) -> str:
        self[code] = chr(code) if unicodedata.category(chr(code))[0] in "LNM" else " "
        return self[code]


_SEPARATED = _Separated()


def vocabulary(texts: Sequence[str], largest: int, least: int, most: float) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The words kept, most frequent first, and the number of texts that hold each.

    A word must occur in `least` texts and in no more than a share `most` of them; DataError where no text has a word.
    """
    frequency: Counter[str] = Counter()
    for text in track(texts, "counting words", len(texts)):
        frequency.update(set(tokens(text)))
    n = len(texts)
    lowest, highest = (1, n) if n < FEW else (least, most * n)
    kept = [(word, df) for word, df in frequency.items() if lowest <= df <= highest] or list(frequency.items())
    kept = sorted(kept, key=lambda item: (-item[1], item[0]))[:largest]
    if not kept:
        raise DataError(f"no words in these {n} documents; a word is a run of 2 to 40 letters or digits")
    return [word for word, _ in kept], np.array([df for _, df in kept], np.int64)


def count(texts: Iterable[str], number: dict[str, int]) -> Rows:
    """How often each text holds each word of a vocabulary (word -> column), sparse [n, words]."""
    found = [_columns(text, number) for text in texts]
    rows = np.repeat(np.arange(len(found)), [len(columns) for columns in found])
    columns = np.concatenate([np.zeros(0, np.int64), *found])
    known = columns >= 0
    places, counts = np.unique(rows[known] * len(number) + columns[known], return_counts=True)
    offsets = np.searchsorted(places, np.arange(len(found) + 1) * len(number))
    indices = (places % max(1, len(number))).astype(np.int32)
    return Rows(counts.astype(np.float32), indices, offsets, len(number))


def _columns(text: str, number: dict[str, int]) -> npt.NDArray[np.int64]:
    """The column of each word of a text, in order; -1 for a word that has none."""
    text = _form(text)
    found = _mixed(text) if _unspaced(text) else _runs(text)  # what is too short or long for a word has no column
    return np.array([*map(number.get, found, repeat(-1))], np.int64)


def rarity(df: npt.NDArray[np.int64], n: int) -> Floats:
    """Inverse document frequency of words that occur in df of n texts: 1 + ln((1 + n) / (1 + df))."""
    return (1 + np.log((1 + n) / (1 + df.astype(np.float64)))).astype(np.float32)


def weigh(counts: Rows, idf: Floats) -> Rows:
    """tf-idf, sublinear: (1 + ln tf) idf, each row to length 1; a text without a known word is a row of zeros."""
    values = (1 + np.log(counts.data)) * idf[counts.indices]
    rows = np.repeat(np.arange(len(counts)), np.diff(counts.offsets))
    length = np.sqrt(np.bincount(rows, weights=values.astype(np.float64) ** 2, minlength=len(counts)))
    return Rows((values / length[rows]).astype(np.float32), counts.indices, counts.offsets, counts.width)
