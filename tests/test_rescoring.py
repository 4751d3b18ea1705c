"""Rescoring: original features on disk, by which the best documents are scored again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hashret
from hashret.errors import UsageError

N, DIM = 400, 24


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((N, DIM)).astype(np.float32) + 0.5


def cosines(query: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The cosines of a query with vectors."""
    return np.asarray(vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query))


@pytest.fixture(scope="module", params=["float", "int8"])
def index(
    request: pytest.FixtureRequest, vectors: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[hashret.Index]:
    path = tmp_path_factory.mktemp("rescoring") / request.param
    with hashret.Index.create(path, vectors, bits=16, encoder="lsh", vectors=4, rescore=request.param) as made:
        yield made


def ids(hits: hashret.Hits) -> list[str]:
    return [hit.id for hit in hits]


def test_all_documents_scored_again_are_ranked_by_their_original_features(
    index: hashret.Index, vectors: np.ndarray
) -> None:
    query = np.random.default_rng(1).standard_normal(DIM).astype(np.float32)
    hits = index.search(query, k=N, by="vectors", oversample=N)
    wanted = cosines(query, vectors)
    found = {int(hit.id): hit.parts["vectors"] for hit in hits}
    assert hits.exact
    near = 1e-5 if index.info()["rescore"] == "float" else 0.01
    assert np.array([found[row] for row in range(N)]) == pytest.approx(wanted, abs=near)
    if near < 1e-4:
        assert [int(hit.id) for hit in hits] == np.argsort(-wanted).tolist()


def test_only_the_best_are_scored_again(index: hashret.Index, vectors: np.ndarray) -> None:
    query = vectors[3] + 0.3
    coarse = index.scores(query, by=("codes", "vectors"), oversample=0)
    scored = index.scores(query, by=("codes", "vectors"), oversample=20)
    best = coarse.top(20)[0]
    others = np.setdiff1d(np.arange(N), best)
    assert (scored.scores[others] == coarse.scores[others]).all()
    assert (scored.parts["vectors"][best] != coarse.parts["vectors"][best]).all()
    assert coarse.exact
    assert not scored.exact
    change = scored.scores[best] - coarse.scores[best]
    factor = change / (scored.parts["vectors"][best] - coarse.parts["vectors"][best])
    assert factor == pytest.approx(1 / coarse.parts["vectors"].std())


def test_results_are_a_prefix_of_more_results(index: hashret.Index, vectors: np.ndarray) -> None:
    longest = index.search(vectors[5], k=N)
    assert not longest.exact
    for k in (1, 10, 99, 100, 101, 250):
        hits = index.search(vectors[5], k=k)
        assert ids(hits) == ids(longest)[:k]
    scores = [hit.score for hit in longest if hit.score is not None]
    assert scores == sorted(scores, reverse=True)


def test_more_documents_are_found_than_without(index: hashret.Index, vectors: np.ndarray) -> None:
    queries = np.random.default_rng(2).standard_normal((50, DIM)).astype(np.float32)
    right = {0: 0, 100: 0}
    for query in queries:
        near = set(np.argsort(-cosines(query, vectors))[:10].tolist())
        for oversample in right:
            hits = index.search(query, k=10, by="vectors", oversample=oversample)
            right[oversample] += len(near & {int(hit.id) for hit in hits})
    assert right[100] > 480 > right[0]


def test_originals_follow_their_documents(vectors: np.ndarray, tmp_path: Path) -> None:
    records = [{"id": f"v{row}", "vector": own} for row, own in enumerate(vectors)]
    with hashret.Index.create(
        tmp_path / "index", records[:300], bits=16, encoder="lsh", vectors=4, rescore="float"
    ) as index:
        index.add(records[300:])
        index.delete([f"v{row}" for row in range(0, N, 3)])
        kept = np.array([row for row in range(N) if row % 3])
        query = vectors[7]
        for _ in range(2):
            scored = index.scores(query, by="vectors", oversample=N)
            assert scored.parts["vectors"] == pytest.approx(cosines(query, vectors[kept]), abs=1e-5)
            assert hashret.verify(tmp_path / "index") == []
            index.compact()


def test_originals_stay_on_disk(index: hashret.Index, vectors: np.ndarray) -> None:
    index.search(vectors[0], k=5)
    held = [name for segment in index.store.segments for name in segment._arrays]
    assert any(name.startswith("vectors/") for name in held)
    assert not any(name.startswith("originals/") for name in held)


def test_texts_keep_them_when_they_are_fitted_again(tmp_path: Path) -> None:
    texts = [
        f"{crop} was {price} in the {season}"
        for crop in ("wheat", "barley", "rye", "oats", "hops", "hemp")
        for price in ("dear", "cheap", "sold", "lost")
        for season in ("spring", "summer", "autumn", "winter")
    ]
    with hashret.Index.create(tmp_path / "index", texts, bits=16, encoder="lsh", rescore="int8") as index:
        before = ids(index.search("wheat in winter", k=96))
        index.refit()
        assert index.info()["rescore"] == "int8"
        assert ids(index.search("wheat in winter", k=96)) == before
        assert index.like("3", k=2, oversample=5)[0].id in index.ids


WRONG: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"rescore": "int4"}, {}, "rescore must be None, 'int8' or 'float', got 'int4'"),
    ({"rescore": "int8", "vectors": None}, {}, "rescore needs vectors of a number of bytes, but vectors is None"),
    ({"rescore": "int8", "vectors": "float"}, {}, "but vectors is 'float'"),
    ({}, {"oversample": 5}, "the index stores no original features"),
    ({"rescore": "int8"}, {"oversample": 5, "by": "codes"}, "by does not contain vectors"),
    ({"rescore": "int8"}, {"oversample": -1}, "oversample must be an integer of at least 0, got -1"),
    ({"rescore": "int8"}, {"oversample": True}, "oversample must be an integer of at least 0, got True"),
    ({"rescore": "int8"}, {"oversample": 1.5}, "oversample must be an integer of at least 0, got 1.5"),
]


@pytest.mark.parametrize(("creating", "searching", "message"), WRONG)
def test_wrong_arguments_are_refused(
    creating: dict[str, Any], searching: dict[str, Any], message: str, vectors: np.ndarray, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):  # noqa: SIM117
        with hashret.Index.create(
            tmp_path / "index", vectors, bits=16, encoder="lsh", **({"vectors": 4} | creating)
        ) as index:
            index.search(vectors[0], k=1, **searching)


def test_a_damaged_original_costs_its_document(vectors: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "index"
    with hashret.Index.create(path, vectors, bits=16, encoder="lsh", vectors=4, rescore="float") as index:
        [segment] = index.store.segments
        start, items = segment.places["originals/float32"]
    data = bytearray(segment.path.read_bytes())
    data[start + items * 2 : start + items * 2 + 8192] = bytes(8192)
    segment.path.write_bytes(data)
    assert [problem.file for problem in hashret.verify(path)] == [f"segments/{segment.path.name}"]
    report = hashret.repair(path)
    lost = {int(id) for _, id in report.lost}
    assert 8192 / 4 / DIM <= len(lost) < 300
    assert hashret.verify(path) == []
    kept = [row for row in range(N) if row not in lost]
    with hashret.Index.open(path) as index:
        assert index.ids == list(map(str, kept))
        scored = index.scores(vectors[0], by="vectors", oversample=N)
        assert scored.parts["vectors"] == pytest.approx(cosines(vectors[0], vectors[kept]), abs=1e-5)
