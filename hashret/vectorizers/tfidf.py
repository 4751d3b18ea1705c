"""tf-idf: a text as the words in it, rare words weighing more.

What a word is: the text is brought to one form (Unicode NFKC, case folded); a word is a run of letters, digits and
marks of 2 to 40 characters. There is no stop list and no stemming: words in more than half of the documents, and words
in one document only, are left out, and of the rest the most frequent are kept.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hashret.documents import Document, check_kind
from hashret.errors import DataError, StoreError
from hashret.features import Features, Rows
from hashret.options import option
from hashret.progress import track
from hashret.vectorizers.base import State, Vectorizer

SHORTEST, LONGEST = 2, 40  # characters of a word
FEW = 20  # documents, below which every word counts


def tokens(text: str) -> Iterator[str]:
    """The words of a text, in order."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    runs = text.casefold().translate(_SEPARATED).split()
    return (run for run in runs if SHORTEST <= len(run) <= LONGEST)


class _Separated(dict[int, str]):
    """Letters, digits and marks as they are, all else a space; filled as characters are met."""

    def __missing__(self, code: int) -> str:
        self[code] = chr(code) if unicodedata.category(chr(code))[0] in "LNM" else " "
        return self[code]


_SEPARATED = _Separated()


@dataclass(kw_only=True, repr=False, eq=False)
class TfIdf(Vectorizer):
    """weight = (1 + ln tf) (1 + ln((1 + n) / (1 + df))), each row to length 1 (Salton & Buckley 1988)."""

    vocabulary: int = option(10_000, "words kept, the most frequent first", low=1)
    least: int = option(2, "documents a word must occur in", low=1)
    most: float = option(0.5, "share of the documents that a word may occur in", low=0.0, high=1.0)

    name = "tfidf"
    summary = "words weighted by tf-idf, sublinear"
    reads = "text"
    gives = "unit"

    def fit(self, documents: Sequence[Document]) -> Features:
        """Choose the vocabulary and its weights."""
        check_kind(documents, self.reads, "tfidf")
        frequency: Counter[str] = Counter()
        for document in track(documents, "counting words", len(documents)):
            frequency.update(set(tokens(str(document.content))))
        n = len(documents)
        least, most = (1, n) if n < FEW else (self.least, self.most * n)
        kept = [(word, df) for word, df in frequency.items() if least <= df <= most] or list(frequency.items())
        kept.sort(key=lambda item: (-item[1], item[0]))
        if not kept:
            raise DataError(f"no words in these {n} documents; a word is a run of 2 to 40 letters or digits")
        df = np.array([count for _, count in kept[: self.vocabulary]], np.float64)
        self._take_up(
            [word for word, _ in kept[: self.vocabulary]], (1 + np.log((1 + n) / (1 + df))).astype(np.float32)
        )
        return self.transform(documents)

    def _take_up(self, words: Sequence[str], idf: np.ndarray) -> None:
        self.words, self.idf = tuple(words), idf
        self.number = {word: i for i, word in enumerate(words)}

    def transform(self, documents: Sequence[Document]) -> Features:
        """Sparse rows [n, words]; a text without a known word is a row of zeros."""
        check_kind(documents, self.reads, "tfidf")
        indices: list[np.ndarray] = []
        counts: list[np.ndarray] = []
        number = self.number
        for document in documents:
            found = Counter(number[word] for word in tokens(str(document.content)) if word in number)
            order = sorted(found)
            indices.append(np.array(order, np.int32))
            counts.append(np.array([found[i] for i in order], np.float32))
        offsets = np.concatenate([[0], np.cumsum([len(i) for i in indices], dtype=np.int64)]).astype(np.int64)
        places = np.concatenate(indices) if indices else np.zeros(0, np.int32)
        values = (1 + np.log(np.concatenate(counts))) * self.idf[places] if indices else np.zeros(0, np.float32)
        rows = np.repeat(np.arange(len(documents)), np.diff(offsets))
        length = np.sqrt(np.bincount(rows, weights=values.astype(np.float64) ** 2, minlength=len(documents)))
        data = (values / length[rows]).astype(np.float32)
        return Features(Rows(data, places, offsets, len(self.words)), (len(self.words),), self.gives)

    def state(self) -> State:
        """The words and their weights."""
        return State(tensors={"idf": self.idf}, vocabulary=self.words)

    def restore(self, state: State) -> None:
        """Take up words and weights."""
        idf = state.tensors.get("idf")
        if idf is None or idf.shape != (len(state.vocabulary),):
            raise StoreError(f"the vocabulary has {len(state.vocabulary)} words, but their weights do not fit it")
        self._take_up(state.vocabulary, idf)
