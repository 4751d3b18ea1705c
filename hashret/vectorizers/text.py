"""Text: a document by what its words mean, learned from the corpus itself.

    meaning   the tf-idf-weighted sum of its word vectors, to length 1
    topics    its coordinates in latent semantic analysis, to length 1
    known     the same by word vectors of a model trained elsewhere, where one is given
    input     (meaning, share * topics, known)

and for the graph of neighbours the views (meaning, topics, known, tf-idf). `share` is decided by the documents' length
and by how much the first topics hold of what all hold: topics are counted from whole documents and say little of one
that has a dozen words, where they only add noise to the net's input; where few topics lead, a corpus is made of few
kinds of documents, and topics tell them apart better than words do. The graph, which adds up agreement, is not hurt by
a weak view.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hashret import tokens
from hashret.documents import Document, check_kind
from hashret.errors import StoreError
from hashret.features import CSRMatrix, Features, Floats, unit
from hashret.options import option
from hashret.vectorizers.base import State, Vectorizer

SHORT, LONG = 15, 50  # distinct words of the middle document: topics begin to tell, topics tell all they can
LEAD = 0.27  # of what topics hold, in the first eighth of them; with more they count for more, at most twice as much
FEW = 500  # documents; word vectors of fewer are rough

log = logging.getLogger("hashret")


@dataclass(kw_only=True, repr=False, eq=False)
class Text(Vectorizer):
    """Word vectors and latent semantics, both learned from the documents; see `vectorizers/views.py`."""

    max_features: int = option(10_000, "words kept, the most frequent first", low=1)
    min_df: int = option(2, "documents a word must occur in", low=1)
    max_df: float = option(0.5, "share of the documents that a word may occur in", low=0.0, high=1.0)
    dim: int = option(100, "dimensions of the word vectors", low=1, high=4096)
    topics: int = option(128, "dimensions of the latent semantics", low=1, high=4096)
    input: str = option("auto", "what feeds the net; auto: by length", choices=("auto", "words", "topics", "both"))
    static: str = option("", "word vectors trained elsewhere beside: minilm, or the path of a model2vec model")

    name = "text"
    summary = "what words mean, learned from the corpus (the default for texts)"
    document_type = "text"
    feature_type = "real"

    def fit(self, documents: Sequence[Document]) -> Features:
        """Learn words and topics."""
        from hashret.vectorizers.static import static_vectors
        from hashret.vectorizers.views import latent, word_vectors

        check_kind(documents, self.document_type, self.name)
        trained = static_vectors(self.static) if self.static else None
        texts = [str(document.content) for document in documents]
        kept, df = tokens.vocabulary(texts, self.max_features, self.min_df, self.max_df)
        if len(texts) < FEW:
            log.warning("%d documents: codes learned from fewer than %d are rough", len(texts), FEW)
        counts = tokens.count(texts, {word: i for i, word in enumerate(kept)})
        idf = tokens.rarity(df, len(texts))
        weights = tokens.weigh(counts, idf)
        meaning, topics = word_vectors(weights, self.dim, 0), latent(weights, self.topics, 0)
        share = self._share(np.diff(counts.offsets), np.square(weights.matmul(topics)).sum(axis=0))
        parts = [(float(self.input != "topics"), meaning), (share, topics)]
        if trained:
            parts.append((1.0, _centred(trained(kept), df)))
        views = [unit(weights.matmul(vectors)) for _, vectors in parts]
        chosen = [(share, vectors) for share, vectors in parts if share]
        self._take_up(kept, idf, [vectors for _, vectors in chosen], [share for share, _ in chosen])
        return Features(self._input(weights), self.shape, self.feature_type, (*views, weights))

    def _share(self, lengths: np.ndarray, held: np.ndarray) -> float:
        """The weight of topics beside words, given each document's distinct words [n] and what each topic holds."""
        if self.input != "auto":
            return 0.0 if self.input == "words" else 1.0
        middle = max(float(np.median(lengths)), 1.0)
        by_length = np.clip(np.log(middle / SHORT) / np.log(LONG / SHORT), 0, 1)
        # the very first is what all documents have in common
        lead = held[1 : len(held) // 8].sum() / max(float(held[1:].sum()), 1e-12)
        return float(by_length * np.clip(lead / LEAD, 1, 2))

    def _take_up(self, kept: Sequence[str], idf: Floats, parts: Sequence[Floats], shares: Sequence[float]) -> None:
        self.words, self.idf, self.shares = tuple(kept), idf, tuple(shares)
        self.number = {word: i for i, word in enumerate(kept)}
        self.widths = [part.shape[1] for part in parts]
        self.vectors = np.concatenate(parts, axis=1)  # [words, dim]
        self.shape = (self.vectors.shape[1],)

    def transform(self, documents: Sequence[Document]) -> Features:
        """Dense rows [n, dim]; a text without a known word is a row of zeros."""
        check_kind(documents, self.document_type, self.name)
        counts = tokens.count((str(document.content) for document in documents), self.number)
        return Features(self._input(tokens.weigh(counts, self.idf)), self.shape, self.feature_type)

    def _input(self, weights: CSRMatrix) -> Floats:
        """tf-idf [n, words] -> float32 [n, dim]."""
        values = weights.matmul(self.vectors)
        start = 0
        for width, share in zip(self.widths, self.shares, strict=True):
            values[:, start : start + width] = share * unit(values[:, start : start + width])
            start += width
        return values

    def knows(self, features: Floats | CSRMatrix) -> npt.NDArray[np.bool_]:
        """Which documents have a word that was seen before, bool [n]."""
        return np.asarray(np.asarray(features).any(axis=1), bool)

    def state(self) -> State:
        """The words, their weights and vectors."""
        facts = {"shares": list(self.shares), "widths": self.widths}
        return State(facts, {"idf": self.idf, "vectors": self.vectors}, self.words)

    def restore(self, state: State) -> None:
        """Take up words, weights and vectors."""
        idf, vectors = state.tensors.get("idf"), state.tensors.get("vectors")
        shares, widths = state.facts.get("shares"), state.facts.get("widths")
        n = len(state.vocabulary)
        if idf is None or vectors is None or idf.shape != (n,) or vectors.ndim != 2 or len(vectors) != n:
            raise StoreError(f"the vocabulary has {n} words, but their weights and vectors do not fit it")
        if not (isinstance(shares, list) and isinstance(widths, list) and 0 < len(shares) == len(widths)):
            raise StoreError(f"the parts of the input need as many shares as widths, got {shares!r}, {widths!r}")
        if not all(type(width) is int and width > 0 for width in widths) or sum(widths) != vectors.shape[1]:
            raise StoreError(f"parts of widths {widths!r} are not those of vectors of {vectors.shape[1]} dimensions")
        parts = np.split(vectors, np.cumsum(widths)[:-1], axis=1)
        self._take_up(state.vocabulary, idf, parts, [float(share) for share in shares])


def _centred(vectors: Floats, df: npt.NDArray[np.int64]) -> Floats:
    """Word vectors less what the words of a document, met as often as they are, have in common."""
    return np.asarray(vectors - df @ vectors / max(int(df.sum()), 1), np.float32)
