"""Vectorizer of texts: tf-idf weights of words. `tokens.py` defines what a word is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hashret import tokens
from hashret.documents import Document, check_kind
from hashret.errors import StoreError
from hashret.features import CSRMatrix, Features, Floats
from hashret.options import option
from hashret.vectorizers.base import State, Vectorizer


@dataclass(kw_only=True, repr=False, eq=False)
class TfIdf(Vectorizer):
    """weight = (1 + ln tf) (1 + ln((1 + n) / (1 + df))), each row scaled to length 1 (Salton & Buckley 1988)."""

    max_features: int = option(10_000, "words kept, the most frequent first", low=1)
    min_df: int = option(2, "documents a word must occur in", low=1)
    max_df: float = option(0.5, "share of the documents that a word may occur in", low=0.0, high=1.0)

    name = "tfidf"
    summary = "words weighted by tf-idf, sublinear"
    document_type = "text"
    feature_type = "unit"

    def fit(self, documents: Sequence[Document]) -> Features:
        """Choose the vocabulary and compute its weights. Raises DataError if no text has a word."""
        check_kind(documents, self.document_type, self.name)
        texts = [str(document.content) for document in documents]
        kept, df = tokens.vocabulary(texts, self.max_features, self.min_df, self.max_df)
        self._take_up(kept, tokens.rarity(df, len(texts)))
        return self.transform(documents)

    def _take_up(self, kept: Sequence[str], idf: Floats) -> None:
        self.words, self.idf = tuple(kept), idf
        self.number = {word: i for i, word in enumerate(kept)}

    def transform(self, documents: Sequence[Document]) -> Features:
        """Return sparse features [n, words]; a text without known words is a row of zeros."""
        check_kind(documents, self.document_type, self.name)
        counts = tokens.count((str(document.content) for document in documents), self.number)
        return Features(tokens.weigh(counts, self.idf), (len(self.words),), self.feature_type)

    def knows(self, features: Floats | CSRMatrix) -> npt.NDArray[np.bool_]:
        """Return which documents have a known word, bool [n]."""
        assert isinstance(features, CSRMatrix)
        return np.diff(features.offsets) > 0

    def state(self) -> State:
        """Return the words and their weights."""
        return State(tensors={"idf": self.idf}, vocabulary=self.words)

    def restore(self, state: State) -> None:
        """Load words and weights. Raises StoreError if they do not fit each other."""
        idf = state.tensors.get("idf")
        if idf is None or idf.shape != (len(state.vocabulary),):
            raise StoreError(f"the vocabulary has {len(state.vocabulary)} words, but their weights do not fit it")
        self._take_up(state.vocabulary, idf)
