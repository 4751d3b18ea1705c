"""Vectorizer of texts: word vectors and topics learned from the corpus.

    meaning   the tf-idf-weighted sum of word vectors, scaled to length 1
    topics    the coordinates in latent semantic analysis, scaled to length 1
    known     like meaning, with word vectors of a model trained elsewhere, if one is given
    input     (meaning, share * topics, known)

The views for the neighbour graph are (meaning, topics, known, tf-idf). `share` depends on the length of the documents
and on the weight of the first topics among all. Topics of documents with a dozen words are mostly noise, so they
are left out of the input. If a few topics dominate, the corpus consists of few kinds of documents, which topics
separate better than words do. The graph adds up similarities and does not suffer from a weak view.
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

SHORT, LONG = 15, 50  # median distinct words per document: the share of topics grows from 0 at SHORT to 1 at LONG
LEAD = 0.27  # usual weight of the first eighth of the topics; more increases their share, up to a factor of 2
FEW = 500  # documents; word vectors learned from fewer are inaccurate

log = logging.getLogger("hashret")


@dataclass(kw_only=True, repr=False, eq=False)
class Text(Vectorizer):
    """Word vectors and latent semantic analysis, both learned from the documents, see `vectorizers/views.py`."""

    max_features: int = option(10_000, "words kept, the most frequent first", low=1)
    min_df: int = option(2, "documents a word must occur in", low=1)
    max_df: float = option(0.5, "share of the documents that a word may occur in", low=0.0, high=1.0)
    dim: int = option(100, "dimensions of the word vectors", low=1, high=4096)
    topics: int = option(128, "dimensions of latent semantic analysis", low=1, high=4096)
    input: str = option("auto", "input of the network; auto: by length", choices=("auto", "words", "topics", "both"))
    static: str = option("", "additional word vectors: minilm, or the path of a model2vec model")

    name = "text"
    summary = "word vectors and topics learned from the corpus (the default for texts)"
    document_type = "text"
    feature_type = "real"

    def fit(self, documents: Sequence[Document]) -> Features:
        """Learn the vocabulary, word vectors and topics. Logs a warning for few documents."""
        from hashret.vectorizers.static import static_vectors
        from hashret.vectorizers.views import latent, word_vectors

        check_kind(documents, self.document_type, self.name)
        trained = static_vectors(self.static) if self.static else None
        texts = [str(document.content) for document in documents]
        kept, df = tokens.vocabulary(texts, self.max_features, self.min_df, self.max_df)
        if len(texts) < FEW:
            log.warning("%d documents: codes learned from fewer than %d are inaccurate", len(texts), FEW)
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
        """Return the weight of topics from the distinct words per document [n] and the weight `held` of each topic."""
        if self.input != "auto":
            return 0.0 if self.input == "words" else 1.0
        middle = max(float(np.median(lengths)), 1.0)
        by_length = np.clip(np.log(middle / SHORT) / np.log(LONG / SHORT), 0, 1)
        # without the first topic, which is common to all documents
        lead = held[1 : len(held) // 8].sum() / max(float(held[1:].sum()), 1e-12)
        return float(by_length * np.clip(lead / LEAD, 1, 2))

    def _take_up(self, kept: Sequence[str], idf: Floats, parts: Sequence[Floats], shares: Sequence[float]) -> None:
        self.words, self.idf, self.shares = tuple(kept), idf, tuple(shares)
        self.number = {word: i for i, word in enumerate(kept)}
        self.widths = [part.shape[1] for part in parts]
        self.vectors = np.concatenate(parts, axis=1)  # [words, dim]
        self.shape = (self.vectors.shape[1],)

    def transform(self, documents: Sequence[Document]) -> Features:
        """Return dense features [n, dim]; a text without known words is a row of zeros."""
        check_kind(documents, self.document_type, self.name)
        counts = tokens.count((str(document.content) for document in documents), self.number)
        return Features(self._input(tokens.weigh(counts, self.idf)), self.shape, self.feature_type)

    def _input(self, weights: CSRMatrix) -> Floats:
        """tf-idf [n, words] -> input of the network, float32 [n, dim]."""
        values = weights.matmul(self.vectors)
        start = 0
        for width, share in zip(self.widths, self.shares, strict=True):
            values[:, start : start + width] = share * unit(values[:, start : start + width])
            start += width
        return values

    def knows(self, features: Floats | CSRMatrix) -> npt.NDArray[np.bool_]:
        """Return which documents have a known word, bool [n]."""
        return np.asarray(np.asarray(features).any(axis=1), bool)

    def state(self) -> State:
        """Return the words with their weights and vectors."""
        facts = {"shares": list(self.shares), "widths": self.widths}
        return State(facts, {"idf": self.idf, "vectors": self.vectors}, self.words)

    def restore(self, state: State) -> None:
        """Load words, weights and vectors. Raises StoreError if they do not fit each other."""
        idf, vectors = state.tensors.get("idf"), state.tensors.get("vectors")
        shares, widths = state.facts.get("shares"), state.facts.get("widths")
        n = len(state.vocabulary)
        if idf is None or vectors is None or idf.shape != (n,) or vectors.ndim != 2 or len(vectors) != n:
            raise StoreError(f"the vocabulary has {n} words, but their weights and vectors do not fit it")
        if not (isinstance(shares, list) and isinstance(widths, list) and 0 < len(shares) == len(widths)):
            raise StoreError(f"the parts of the input must have as many shares as widths, got {shares!r}, {widths!r}")
        if not all(type(width) is int and width > 0 for width in widths) or sum(widths) != vectors.shape[1]:
            raise StoreError(f"parts of widths {widths!r} do not add up to vectors of {vectors.shape[1]} dimensions")
        parts = np.split(vectors, np.cumsum(widths)[:-1], axis=1)
        self._take_up(state.vocabulary, idf, parts, [float(share) for share in shares])


def _centred(vectors: Floats, df: npt.NDArray[np.int64]) -> Floats:
    """Subtract the mean of the word vectors, weighted by document frequency."""
    return np.asarray(vectors - df @ vectors / max(int(df.sum()), 1), np.float32)
