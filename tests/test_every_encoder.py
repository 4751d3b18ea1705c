"""All encoders work like the default: index, save, open, add, query, and their other capabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hashret.documents import Document
from hashret.encoders import ENCODERS
from hashret.encoders.base import abilities
from hashret.index import Index

from .conftest import make_images, make_texts

QUICK = {"epochs": 1, "min_steps": 20, "batch_size": 32, "device": "cpu"}
DOCUMENTS = {"texts": make_texts(60), "images": make_images()[:60]}


@pytest.mark.parametrize("kind", DOCUMENTS)
@pytest.mark.parametrize("name", ENCODERS.names())
def test_the_same_door(name: str, kind: str, tmp_path: Path) -> None:
    *first, last = DOCUMENTS[kind]
    options = QUICK if ENCODERS.get(name).trained else {}
    Index.create(tmp_path / "index", first, bits=8, encoder=name, options=options).close()
    with Index.open(tmp_path / "index") as index:
        assert index.add([last]) == 1
        same = Document("question", last.content)
        [hits] = index.search([same], k=len(DOCUMENTS[kind]))
        assert hits.exact
        assert next(hit.distance for hit in hits if hit.id == last.id) == 0
        fitted = index.hasher.fitted
        assert fitted.params() == ENCODERS.get(name).from_params(index.hasher.params).params()
        x = next(index.hasher.features(first))
        for ability in abilities(fitted):
            given = getattr(fitted, ability)(5 if ability == "sample" else x)
            assert np.isfinite(given).all()
            assert len(given) == (5 if ability == "sample" else len(first))
    assert Index.open(tmp_path / "index").verify() == []
