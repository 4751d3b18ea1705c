"""Parts: what an index derives from documents for ranking, in addition to their codes: words, titles and vectors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Self

import numpy as np

from hashret import quantizer
from hashret.analyzer import Analyzer, checked_language, detect_language
from hashret.codes import Codes
from hashret.documents import Document
from hashret.errors import StoreError
from hashret.features import CSRMatrix, Floats, stacked
from hashret.files import sha256_of
from hashret.hasher import Hasher, tensors_in
from hashret.image_sketch import image_sketches
from hashret.images import load
from hashret.postings import Occurrences
from hashret.quantizer import Quantizer
from hashret.sketches import sketches_of_texts, sketches_of_vectors
from hashret.store import Derived, Record

SAMPLE = 10_000  # documents that the quantizer is fitted to, and the language detected from

log = logging.getLogger("hashret")


@dataclass(frozen=True)
class Parts:
    """Makes the derived parts of documents; an index of images or vectors has no analyzer."""

    analyzer: Analyzer | None = None
    quantizer: Quantizer | None = None
    vocabulary: Sequence[str] = ()  # words that the vectorizer knows
    original: Quantizer | None = None  # stores the features on disk, to score the best documents again

    @cached_property
    def known_terms(self) -> frozenset[str]:
        """The terms of the words that the vectorizer knows."""
        return frozenset(map(self.analyzer.term, self.vocabulary)) if self.analyzer else frozenset()

    @property
    def rescore(self) -> str | None:
        """How the original features are stored, as the argument of `Index.create`."""
        return None if self.original is None else self.original.name

    def unseen(self, words: Occurrences | None) -> tuple[int, int]:
        """Number of words in documents, and how many the vectorizer does not know. 0, 0 without vocabulary."""
        if words is None or not len(words.terms) or not self.vocabulary:
            return 0, 0
        unknown = np.array([term not in self.known_terms for term in words.vocabulary])
        return len(words.terms), int(unknown[words.terms].sum())

    @classmethod
    def fit(
        cls,
        hasher: Hasher,
        documents: Sequence[Document],
        vectors: int | str | None,
        language: str,
        rescore: str | None = None,
    ) -> Self:
        """Learn from some of the documents. The last arguments are as for `Index.create`, and checked."""
        analyzer = made = original = None
        if hasher.document_type == "text":
            if language == "auto":
                language = detect_language([str(document.content) for document in documents])
            analyzer = Analyzer(language)
        if vectors is not None:
            features = stacked([hasher.vectorizer.for_vectors(own) for own in hasher.features(documents)])
            if vectors == "auto":
                vectors = quantizer.default_kind(features, hasher.vectorizer.pretrained)
            made = quantizer.fit(features, vectors, hasher.vectorizer.centred)
            original = None if rescore is None else quantizer.KINDS[rescore](made.dim, made.centre)
        return cls(analyzer, made, vocabulary_of(hasher), original)

    def derive(self, features: Floats | CSRMatrix | None, records: Sequence[Record]) -> Derived:
        """The parts of documents with these records, and these features for vectors."""
        vectors = None if self.quantizer is None or features is None else self.quantizer.encode(features)
        originals = None
        if self.original is not None and features is not None:
            originals = self.original.encode(features).values
        if self.analyzer is None:
            return Derived(vectors, originals=originals, sketches=sketches_of(features, records))
        words = self.analyzer.occurrences(record.content for record in records)
        titles = self.analyzer.occurrences(map(title_of, records))
        return Derived(vectors, words, titles, originals, sketches_of_texts(words))

    def about(self) -> dict[str, Any]:
        """What the manifest says of the parts."""
        found: dict[str, Any] = {}
        if self.analyzer is not None:
            found["analyzer"] = self.analyzer.versions()
        if self.quantizer is not None:
            name = next(iter(self.files), "")
            found["vectors"] = {"name": self.quantizer.name, "dim": self.quantizer.dim, "file": name}
            if self.original is not None:
                found["vectors"]["rescore"] = self.original.name
        return found

    @cached_property
    def files(self) -> dict[str, bytes]:
        """The file of what the quantizer learned, by name; none if it learned nothing."""
        from safetensors.numpy import save

        if self.quantizer is None or not (state := self.quantizer.state()):
            return {}
        data = save({name: np.ascontiguousarray(tensor, np.float32) for name, tensor in state.items()})
        return {f"vectors-{sha256_of(data)[:16]}.safetensors": data}

    @classmethod
    def restore(cls, about: Mapping[str, Any], read: Callable[[str], bytes], vocabulary: Sequence[str] = ()) -> Self:
        """The parts that a manifest describes; `read(name)` returns a file. Raises StoreError if they do not fit."""
        analyzer = made = original = None
        try:
            if versions := about.get("analyzer"):
                analyzer = Analyzer(checked_language(versions["language"]))
                report_versions(versions, analyzer.versions())
            if kept := about.get("vectors"):
                state = tensors_in(read(kept["file"])) if kept["file"] else {}
                made = quantizer.restore(kept["name"], int(kept["dim"]), state)
                if name := kept.get("rescore"):
                    original = quantizer.KINDS[name](made.dim, made.centre)
        except (LookupError, TypeError, ValueError, EOFError, OSError) as error:
            raise StoreError(
                f"the parts of the index cannot be read ({error!r:.200}); build the index again"
            ) from error
        return cls(analyzer, made, vocabulary, original)


def sketches_of(features: Floats | CSRMatrix | None, records: Sequence[Record]) -> Codes | None:
    """The sketches of images, by their thumbnails, or of vectors, by features; None if there are neither."""
    if all(record.thumbnail for record in records):
        return image_sketches([np.asarray(load(record.thumbnail, record.id)) for record in records])
    return None if features is None else sketches_of_vectors(features)


def vocabulary_of(hasher: Hasher) -> Sequence[str]:
    """The words that the vectorizer knows. A model trained elsewhere has no list of those that it knows."""
    return () if hasher.vectorizer.pretrained else hasher.vectorizer.state().vocabulary


def report_versions(stored: Mapping[str, str], here: Mapping[str, str]) -> None:
    """Warn if terms are made by other versions than those that the index was made with."""
    for name in ("stemmer", "unicode"):
        if name in stored and name in here and stored[name] != here[name]:
            log.warning(
                "the index was made with version %s of %s, this is %s: some words may not be found; refit the index",
                *(stored[name], name, here[name]),
            )


def title_of(record: Record) -> str:
    """A document's title: the field of that name, otherwise the name of its file without folder and ending."""
    title = record.metadata.get("title")
    if isinstance(title, str):
        return title
    if {"bytes", "modified"} <= record.metadata.keys():
        return PurePosixPath(record.id).stem
    return ""
