"""Vectorizer of texts: the embeddings of a sentence model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hashret.documents import Document
from hashret.errors import DataError, UsageError
from hashret.features import CSRMatrix, Features, Floats
from hashret.frontends.base import Model, Role
from hashret.frontends.text_models import BACKENDS, TextModel, backend_of
from hashret.options import option
from hashret.vectorizers.base import State
from hashret.vectorizers.text import Text

SAMPLE = 1000  # texts whose length in tokens is counted
LONG = 0.1  # share of truncated texts from which codes are learned from words too
SAID = 0.005  # share of truncated texts from which a warning is logged

log = logging.getLogger("hashret")


@dataclass(kw_only=True, repr=False, eq=False)
class Sentence(Model):
    """Embeds texts with a model of sentence-transformers or model2vec, from a folder, a package or the hub.

    `sentence:MODEL` names the model. A model2vec model and a model in ONNX format need no torch. If the model has
    prompts for queries and documents (Wang et al. 2022), both are used.

    If many texts are longer than the model reads, codes are learned from the embeddings and from the words, as the
    vectorizer `text` sees them. Vectors are made of the embeddings alone.
    """

    backend: str = option("auto", "auto: model2vec, ONNX, else torch", choices=("auto", *BACKENDS))
    query_prompt: str = option(None, "text put before each query; auto: that of the model")
    document_prompt: str = option(None, "text put before each document; auto: that of the model")
    max_length: int = option(None, "tokens that the model reads of a text; auto: that of the model", low=1)

    words: bool = option(None, "whether codes are learned from words too; auto: if many texts are too long")

    name = "sentence"
    summary = "embeddings of a sentence model, sentence:MODEL (a path, a name on the hub, or minilm)"
    document_type = "text"
    extra: ClassVar[str] = "text-models"
    keyed: ClassVar[tuple[str, ...]] = ("backend", "max_length", "document_prompt", "precision")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._text: Text | None = None

    def fit(self, documents: Sequence[Document]) -> Features:
        """Load the model, embed the documents, and learn from their words. Raises as `Model.fit` does."""
        embedded = super().fit(documents)
        self._text = None
        if not (self.facts["truncated"] > LONG if self.words is None else self.words):
            return embedded
        text = Text()
        try:
            seen = text.fit(documents)
        except DataError:  # no words
            return embedded
        self._text = text
        values = np.concatenate([embedded.input, seen.input], axis=1)
        return Features(values, values.shape[1:], self.feature_type, (embedded.input, *seen.views))

    def transform(self, documents: Sequence[Document]) -> Features:
        """Return embeddings and, if codes are learned from words too, the features of words: float32 [n, any dim]."""
        return self._with_words(super().transform(documents), documents)

    def transform_queries(self, documents: Sequence[Document]) -> Features:
        """Return the features of queries, as `transform` does those of documents."""
        return self._with_words(super().transform_queries(documents), documents)

    def _with_words(self, embedded: Features, documents: Sequence[Document]) -> Features:
        if self._text is None:
            return embedded
        values = np.concatenate([embedded.input, self._text.transform(documents).input], axis=1)
        return Features(values, values.shape[1:], self.feature_type)

    def for_vectors(self, features: Floats | CSRMatrix) -> Floats:
        """Return the embeddings, [n, dim]."""
        return np.asarray(features)[:, : self.dim]

    def state(self) -> State:
        """Return the facts about the model, and what was learned from words."""
        if self._text is None:
            return super().state()
        text = self._text.state()
        return State({**self.facts, "text": dict(text.facts)}, text.tensors, text.vocabulary)

    def restore(self, state: State) -> None:
        """Load what `state` returned. Raises StoreError if it is inconsistent."""
        super().restore(state)
        if (facts := self.facts.pop("text", None)) is not None:
            self._text = Text()
            self._text.restore(State(facts, state.tensors, state.vocabulary))

    def load(self, path: Path, documents: Sequence[Document]) -> dict[str, Any]:
        """Load the model, and count how many of the documents are longer than it reads."""
        backend = backend_of(path, self.backend) if documents else str(self.facts["backend"])
        self._model: TextModel = BACKENDS[backend](path, self.device, self.batch_size, self.max_length)
        prompts = self._model.prompts
        self._prompts = {
            "query": prompts.get("query", "") if self.query_prompt is None else self.query_prompt,
            "document": prompts.get("document", "") if self.document_prompt is None else self.document_prompt,
        }
        facts = {"backend": backend, "max_length": self._model.max_length, "precision": "float32"}
        return facts | {
            "query_prompt": self._prompts["query"],
            "document_prompt": self._prompts["document"],
            "truncated": self._truncated([str(document.content) for document in documents[:SAMPLE]]),
        }

    def _truncated(self, texts: Sequence[str]) -> float:
        """Return the share of texts that are longer than the model reads, and warn if there are some."""
        limit = self._model.max_length
        if limit is None or not texts:
            return 0.0
        share = float(np.mean([length > limit for length in self._model.lengths(texts)]))
        if share > SAID:
            log.warning(
                "%.0f%% of the texts are longer than the %d tokens that %r reads; codes and vectors ignore the rest",
                *(100 * share, limit, self.model),
            )
        return round(share, 4)

    def embed(self, documents: Sequence[Document], role: Role) -> npt.NDArray[np.floating[Any]]:
        """Return the embeddings of texts, [n, dim]."""
        prompt = self._prompts[role]
        try:
            return self._model.encode([prompt + str(document.content) for document in documents])
        except (RuntimeError, IndexError, ValueError) as error:
            raise UsageError(f"the model {self.model!r} cannot embed these texts ({str(error)[:200]})") from error

    def width(self) -> int:
        """Return the dimensions of an embedding."""
        return int(self._model.encode(["a"]).shape[1])
