"""Sketches: their distance says how much two documents share, and every index has the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hashret import Index, sketches
from hashret.analyzer import Analyzer
from hashret.codes import hamming
from hashret.features import CSRMatrix
from hashret.sketches import sketches_of_texts, sketches_of_vectors
from hashret.testing.corpora import make_images, make_texts, make_vectors


def texts_of(*texts: str) -> np.ndarray:
    return sketches_of_texts(Analyzer().occurrences(texts))


def distance(first: np.ndarray, second: np.ndarray) -> int:
    return int(hamming(first[None], second[None])[0, 0])


def test_order_and_repetition_do_not_matter() -> None:
    a, b, c, empty, also = texts_of("wheat was dear", "dear was wheat", "Wheat was dear, wheat was dear", "", "!")
    assert (a == b).all()
    assert (a == c).all()
    assert not empty.any()
    assert not also.any()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_distance_follows_from_jaccard(share: float) -> None:
    """Of 128 bits, 64 (1 - J) differ on average; the mean of 40 pairs is within four standard errors."""
    rng, words = np.random.default_rng(0), [f"word{number:06}" for number in range(40_000)]
    found = []
    for _ in range(40):
        drawn = rng.choice(words, 200, replace=False).tolist()
        common = round(2 * share * 100 / (1 + share))
        a, b = drawn[:100], drawn[100 - common : 200 - common]
        found.append(distance(*texts_of(" ".join(a), " ".join(b))))
    jaccard = common / (200 - common)
    expected = 64 * (1 - jaccard)
    error = np.sqrt(expected * (1 - expected / 128) / len(found))
    assert abs(np.mean(found) - expected) < 4 * error


def test_numpy_makes_the_same_sketches(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["", *(str(own.content) for own in make_texts()[:30]), "小麦の収穫", "getUserName and HTTPServer"]
    expected = texts_of(*texts)
    monkeypatch.setattr(sketches, "_compiled", None)
    assert (texts_of(*texts) == expected).all()


def test_sketches_stay_the_same() -> None:
    """An index keeps its sketches, so another version must make the same."""
    text, vector = texts_of("the harvest of that year")[0], sketches_of_vectors(np.eye(1, 8, dtype=np.float32))[0]
    assert text.tobytes().hex() == "ec5c3e88676f5423bd25e0ef24f8c59c"
    assert vector.tobytes().hex() == "2a1b405b54501dae54c751eab206da37"


def test_vectors_by_their_angle() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((50, 32)).astype(np.float32)
    b = a + 0.3 * rng.standard_normal(a.shape).astype(np.float32)
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    first, second = sketches_of_vectors(a), sketches_of_vectors(b)
    found = np.array([distance(x, y) for x, y in zip(first, second, strict=True)])
    assert abs(found.mean() - (128 * np.arccos(cosines) / np.pi).mean()) < 2
    assert (sketches_of_vectors(5 * a) == first).all()
    rows, columns = np.nonzero(a)
    matrix = CSRMatrix(a[rows, columns], columns.astype(np.int32), np.arange(51) * 32, 32)
    assert (hamming(sketches_of_vectors(matrix), first).diagonal() <= 1).all()


@pytest.mark.parametrize("make", [make_texts, make_images, make_vectors])
def test_an_index_stores_sketches(make: object, tmp_path: Path) -> None:
    documents = make()[:60]  # type: ignore[operator]
    with Index.create(tmp_path / "a", documents[:50], bits=16, encoder="itq") as index:
        index.add(documents[50:])
        before = index.store.sketches()
        assert before is not None
        assert before.shape == (60, 16)
        assert len(np.unique(before, axis=0)) > 40
        index.delete(documents[3].id)
        index.compact()
        after = index.store.sketches()
        assert after is not None
        assert (after == np.delete(before, 3, axis=0)).all()
