"""Ranking by words, codes and vectors: each part equals brute force or a known implementation; the score is exact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashret import Index, UsageError
from hashret.analyzer import Analyzer
from hashret.codes import hamming, pack, unpack
from hashret.features import Vectors
from hashret.postings import arrays
from hashret.quantizer import Additive
from hashret.ranking import Codes, QuantizedVectors, Question, Ranking, Scoring, Words, checked_parts, default_weights
from hashret.ranking.words import BM25, PAIRS, TITLES
from hashret.store.derived import Postings

WORDS = (
    *("wheat", "barley", "ship", "sea", "storm", "court", "judge", "harvest", "price", "year"),
    *("of", "the", "and", "north"),
)


def corpus(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(0, 30))) for _ in range(n)]


def fields(texts: Sequence[str], analyzer: Analyzer, cuts: Sequence[int] = ()) -> list[Postings]:
    """The postings of texts, in segments that begin at the cuts."""
    edges = [0, *cuts, len(texts)]
    found = [analyzer.occurrences(texts[a:b]) for a, b in pairwise(edges)]
    return [Postings(len(own), arrays(own).__getitem__) for own in found]


def by_bm25s(documents: list[list[str]], question: list[str]) -> np.ndarray:
    """BM25 of the documents by bm25s, with terms given as numbers, as its own tokenizer is not ours."""
    number = {term: i for i, term in enumerate(sorted({term for own in documents for term in own}))}
    retriever = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    ids = [[number[term] for term in own] for own in documents]
    retriever.index((ids, number), show_progress=False)
    asked = [number[term] for term in question if term in number]
    return np.asarray(retriever.get_scores_from_ids(asked)) if asked else np.zeros(len(documents))


@pytest.mark.parametrize("cuts", [(), (40,), (1, 2, 90)])
@pytest.mark.parametrize("language", ["none", "english"])
def test_words_and_pairs_equal_bm25s_on_the_same_terms(cuts: tuple[int, ...], language: str) -> None:
    analyzer, texts = Analyzer(language), corpus(120)
    made = BM25(fields(texts, analyzer, cuts), np.ones(120, bool))
    documents = [analyzer.query(text) for text in texts]
    placed = [[term for term in own if term not in analyzer.stop_terms] for own in documents]
    pairs = [[" ".join(pair) for pair in pairwise(own)] for own in placed]
    for question in (
        "wheat",
        "wheat wheat ship",
        "the price of wheat",
        "storm at sea",
        "judge court judge court north",
    ):
        terms = analyzer.query(question)
        scores = np.zeros(120)
        known = made.scores(terms, [], 1.0, scores)
        assert scores == pytest.approx(by_bm25s(documents, terms), abs=1e-5)
        assert known == set(terms) & {term for own in documents for term in own}
        asked = list(pairwise([term for term in terms if term not in analyzer.stop_terms]))
        both = np.zeros(120)
        made.scores([], asked, 1.0, both)
        wanted = by_bm25s(pairs, [" ".join(pair) for pair in asked])
        assert both == pytest.approx(PAIRS * wanted, abs=1e-5)


def test_titles_count_beside_the_text() -> None:
    analyzer, texts, titles = Analyzer(), corpus(50), corpus(50, seed=1)
    live = np.ones(50, bool)
    words = Words(fields(texts, analyzer), fields(titles, analyzer), live)
    alone, title = BM25(fields(texts, analyzer), live), BM25(fields(titles, analyzer), live)
    terms = analyzer.query("wheat storm")
    wanted, more = np.zeros(50), np.zeros(50)
    alone.scores(terms, [("wheat", "storm")], 1.0, wanted)
    title.scores(terms, [], 1.0, more)
    assert words.scores(terms)[0] == pytest.approx(wanted + TITLES * more, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_deleted_documents_count_nowhere_and_no_cut_changes_a_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    analyzer, texts = Analyzer("english"), corpus(60, seed)
    live = rng.random(60) < 0.7
    kept = [text for text, here in zip(texts, live, strict=True) if here]
    cuts = sorted(set(rng.integers(1, 60, 3).tolist()))
    terms = analyzer.query(" ".join(rng.choice(WORDS, 6)))
    some = Words(fields(texts, analyzer, cuts), [], live, analyzer.stop_terms)
    fresh = Words(fields(kept, analyzer), [], np.ones(len(kept), bool), analyzer.stop_terms)
    assert some.scores(terms)[0].tolist() == fresh.scores(terms)[0].tolist()
    assert some.scores(terms)[1] == fresh.scores(terms)[1]


def test_documents_without_words_divide_by_nothing() -> None:
    analyzer = Analyzer()
    for texts in (["", "!!!"], ["", "cat"], []):
        words = Words(fields(texts, analyzer), fields(["" for _ in texts], analyzer), np.ones(len(texts), bool))
        scores, known = words.scores(["cat"])
        assert np.isfinite(scores).all()
        assert known == ("cat" in texts)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 130), st.integers(0, 2**32))
def test_the_distance_of_codes_is_the_sum_over_the_bits_that_differ(bits: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes, margins = pack(rng.random((40, bits)) < 0.5), rng.standard_normal(bits).astype(np.float32)
    differ = unpack(codes, bits) != (margins > 0)
    wanted = bits * (differ * np.abs(margins)).sum(axis=1) / np.abs(margins).sum()
    assert Codes(codes, bits).distances(margins) == pytest.approx(wanted, rel=1e-5, abs=1e-5)
    equal = np.where(margins > 0, 1, -1).astype(np.float32)
    assert Codes(codes, bits).distances(equal) == pytest.approx(hamming(pack(margins[None] > 0), codes)[0], abs=1e-6)


@pytest.fixture(scope="module")
def quantized() -> QuantizedVectors:
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((300, 6)) @ rng.standard_normal((6, 20))).astype(np.float32)
    x[7] = 0
    made = Additive.fit(x, 4)
    return QuantizedVectors(made.encode(x), made)


def test_cosines_are_those_of_the_decoded_vectors(quantized: QuantizedVectors) -> None:
    query = np.random.default_rng(1).standard_normal(20).astype(np.float32)
    decoded = quantized.quantizer.decode(quantized.vectors)
    wanted = decoded @ query / np.linalg.norm(query)
    found = quantized.cosines(query)
    assert found == pytest.approx(wanted, abs=1e-5)
    assert found[7] == 0
    assert quantized.absent is not None
    assert np.flatnonzero(quantized.absent).tolist() == [7]


def ranking(quantized: QuantizedVectors, n: int = 300) -> Ranking:
    rng = np.random.default_rng(2)
    analyzer = Analyzer()
    texts = corpus(n)
    words = Words(fields(texts, analyzer), [], np.ones(n, bool))
    vectors = QuantizedVectors(quantized.vectors.take(np.arange(n)), quantized.quantizer)
    return Ranking(Codes(pack(rng.random((n, 16)) < 0.5), 16), vectors, words)


def question(seed: int = 3) -> Question:
    rng = np.random.default_rng(seed)
    margins, features = rng.standard_normal(16).astype(np.float32), rng.standard_normal(20).astype(np.float32)
    return Question(["wheat", "ship", "storm"], margins, features)


def standardized(values: np.ndarray, here: np.ndarray) -> np.ndarray:
    found = np.zeros(len(values))
    found[here] = (values[here] - values[here].mean()) / values[here].std()
    return found


def test_the_score_is_the_weighted_sum_of_standardized_parts(quantized: QuantizedVectors) -> None:
    made, asked = ranking(quantized), question()
    scored = made.scores(asked, Scoring(("words", "codes", "vectors")))
    assert set(scored.parts) == {"words", "codes", "vectors"}
    assert scored.known_terms == 3
    everyone, featured = np.ones(300, bool), np.arange(300) != 7
    wanted = standardized(scored.parts["words"], everyone)
    wanted += 0.5 * 3 / 12 * standardized(-scored.parts["codes"], featured)
    wanted += 0.5 * 3 / 12 * standardized(scored.parts["vectors"], featured)
    assert scored.scores == pytest.approx(wanted, abs=1e-9)
    like = made.scores(asked, Scoring(("codes", "vectors"), likeness=True))
    wanted = standardized(-like.parts["codes"], featured) + 0.25 * standardized(like.parts["vectors"], featured)
    assert like.scores == pytest.approx(wanted, abs=1e-9)
    images = replace(made, words=None).scores(asked, Scoring(("codes", "vectors"), likeness=True))
    wanted = 0.5 * standardized(-like.parts["codes"], featured) + standardized(like.parts["vectors"], featured)
    assert images.scores == pytest.approx(wanted, abs=1e-9)


def test_a_question_without_features_leaves_codes_and_vectors_out(quantized: QuantizedVectors) -> None:
    asked = question()
    unknown = Question(asked.terms, asked.margins, asked.features, known=False)
    scored = ranking(quantized).scores(unknown, Scoring(("words", "codes", "vectors")))
    assert set(scored.parts) == {"words"}
    nothing = ranking(quantized).scores(Question(["zymurgy"], known=False), Scoring(("words", "codes")))
    assert not nothing.scores.any()
    assert nothing.known_terms == 0


@pytest.mark.parametrize("n", [1, 2])
def test_few_documents_and_equal_ones_give_no_nan(quantized: QuantizedVectors, n: int) -> None:
    scored = ranking(quantized, n).scores(question(), Scoring(("words", "codes", "vectors")))
    assert np.isfinite(scored.scores).all()
    same = Vectors(np.repeat(quantized.vectors.values[:1], 5, axis=0), np.repeat(quantized.vectors.norms[:1], 5))
    equal = Ranking(Codes(np.zeros((5, 2), np.uint8), 16), QuantizedVectors(same, quantized.quantizer))
    assert not equal.scores(question(), Scoring(("codes", "vectors"), likeness=True)).scores.any()


def test_the_best_k_are_the_first_of_any_longer_list(quantized: QuantizedVectors) -> None:
    scored = ranking(quantized).scores(question(), Scoring(("words", "codes", "vectors")))
    order = sorted(range(300), key=lambda place: (-scored.scores[place], place))
    for k in (1, 7, 300, 1000):
        assert scored.top(k)[0].tolist() == order[:k]
    allowed = np.arange(300) % 3 == 0
    assert scored.top(20, allowed)[0].tolist() == [place for place in order if place % 3 == 0][:20]


def test_default_weights_grow_with_the_known_words_of_a_question() -> None:
    parts = ("words", "codes", "vectors")
    assert default_weights(parts, False, 3) == {"words": 1, "codes": 0.125, "vectors": 0.125}
    assert default_weights(parts, False, 60) == {"words": 1, "codes": 0.5, "vectors": 0.5}
    assert default_weights(parts, False, 3, pretrained=True) == {"words": 1, "codes": 0.5, "vectors": 1.5}
    assert default_weights(("codes", "vectors"), False, 3) == {"codes": 0.5, "vectors": 1}
    assert default_weights(("codes", "vectors"), True, 0) == {"codes": 1, "vectors": 0.25}


WRONG: list[tuple[Any, Any, str]] = [
    ("letters", None, "unknown part 'letters'; allowed: words, codes, vectors"),
    ("words", None, "the index holds no words; allowed: codes, vectors"),
    ([], None, "names no part"),
    (None, {"codes": -1}, "the weight of codes must be a number of at least 0, got -1"),
    (None, {"codes": float("nan")}, "must be a number of at least 0, got nan"),
    (None, {"codes": "1"}, "must be a number of at least 0, got '1'"),
    (None, {"codes": True}, "must be a number of at least 0, got True"),
    (None, {"codes": 0, "vectors": 0.0}, "all weights are 0"),
    ("codes", {"vectors": 1}, "which is not among the parts: codes"),
]


@pytest.mark.parametrize(("by", "weights", "message"), WRONG)
def test_parts_and_weights_that_cannot_be_used_are_refused(by: Any, weights: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        checked_parts(by, weights, ("codes", "vectors"), ("codes", "vectors"))


TEXTS = [*corpus(80, seed=9), "zebra crossing", "zebra crossing", "zebra crossing"]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    path = tmp_path_factory.mktemp("ranking") / "index"
    documents = [{"id": f"d{i}", "text": text or "empty", "label": "ab"[i % 2]} for i, text in enumerate(TEXTS)]
    with Index.create(path, documents, bits=16, encoder="itq") as made:
        yield made


def test_a_prefix_a_label_and_a_batch_change_no_score(index: Index) -> None:
    asked = ["the price of wheat", "storm", "zebra"]
    together = index.search(asked, k=83)
    for text, hits in zip(asked, together, strict=True):
        assert [(hit.id, hit.score) for hit in index.search(text, k=83)] == [(hit.id, hit.score) for hit in hits]
        assert [hit.id for hit in index.search(text, k=5)] == [hit.id for hit in hits[:5]]
        labelled = index.search(text, k=83, labels="a")
        assert [(hit.id, hit.score) for hit in labelled] == [(h.id, h.score) for h in hits if h.labels == ("a",)]
        assert hits.exact
        assert [hit.rank for hit in hits] == list(range(1, 84))


def test_documents_that_are_equal_tie_and_keep_their_order(index: Index) -> None:
    hits = index.search("zebra", k=2)
    assert [hit.id for hit in hits] == ["d80", "d81"]
    assert hits.ties_at_k == 3
    assert len({hit.score for hit in index.search("zebra", k=3)}) == 1


def test_words_alone_find_only_documents_with_one_of_them(index: Index) -> None:
    assert [hit.id for hit in index.search("zebra", k=50, by="words")] == ["d80", "d81", "d82"]
    assert index.search("xylophone", by="words") == []


def test_like_leaves_the_document_itself_out_and_goes_by_codes_and_vectors(index: Index) -> None:
    hits = index.like("d80", k=82)
    assert [hit.id for hit in hits[:2]] == ["d81", "d82"]
    assert "d80" not in {hit.id for hit in hits}
    assert {tuple(hit.parts) for hit in hits} == {("codes", "vectors")}
    assert index.like("d80", k=3, labels="b")[0].id == "d81"


def test_adding_deleting_and_compacting_is_seen_at_once(tmp_path: Path) -> None:
    with Index.create(tmp_path / "index", TEXTS[:40], bits=16, encoder="itq") as index:
        index.add([{"id": "new", "text": "a zymurgy of hops", "title": "Brewing at home"}])
        assert index.search("zymurgy", k=1)[0].id == "new"
        assert index.search("brewing", k=1)[0].id == "new"
        index.delete(["3", "5"])
        before = [(hit.id, hit.score, hit.parts) for hit in index.search("the price of wheat", k=39)]
        index.compact()
        assert [(hit.id, hit.score, hit.parts) for hit in index.search("the price of wheat", k=39)] == before
        with Index.open(tmp_path / "index") as again:
            assert [(hit.id, hit.score, hit.parts) for hit in again.search("the price of wheat", k=39)] == before
        assert index.verify() == []


@pytest.mark.parametrize("vectors", ["auto", None, 8, "int8", "float"])
@pytest.mark.parametrize("vectorizer", ["text", "tfidf"])
def test_every_kind_of_vector_and_vectorizer(tmp_path: Path, vectors: Any, vectorizer: str) -> None:
    arguments: dict[str, Any] = {"bits": 16, "encoder": "lsh", "vectorizer": vectorizer, "vectors": vectors}
    with Index.create(tmp_path / "index", TEXTS, **arguments) as index:
        assert index.parts == (("words", "codes") if vectors is None else ("words", "codes", "vectors"))
        found = index.search("a zebra crossing", k=20)
        assert all(set(hit.parts) == set(index.parts) for hit in found)
        index.add([{"id": "new", "text": "wheat was dear and the price rose"}])
        index.refit(seed=1)
        assert index.verify() == []
        assert index.parts == (("words", "codes") if vectors is None else ("words", "codes", "vectors"))
        if vectors is None:
            with pytest.raises(UsageError, match="the index holds no vectors; allowed: words, codes"):
                index.search("wheat", by="vectors")


def test_file_names_are_titles_and_folders_are_not(tmp_path: Path) -> None:
    for name in ("grain/wheat.txt", "grain/barley.txt", "sea/ship.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"a page of its own, number {len(name)}, about nothing")
    with Index.create(tmp_path / "index", tmp_path, bits=16, encoder="lsh") as index:
        assert index.search("ship", k=1)[0].id == "sea/ship.txt"
        assert index.search("wheat", k=1)[0].parts["words"] > 0
        assert index.search("grain", by="words") == []


def test_images_have_no_words(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
    with Index.create(tmp_path / "index", images, bits=16, encoder="lsh") as index:
        assert (index.parts, index.language) == (("codes", "vectors"), None)
        assert index.search(images[4], k=1)[0].id == "4"
        with pytest.raises(UsageError, match="the index holds no words"):
            index.search(images[4], by="words")


def test_scores_are_those_of_the_hits(index: Index) -> None:
    scored, hits = index.scores("the price of wheat"), index.search("the price of wheat", k=83)
    ids = index.ids
    assert {hit.id: hit.score for hit in hits} == dict(zip(ids, scored.scores.tolist(), strict=True))
    assert {hit.id: hit.parts["words"] for hit in hits} == dict(zip(ids, scored.parts["words"].tolist(), strict=True))


def test_many_unseen_words_suggest_a_refit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"word{i}" for i in range(200)]
    texts = [" ".join(rng.choice(names, 20)) for _ in range(160)]
    with Index.create(tmp_path / "index", texts[:80], bits=16, encoder="lsh") as index:
        assert index.info()["unseen_words"] is None
        assert index.suggestion() is None
        index.add([{"id": f"old{i}", "text": text} for i, text in enumerate(texts[80:])])
        assert index.info()["unseen_words"] < 0.1
        assert index.suggestion() is None
        fresh = " ".join(f"{letter}zymurgy" for letter in "abcdefghij")
        index.add([{"id": f"new{i}", "text": f"{fresh} word1"} for i in range(400)])
        assert index.info()["unseen_words"] > 4000 / (4400 + 1600) - 0.01
        assert str(index.suggestion()).endswith("refit the index")
        index.refit()
        assert index.info()["unseen_words"] is None
        assert index.suggestion() is None
