"""`VectorizerSuite`, the contract of all vectorizers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
from safetensors.numpy import load, save

from hashret.documents import Document
from hashret.errors import DataError, StoreError
from hashret.features import FEATURE_TYPES, CSRMatrix, Features
from hashret.testing.corpora import make_images, make_texts, make_vectors
from hashret.testing.options import OptionsSuite
from hashret.vectorizers import DEFAULTS, VECTORIZERS
from hashret.vectorizers.base import State, Vectorizer

STRAY = {
    "text": Document("stray", "some words"),
    "image": Document("stray", np.zeros((8, 8), np.uint8)),
    "vector": Document("stray", np.zeros(64, np.float32)),
}
"""A document of each kind."""


def dense(features: Features) -> np.ndarray:
    """Return the features as a dense array [n, dim]."""
    return features.input.dense() if isinstance(features.input, CSRMatrix) else features.input


def through_files(state: State) -> State:
    """Return a state after a round trip through JSON and safetensors."""
    facts, vocabulary = json.loads(json.dumps([dict(state.facts), list(state.vocabulary)]))
    tensors = load(save({name: np.ascontiguousarray(t) for name, t in state.tensors.items()}))
    return State(facts, tensors, tuple(vocabulary))


class VectorizerSuite(OptionsSuite):
    """Contract tests of a vectorizer, on 100 documents. Subclass it and set `vectorizer`."""

    vectorizer: ClassVar[type[Vectorizer]]

    options: ClassVar[Mapping[str, Any]] = {}
    """Options that the vectorizer needs."""

    def subject(self) -> type[Vectorizer]:
        """Return the vectorizer class."""
        return self.vectorizer

    @pytest.fixture
    def documents(self) -> list[Document]:
        """Documents of the kind that the vectorizer reads."""
        make: dict[str, Callable[[], list[Document]]]
        make = {"text": make_texts, "image": make_images, "vector": make_vectors}
        return make[self.vectorizer.document_type]()[:100]

    def test_it_describes_itself(self, documents: list[Document]) -> None:
        made = self.vectorizer(**self.options)
        assert made.name
        assert made.summary
        assert made.feature_type in FEATURE_TYPES
        assert made.fit(documents).feature_type == made.feature_type
        assert VECTORIZERS.get(DEFAULTS[made.document_type]).document_type == made.document_type

    def test_fit_gives_what_transform_gives(self, documents: list[Document]) -> None:
        made = self.vectorizer(**self.options)
        fitted, again = made.fit(documents), made.transform(documents)
        assert len(fitted) == len(again) == 100
        assert fitted.shape == again.shape
        assert dense(fitted).shape == (100, np.prod(fitted.shape))
        assert dense(fitted).dtype == np.float32
        assert np.isfinite(dense(fitted)).all()
        np.testing.assert_array_equal(dense(fitted), dense(again))

    def test_a_documents_features_do_not_depend_on_the_others(self, documents: list[Document]) -> None:
        made = self.vectorizer(**self.options)
        at_once = dense(made.fit(documents))
        alone = np.concatenate([dense(made.transform([document])) for document in documents])
        np.testing.assert_array_equal(at_once, alone)

    def test_no_documents_have_no_features(self, documents: list[Document]) -> None:
        made = self.vectorizer(**self.options)
        made.fit(documents)
        assert len(made.transform([])) == 0

    def test_its_state_survives_saving(self, documents: list[Document]) -> None:
        made = self.vectorizer(**self.options)
        wanted = dense(made.fit(documents))
        other = self.vectorizer.from_params(json.loads(json.dumps(made.params())))
        other.restore(through_files(made.state()))
        np.testing.assert_array_equal(dense(other.transform(documents)), wanted)

    def test_a_document_of_another_type_is_refused_by_id(self, documents: list[Document]) -> None:
        made = self.vectorizer(**self.options)
        fitted = self.vectorizer(**self.options)
        fitted.fit(documents)
        for stray in [STRAY[kind] for kind in STRAY if kind != made.document_type]:
            with pytest.raises(DataError, match="'stray' is a"):
                made.fit([*documents[:3], stray])
            with pytest.raises(DataError, match="'stray' is a"):
                fitted.transform([stray])

    def test_an_inconsistent_state_is_refused(self) -> None:
        with pytest.raises(StoreError):
            self.vectorizer().restore(State({"shape": [2, "x", 0], "dim": "x"}, {}, ("word",)))
