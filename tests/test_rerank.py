"""Re-ranking: the formulas, the contract of every searcher re-ranked, an index that does it, and what is measured."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hashret
from hashret.codes import hamming, pack, unpack
from hashret.documents import Document
from hashret.errors import StoreError, UsageError
from hashret.evaluation.evaluate import evaluate, evaluate_qrels
from hashret.evaluation.queries import Coded, evaluate_index, rankings
from hashret.index import Index
from hashret.results import Hits
from hashret.search import SEARCHERS, available, searcher
from hashret.search.rerank import ByLogits, ByVectors, Finer, Reranked, by_logits, by_vectors, shrink
from hashret.store.manifest import _checksum

from .test_index import corpus
from .test_measures import brute

BITS = 13
FINER = ("logits", "vectors")
HERE = [name for name in SEARCHERS.names() if available(name)]


def margins(count: int, seed: int = 1, bits: int = BITS) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, bits)).astype(np.float32)


def few_codes(count: int, seed: int = 0, kinds: int = 30, bits: int = BITS) -> np.ndarray:
    """Codes of which most occur several times."""
    rng = np.random.default_rng(seed)
    return pack((rng.random((kinds, bits)) < 0.5)[rng.integers(kinds, size=count)])


def finer_of(kind: str, queries: np.ndarray, codes: np.ndarray) -> Finer:
    """A finer distance between queries [m, BITS] and codes; as vectors, the documents are their bits, made uneven."""
    by_logits = ByLogits(queries, codes)
    if kind == "logits":
        return by_logits
    return ByVectors(
        by_logits, queries, shrink(np.where(unpack(codes, BITS), 1, -1) * np.arange(1, BITS + 1, dtype=np.float32)).take
    )


def wanted_order(codes: np.ndarray, query: np.ndarray, finer: Finer, row: int, least: int) -> list[int]:
    """Positions in their order, from the definition: the short list with the ties at its edge, by (finer, position)."""
    distances = hamming(pack(query[None] > 0), codes)[0]
    edge = np.sort(distances)[min(least, len(codes)) - 1]
    near = finer.distances(row, np.arange(len(codes)))
    return sorted(np.flatnonzero(distances <= edge).tolist(), key=lambda position: (near[position], position))


# The formulas


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 70))
def test_by_logits_the_order_is_that_of_the_asymmetric_score(seed: int, bits: int) -> None:
    query, codes = margins(1, seed, bits)[0].astype(np.float64), few_codes(40, seed, 20, bits)
    scores = np.where(unpack(codes, bits), 1, -1) @ query
    found = by_logits(query.astype(np.float32), codes)
    assert found == pytest.approx((np.abs(query).sum() - scores) / 2, abs=bits * 1e-6 * float(np.abs(query).max()))
    assert (found >= 0).all()


def test_by_logits_that_are_all_as_sure_it_is_the_hamming_distance() -> None:
    codes, query = few_codes(50), few_codes(1, seed=5)
    signs = np.where(unpack(query, BITS)[0], 1, -1).astype(np.float32)
    assert by_logits(signs, codes).tolist() == hamming(query, codes)[0].tolist()


def test_by_vectors_it_is_the_cosine_to_the_rounding_of_a_byte() -> None:
    rng = np.random.default_rng(0)
    query, features = rng.standard_normal(50).astype(np.float32), rng.standard_normal((200, 50)).astype(np.float32)
    cosine = features @ query / np.linalg.norm(features, axis=1) / np.linalg.norm(query)
    vectors = shrink(features * 37)
    bound = vectors.scales / 2 * np.abs(query).sum() / np.linalg.norm(query) + 1e-6
    assert (np.abs(1 - cosine - by_vectors(query, vectors)) <= bound).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from([1e-30, 1e-3, 1, 1e30]))
def test_a_vector_in_bytes_is_off_by_half_a_scale_at_most(seed: int, dim: int, size: float) -> None:
    rows = (np.random.default_rng(seed).standard_cauchy((20, dim)) * size).astype(np.float32)
    rows[3] = 0
    vectors = shrink(rows)
    assert (vectors.values.dtype, vectors.scales.dtype) == (np.int8, np.float32)
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    unit = np.divide(rows, lengths, out=np.zeros(rows.shape), where=lengths > 0)
    scales = vectors.scales.astype(np.float64)[:, None]
    assert (np.abs(unit - vectors.values * scales) <= scales / 2 * (1 + 1e-9)).all()
    assert (vectors.dense()[3] == 0).all()


@pytest.mark.parametrize("kind", FINER)
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_a_distance_is_the_same_whatever_is_computed_beside_it(
    kind: str, size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes, queries = few_codes(700), margins(5) * np.float32(size)
    finer = finer_of(kind, queries, codes)
    whole = [finer.distances(row, np.arange(700)) for row in range(5)]
    monkeypatch.setattr("hashret.search.rerank.AT_ONCE", 7)
    for row, distances in enumerate(whole):
        assert (finer.distances(row, np.arange(700)) == distances).all()
        assert all(finer.distances(row, np.array([place]))[0] == distances[place] for place in range(0, 700, 31))
        alone = finer_of(kind, queries[row : row + 1], codes)
        assert (alone.distances(0, np.arange(700)) == distances).all()
        assert len(np.unique(distances)) == len(np.unique(codes, axis=0))  # equal codes equally far, others not


@pytest.mark.parametrize("kind", FINER)
def test_a_query_without_direction_leaves_the_order_of_insertion(kind: str) -> None:
    codes = few_codes(40)
    distances = finer_of(kind, np.zeros((1, BITS), np.float32), codes).distances(0, np.arange(40))
    assert len(set(distances.tolist())) == 1


def test_logits_beyond_all_reason_still_give_distances() -> None:
    with np.errstate(all="raise"):
        found = by_logits(np.array([np.inf, -np.inf, np.nan, 1], np.float32), np.arange(16, dtype=np.uint8)[:, None])
    assert np.isfinite(found).all()


# Every searcher, re-ranked


@pytest.mark.parametrize("kind", FINER)
@pytest.mark.parametrize("name", HERE)
class TestReranked:
    def test_the_answers_are_those_of_brute_force(self, name: str, kind: str) -> None:
        codes, queries = few_codes(300), margins(9)
        finer, asked = finer_of(kind, queries, codes), pack(queries > 0)
        for least in (1, 10, 299, 300, 1000):
            for k in (1, 10, 299, 1000):
                found = Reranked(searcher(codes, BITS, name), finer, least).search(asked, k)
                assert found.positions.shape == (9, min(k, 300))
                assert (found.reranked, found.exact) == (kind, True)
                assert found.finer is not None
                assert found.ties_at_k is not None
                for row in range(9):
                    order = wanted_order(codes, queries[row], finer, row, max(k, least))
                    assert found.positions[row].tolist() == order[:k]
                    near, distances = finer.distances(row, np.array(order)), hamming(asked, codes)[row]
                    assert found.finer[row].tolist() == near[:k].tolist()
                    assert found.distances[row].tolist() == distances[order[:k]].tolist()
                    assert found.ties_at_k[row] == (near == near[:k][-1]).sum()

    def test_all_within_a_radius_are_put_in_order(self, name: str, kind: str) -> None:
        codes, queries = few_codes(300), margins(9)
        finer, asked = finer_of(kind, queries, codes), pack(queries > 0)
        distances = hamming(asked, codes)
        for radius in (0, 3, BITS):
            found = Reranked(searcher(codes, BITS, name), finer).within(asked, radius)
            assert found.offsets is not None
            assert found.finer is not None
            for row, (start, stop) in enumerate(zip(found.offsets[:-1], found.offsets[1:], strict=True)):
                near = finer.distances(row, np.arange(300))
                inside = np.flatnonzero(distances[row] <= radius).tolist()
                order = sorted(inside, key=lambda position, near=near: (near[position], position))
                assert found.positions[start:stop].tolist() == order
                assert found.distances[start:stop].tolist() == distances[row][order].tolist()
                assert found.finer[start:stop].tolist() == near[order].tolist()

    @settings(max_examples=40, deadline=None)
    @given(st.data())
    def test_the_answer_for_k_is_a_prefix_of_that_for_any_larger_k(
        self, name: str, kind: str, data: st.DataObject
    ) -> None:
        count, least = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 30))
        codes = few_codes(count, data.draw(st.integers(0, 99)), data.draw(st.integers(1, 12)))
        queries = margins(3, data.draw(st.integers(0, 99)))
        made = Reranked(searcher(codes, BITS, name), finer_of(kind, queries, codes), least)
        largest = made.search(pack(queries > 0), least).positions
        k = data.draw(st.integers(1, least))
        assert (made.search(pack(queries > 0), k).positions == largest[:, :k]).all()

    def test_nothing_is_found_in_nothing(self, name: str, kind: str) -> None:
        codes, queries = few_codes(0), margins(2)
        made = Reranked(searcher(codes, BITS, name), finer_of(kind, queries, codes))
        assert made.search(pack(queries > 0), 5).positions.shape == (2, 0)
        assert made.within(pack(queries > 0), 5).positions.shape == (0,)
        assert made.search(pack(queries[:0] > 0), 5).positions.shape == (0, 0)

    def test_k_must_be_at_least_1(self, name: str, kind: str) -> None:
        codes, queries = few_codes(20), margins(2)
        with pytest.raises(UsageError, match="k must be at least 1, got 0"):
            Reranked(searcher(codes, BITS, name), finer_of(kind, queries, codes)).search(pack(queries > 0), 0)


# An index


def vectors(count: int, seed: int = 0, dim: int = 12) -> list[Document]:
    rng = np.random.default_rng(seed)
    rows = rng.integers(-3, 4, (count, dim)).astype(np.float32)
    return [Document(f"{seed}-{i}", row, (f"l{int(row[0]) % 3}",)) for i, row in enumerate(rows)]


@pytest.fixture(scope="module", params=[False, True], ids=FINER)
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Index:
    """2,500 vectors in codes of 8 bits, so that a thousand and many more tie; with logits and with vectors kept."""
    path = tmp_path_factory.mktemp("large") / "index"
    index = Index.create(path, vectors(1500), bits=8, encoder="lsh", keep_vectors=request.param)
    index.add(vectors(1000, seed=1))
    index.delete([f"0-{i}" for i in range(0, 60, 7)])
    return index


def ids(hits: Hits) -> list[str]:
    return [hit.id for hit in hits]


def finely(index: Index, query: Document, stored_code: bool = False) -> np.ndarray:
    """The finer distances of a query to all documents of an index, computed anew in the plain way."""
    margin = (index.hasher.logits([query])[0] - index.hasher.program.threshold).astype(np.float64)
    if stored_code:  # all that is known of the logits of a document of an index of vectors
        margin = np.where(unpack(index.codes_of([query.id]), index.bits)[0], 1.0, -1.0)
    by_logits = -np.where(unpack(index.codes, index.bits), 1, -1) @ margin
    if not index.keeps_vectors:
        return np.round(by_logits, 9)
    kept = index.store.vectors(index._rows)
    stored = kept.values.astype(np.float64) * kept.scales[:, None]
    asked = np.asarray(query.content, np.float64)
    share = (1 + by_logits / np.abs(margin).sum()) / 2
    return np.round(4 * share - stored @ asked / np.linalg.norm(asked), 9)


def test_an_index_re_ranks_its_short_list(large: Index) -> None:
    for query in vectors(3, seed=9):
        distances, near = hamming(large.encode([query]), large.codes)[0], finely(large, query)
        short = np.flatnonzero(distances <= np.sort(distances)[999])
        order = sorted(short.tolist(), key=lambda position, near=near: (near[position], position))[:50]
        [hits] = large.search([query], k=50, rerank=True)
        assert near[[large.ids.index(id) for id in ids(hits)]].tolist() == pytest.approx(near[order].tolist(), abs=1e-5)
        assert [hit.distance for hit in hits] == [distances[large.ids.index(id)] for id in ids(hits)]
        assert [hit.rank for hit in hits] == list(range(1, 51))
        assert {hit.reranked for hit in hits} == {"vectors" if large.keeps_vectors else "logits"}
        assert hits.exact
        if not large.keeps_vectors:
            assert ids(hits) == [large.ids[position] for position in order]
        assert {hit.reranked for hit in large.search([query], k=5)[0]} == {None}


def test_a_smaller_k_gives_the_beginning_of_a_larger_one_up_to_a_thousand(large: Index) -> None:
    [query] = vectors(1, seed=9)
    [most], [like] = large.search([query], 1000, rerank=True), large.like(["0-5"], 1000, rerank=True)
    assert len(most) == len(like) == 1000
    for k in (1, 10, 999):
        assert ids(large.search([query], k, rerank=True)[0]) == ids(most)[:k]
        assert ids(large.like(["0-5"], k, rerank=True)[0]) == ids(like)[:k]


def test_many_queries_are_re_ranked_as_each_alone(large: Index) -> None:
    queries = vectors(6, seed=9)
    for query, hits in zip(queries, large.search(queries, 20, rerank=True), strict=True):
        assert ids(large.search([query], 20, rerank=True)[0]) == ids(hits)
    assert large.search([], 20, rerank=True) == []


def test_labels_narrow_what_is_re_ranked(large: Index) -> None:
    [query] = vectors(1, seed=9)
    [hits] = large.search([query], 30, ["l1"], rerank=True)
    assert {hit.labels for hit in hits} == {("l1",)}
    carry = np.array([labels == ("l1",) for labels in large.labels])
    distances, near = hamming(large.encode([query]), large.codes)[0], finely(large, query)
    inside = carry & (distances <= np.sort(distances[carry])[min(999, carry.sum() - 1)])
    found = [near[large.ids.index(id)] for id in ids(hits)]
    assert found == pytest.approx(np.sort(near[inside])[:30].tolist(), abs=1e-5)


def test_within_a_radius_all_are_re_ranked(large: Index) -> None:
    [query] = vectors(1, seed=9)
    [plain], [hits] = large.within([query], 1), large.within([query], 1, rerank=True)
    near = finely(large, query)
    assert set(ids(hits)) == set(ids(plain))
    found = [near[large.ids.index(id)] for id in ids(hits)]
    assert found == pytest.approx(sorted(found), abs=1e-5)
    [like] = large.like(["0-5"], radius=1, rerank=True)
    assert set(ids(like)) == set(ids(large.like(["0-5"], radius=1)[0]))


def test_a_document_of_an_index_of_vectors_is_asked_by_its_vector_or_else_its_code(large: Index) -> None:
    [hits] = large.like(["0-5"], 40, rerank=True)
    assert "0-5" not in ids(hits)
    if large.keeps_vectors:
        asked = next(document for document in vectors(1500) if document.id == "0-5")
        near = finely(large, asked, stored_code=True)
        found = [near[large.ids.index(id)] for id in ids(hits)]
        assert found == pytest.approx(sorted(found), abs=0.1)
    else:
        assert ids(hits) == ids(large.like(["0-5"], 40)[0])
        assert {hit.reranked for hit in hits} == {"logits"}


def test_texts_and_images_of_an_index_are_encoded_anew_as_queries(tmp_path: Path, images: list[Document]) -> None:
    for name, documents in (("texts", corpus(60)), ("images", images[:60])):
        with Index.create(tmp_path / name, documents, bits=16, encoder="itq") as index:
            one = documents[7]
            [like], [asked] = index.like([one.id], 20, rerank=True), index.search([one], 21, rerank=True)
            assert ids(like) == [id for id in ids(asked) if id != one.id][:20]
            assert {hit.reranked for hit in like} == {"logits"}


# Vectors kept


def kept_as(index: Index, documents: list[Document]) -> bool:
    """Whether an index holds exactly the vectors of these documents."""
    kept, wanted = index.store.vectors(index._rows), shrink(index.hasher.vectorizer.transform(documents).input)
    return bool((kept.values == wanted.values).all() and (kept.scales == wanted.scales).all())


def test_vectors_are_kept_through_all_changes(tmp_path: Path) -> None:
    first, more = vectors(50), vectors(20, seed=1)
    with Index.create(tmp_path / "index", first, bits=8, encoder="lsh", keep_vectors=True) as index:
        assert kept_as(index, first)
        index.add(more)
        index.delete([first[3].id, more[0].id])
        wanted = [document for document in [*first, *more] if document not in (first[3], more[0])]
        assert kept_as(index, wanted)
        before = ids(index.search(more[5:6], 68, rerank=True)[0])
        index.compact()
        assert kept_as(index, wanted)
        assert index.verify() == []
        with Index.open(index.path) as again:
            assert again.info()["keeps_vectors"] is True
            assert kept_as(again, wanted)
            assert ids(again.search(more[5:6], 68, rerank=True)[0]) == before


def test_a_refit_makes_the_vectors_anew(tmp_path: Path, images: list[Document]) -> None:
    with Index.create(tmp_path / "index", images[:50], bits=8, encoder="lsh", keep_vectors=True) as index:
        index.refit(bits=16, options={"size": 5})
        assert index.store.dims == {25}
        assert kept_as(index, images[:50])
        index.add(images[50:60])
        assert kept_as(index, images[:60])
        assert index.verify() == []


def test_an_index_keeps_no_vectors_unless_asked(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", vectors(20), bits=8, encoder="lsh") as index:
        assert index.info()["keeps_vectors"] is False
        assert index.store.dims == {0}
        with pytest.raises(StoreError, match="no vectors are kept"):
            index.store.vectors(np.arange(2))


def test_sparse_features_are_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasher = hashret.Hasher.fit(corpus(30), bits=8, encoder="lsh", vectorizer="tfidf")
    monkeypatch.setattr("hashret.encoders.lsh.LSH.fit", None)
    for more in ({"encoder": "lsh", "vectorizer": "tfidf"}, {"hasher": hasher}):
        with pytest.raises(UsageError, match=r"'tfidf' gives sparse features.* text, pixels and precomputed"):
            Index.create(tmp_path / "index", corpus(30), keep_vectors=True, **more)
    assert not (tmp_path / "index").exists()


def test_vectors_that_are_damaged_or_lost_are_found(tmp_path: Path) -> None:
    path = tmp_path / "index"
    Index.create(path, vectors(50), bits=8, encoder="lsh", keep_vectors=True).close()
    [segment] = (path / "segments").iterdir()
    whole = segment.read_bytes()
    with h5py.File(segment) as file:
        place = file["vectors"].id.get_offset() + 7
    segment.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with Index.open(path) as index:
        assert "checksum" in index.verify()[0].what
    segment.write_bytes(whole)
    with h5py.File(segment, "r+") as file:
        del file["vectors"], file["scales"]
    body = json.loads((path / "manifest.json").read_text())
    del body["checksum"], body["files"]["segments/000002.h5"]["arrays"]["vectors"]
    del body["files"]["segments/000002.h5"]["arrays"]["scales"]
    (path / "manifest.json").write_text(json.dumps(body | {"checksum": _checksum(body)}))
    with pytest.raises(StoreError, match="should keep vectors of 12 numbers, some have 0"):
        Index.open(path)


# What is measured


def grouped(
    codes: np.ndarray, finer: Finer, row: int, code: np.ndarray, least: int, without: int = -1
) -> list[list[int]]:
    """Positions in groups of ties: by finer distance in the short list, by Hamming distance after it."""
    rest = [position for position in range(len(codes)) if position != without]
    distance, near = hamming(code[None], codes)[0], finer.distances(row, np.arange(len(codes)))
    edge = sorted(distance[rest])[min(least, len(rest)) - 1]
    key = [(0, float(near[i])) if distance[i] <= edge else (1, float(distance[i])) for i in range(len(codes))]
    return [list(group) for _, group in groupby(sorted(rest, key=key.__getitem__), key=key.__getitem__)]


@pytest.mark.parametrize("kind", FINER)
@pytest.mark.parametrize("least", [1, 3, 6, 1000])
def test_a_measure_is_the_mean_over_all_orders_of_the_ties(
    kind: str, least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashret.evaluation.evaluate.SHORT_LIST", least)
    names = ["P@1", "P@3", "P@5", "AP", "nDCG@4", "RR", "R@2"]
    for seed in range(6):
        codes, queries = few_codes(9, seed, kinds=4), margins(2, seed)
        finer, asked = finer_of(kind, queries, codes), pack(queries > 0)
        grades = np.random.default_rng(seed).integers(0, 3, (2, 9))
        qrels = {f"q{q}": {f"d{d}": int(grades[q, d]) for d in range(9)} for q in range(2)}
        for without in (None, np.array([4, -1])):
            own = [-1, -1] if without is None else without.tolist()
            judged = {q: {d: g for d, g in of.items() if d != f"d{own[i]}"} for i, (q, of) in enumerate(qrels.items())}
            rows = evaluate_qrels(
                codes, [f"d{d}" for d in range(9)], asked, ["q0", "q1"], judged, names, exclude=without, finer=finer
            )
            for name, row in zip(names, rows, strict=True):
                groups = [grouped(codes, finer, q, asked[q], least, own[q]) for q in range(2)]
                each = [brute(name, [[int(grades[q, i]) for i in group] for group in groups[q]], []) for q in range(2)]
                assert (row["value"], row["worst"], row["best"]) == pytest.approx(
                    tuple(np.mean(each, axis=0)), abs=1e-12
                )


@pytest.mark.parametrize("kind", FINER)
def test_precision_is_that_of_many_random_orders(kind: str) -> None:
    rng = np.random.default_rng(0)
    codes, queries = few_codes(1500, kinds=60), margins(4)
    finer, asked = finer_of(kind, queries, codes), pack(queries > 0)
    labels, wanted = [[str(n)] for n in rng.integers(3, size=1500)], [[str(n)] for n in rng.integers(3, size=4)]
    [row] = evaluate(codes, labels, asked, wanted, ["P@30"], finer=finer)
    relevant = np.array([[own == want for own in labels] for want in wanted])
    values = []
    for query in range(4):
        groups = grouped(codes, finer, query, asked[query], 1000)[:30]
        for _ in range(400):
            order = [int(position) for group in groups for position in rng.permutation(group)]
            values.append(relevant[query, order[:30]].mean())
    assert row["value"] == pytest.approx(np.mean(values), abs=0.01)


@pytest.mark.parametrize("kind", FINER)
def test_chunks_of_queries_make_no_difference(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hashret.evaluation.evaluate.SHORT_LIST", 50)
    codes, queries = few_codes(300), margins(20)
    labels = [[str(n)] for n in np.random.default_rng(0).integers(4, size=320)]
    names = ["P@7", "AP", "nDCG", "RR", "R@9", "AP@70(hits)", "P(r=2)"]
    arguments = (codes, labels[:300], pack(queries > 0), labels[300:], names)
    rows = evaluate(*arguments, finer=finer_of(kind, queries, codes))
    monkeypatch.setattr("hashret.evaluation.evaluate.CHUNK", 900)
    assert evaluate(*arguments, finer=finer_of(kind, queries, codes)) == [pytest.approx(row, abs=1e-12) for row in rows]


def test_measures_inside_a_ball_do_not_change() -> None:
    codes, queries = few_codes(300, bits=8), margins(20, bits=8)
    labels = [[str(n)] for n in np.random.default_rng(0).integers(4, size=320)]
    arguments = (codes, labels[:300], pack(queries > 0), labels[300:], ["P(r=2)", "P@5", "R(r=1)"])
    plain, finely = evaluate(*arguments), evaluate(*arguments, finer=ByLogits(queries, codes))
    assert (plain[0], plain[2]) == (finely[0], finely[2])
    assert plain[1] != finely[1]


@pytest.mark.parametrize("exclude_self", [False, True])
def test_a_run_of_an_index_is_in_the_order_of_its_answers(large: Index, exclude_self: bool) -> None:
    queries = [*vectors(3, seed=9), *vectors(4, seed=1)[1:]]  # three strangers, three of the index
    coded = Coded(large, queries, rerank=True)
    assert evaluate_index(large, coded, ["P@5"], exclude_self=exclude_self)[0]["queries"] == 6
    for query, (id, found, distances) in zip(queries, rankings(large, coded, exclude_self), strict=True):
        within = exclude_self and id in large.ids
        [hits] = large.search([query], 40, rerank=True)
        assert found[:39] == [hit.id for hit in hits if not (within and hit.id == id)][:39]
        assert distances == sorted(distances)
        assert len(found) == 1000
