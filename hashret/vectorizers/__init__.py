"""Vectorizers convert documents to features, one file each; `VECTORIZERS` is their registry."""

from hashret.registry import Registry
from hashret.vectorizers.base import Vectorizer

VECTORIZERS: Registry[Vectorizer] = Registry(
    "vectorizer",
    "hashret.vectorizers",
    (
        "text = hashret.vectorizers.text:Text",
        "tfidf = hashret.vectorizers.tfidf:TfIdf",
        "pixels = hashret.vectorizers.pixels:Pixels",
        "precomputed = hashret.vectorizers.precomputed:Precomputed",
        "sentence = hashret.frontends.sentence:Sentence",
        "image = hashret.frontends.image:Image",
    ),
)

DEFAULTS = {"text": "text", "image": "pixels", "vector": "precomputed"}
