"""Explanations add up to scores, name the words that matter, and describe bits and health as they are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hashret.analyzer import Analyzer
from hashret.cli.app import app
from hashret.codes import pack, unpack
from hashret.documents import Document
from hashret.errors import DataError, UnknownId, UsageError
from hashret.explanation import check_health, describe_bits
from hashret.explanation.bits import correlations, entropy
from hashret.explanation.health import Facts
from hashret.explanation.shapley import shapley
from hashret.explanation.spans import MOST, OTHERS, SpannedText
from hashret.index import Index

from .conftest import TOPICS, make_images, make_texts, make_vectors

QUESTION = "the storm at the harbour, and a captain"


@pytest.fixture(scope="module")
def texts_index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    index = Index.create(tmp_path_factory.mktemp("texts") / "index", make_texts(), bits=32, encoder="itq")
    index.delete(["text-0", "text-100"])
    return index


@pytest.fixture(scope="module")
def images_index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return Index.create(tmp_path_factory.mktemp("images") / "index", make_images()[:120], bits=32, encoder="itq")


@pytest.mark.parametrize("by", [None, "words", "codes", "vectors", ("words", "codes")])
def test_shares_add_up_to_the_score_of_a_text(texts_index: Index, by: str | None) -> None:
    scores = texts_index.scores(QUESTION, by=by).scores
    for position in (0, 7, int(scores.argmax()), len(scores) - 1):
        found = texts_index.explain(QUESTION, texts_index.ids[position], by=by)
        assert found.score == pytest.approx(scores[position])
        assert sum(share.share for share in found.shares) == pytest.approx(scores[position], abs=1e-5)
        assert [share.part for share in found.shares].count("constant") == 1


def test_shares_add_up_to_the_score_of_likeness(texts_index: Index, images_index: Index) -> None:
    for index in (texts_index, images_index):
        for hit in index.like(index.ids[3], k=3):
            found = index.explain(index.ids[3], hit.id, likeness=True)
            assert found.score == pytest.approx(hit.score)
            assert sum(share.share for share in found.shares) == pytest.approx(hit.score, abs=1e-5)
            assert "words" not in {share.part for share in found.shares}


def test_shares_add_up_with_original_features(tmp_path: Path) -> None:
    index = Index.create(tmp_path / "index", make_texts(), bits=16, encoder="itq", vectors=4, rescore="float")
    for hit in index.search(QUESTION, k=150)[::40]:
        assert hit.score == pytest.approx(sum(s.share for s in index.explain(QUESTION, hit.id).shares), abs=1e-5)


def test_shares_add_up_for_vectors(tmp_path: Path) -> None:
    documents = make_vectors()[:60]
    index = Index.create(tmp_path / "index", documents, bits=16, encoder="itq")
    for hit in index.search(documents[0].content, k=3):
        found = index.explain(documents[0].content, hit.id)
        assert sum(share.share for share in found.shares) == pytest.approx(hit.score, abs=1e-5)
        assert found.query_words == []
        assert found.document_map is None


def test_words_of_the_query_that_match_are_named_first(texts_index: Index) -> None:
    document = Document("new", "violin and harbour and spoon", ())
    texts_index.add([document])
    found = texts_index.explain("harbour flute", "new")
    assert found.query_words[0].word == "harbour"
    assert found.document_words[0].word == "harbour"
    assert {share.what for share in found.shares if share.part == "words"} == {"harbour"}
    texts_index.delete("new")


def test_removing_the_words_that_are_named_lowers_the_score_more_than_others(texts_index: Index) -> None:
    rng, analyzer, lost, other = np.random.default_rng(0), Analyzer(texts_index.language or "none"), 0.0, 0.0
    for topic in TOPICS.values():
        query = " ".join(rng.permutation(topic.split())[:8])
        [hit] = texts_index.search(query, k=1)
        found = texts_index.explain(query, hit.id)
        text, place = SpannedText(query, analyzer), texts_index.ids.index(hit.id)
        named = [effect.word for effect in found.query_words]
        for words, sign in ((named[:2], 1), (named[-2:], -1)):
            left = hit.score - float(texts_index.scores(text.without(words)).scores[place])  # type: ignore[operator]
            lost, other = (lost + left, other) if sign > 0 else (lost, other + left)
    assert lost > other + 1


def test_bits_of_an_explanation_are_those_of_the_codes(texts_index: Index) -> None:
    id = texts_index.ids[5]
    found = texts_index.explain(QUESTION, id)
    query, document = (unpack(codes, 32)[0] for codes in (texts_index.encode(QUESTION), texts_index.codes_of(id)))
    bits = {share.details["bit"]: share for share in found.shares if share.part == "codes"}
    assert sorted(bits) == list(range(32))
    for number, share in bits.items():
        assert share.details["query_bit"] == query[number]
        assert share.details["document_bit"] == document[number]
        assert share.details["agree"] == (query[number] == document[number])
        assert (share.share > 0) == share.details["agree"] or share.share == 0
    assert found.distance == int((query != document).sum())


def test_a_document_without_known_words_has_no_share_of_codes(texts_index: Index) -> None:
    texts_index.add([{"id": "odd", "text": "xyzzy plugh"}])
    found = texts_index.explain("xyzzy harbour", "odd")
    assert {share.part for share in found.shares} == {"words", "constant"}
    assert sum(share.share for share in found.shares) == pytest.approx(found.score)
    texts_index.delete("odd")


def test_images_have_maps_of_regions(images_index: Index) -> None:
    image = np.zeros((8, 8), np.uint8)
    image[2:6, 3:5] = 255
    found = images_index.explain(image, images_index.ids[1])
    assert found.query_map is not None
    assert found.document_map is not None
    assert found.query_map.shape == found.document_map.shape == (8, 8)
    assert np.abs(found.query_map).max() > 0
    assert sum(share.share for share in found.shares) == pytest.approx(found.score, abs=1e-5)


def test_arguments_of_explain_are_checked(texts_index: Index) -> None:
    with pytest.raises(UnknownId, match="nowhere"):
        texts_index.explain(QUESTION, "nowhere")
    with pytest.raises(UnknownId, match="nowhere"):
        texts_index.explain("nowhere", "text-1", likeness=True)
    with pytest.raises(UsageError, match="id of a document"):
        texts_index.explain(Document("a", "b"), "text-1", likeness=True)
    with pytest.raises(DataError, match="holds texts"):
        texts_index.explain(np.zeros(4, np.float32), "text-1")
    with pytest.raises(UsageError, match="unknown part"):
        texts_index.explain(QUESTION, "text-1", by="pixels")


@pytest.mark.parametrize("words", [1, 3, 9])
def test_shapley_values_add_up_and_are_those_of_a_sum(words: int) -> None:
    weights = np.random.default_rng(0).standard_normal(words)

    def value(sets: object) -> np.ndarray:
        return np.array([[weights[list(own)].sum(), len(own) ** 2] for own in sets], float)  # type: ignore[attr-defined]

    shares = shapley(words, value)
    assert shares[:, 0] == pytest.approx(weights)
    assert shares[:, 1].sum() == pytest.approx(words**2)


@pytest.mark.parametrize(
    ("text", "words", "removed", "left"),
    [
        ("Wheat, wheats; dear!", ["Wheat", "dear"], ["Wheat"], " ,  ; dear!"),
        ("東京の本", ["東", "京", "の", "本"], ["京"], "東 の本"),
        ("ab東cd", ["ab", "東", "cd"], ["東"], "ab cd"),
        ("", [], [], ""),
    ],
)
def test_words_are_found_and_removed(text: str, words: list[str], removed: list[str], left: str) -> None:
    found = SpannedText(text, Analyzer("english"))
    assert found.words == words
    assert found.without(removed) == left
    assert found.only(words) == text


def test_a_long_text_has_one_unit_for_its_other_words() -> None:
    found = SpannedText(" ".join(f"w{number}" for number in range(MOST + 5)), Analyzer())
    assert len(found.words) == MOST + 1
    assert "w203" not in found.without([OTHERS])


def test_bits_stand_for_the_words_of_their_documents() -> None:
    documents = [Document(str(n), "wheat barley" if n % 2 else "ship harbour") for n in range(40)]
    codes = pack(np.array([[n % 2 == 1, n % 4 == 0, True] for n in range(40)]))
    first, second, third = describe_bits(codes, 3, documents)
    assert set(first.ones) == {"wheat", "barley"}
    assert set(first.zeros) == {"ship", "harbour"}
    assert (first.balance, first.entropy, first.correlated) == (0.5, 1.0, 1)
    assert second.balance == 0.25
    assert (third.balance, third.entropy, third.correlated) == (1.0, 0.0, None)


def test_bits_of_images_stand_for_regions(images_index: Index) -> None:
    for bit in images_index.explain_bits():
        assert bit.image is not None
        assert bit.image.shape == (8, 8)
        assert all(re.fullmatch(r"row \d, column \d", name) for name in bit.ones)


def test_correlations_are_those_of_numpy() -> None:
    values = np.random.default_rng(0).random((500, 6)) < [0.1, 0.5, 0.9, 0.5, 0.3, 0.5]
    expected = np.asarray(np.corrcoef(values.T))
    np.fill_diagonal(expected, 0)
    assert correlations(values) == pytest.approx(expected)
    assert entropy(0.5) == 1
    assert entropy(0.0) == 0


def healthy(count: int = 400, bits: int = 16) -> np.ndarray:
    return np.random.default_rng(0).random((count, bits)) < 0.5


def failing(values: np.ndarray, facts: Facts | None = None) -> set[str]:
    found = check_health(pack(values), values.shape[1], facts or Facts((None, None), {}))
    assert found.ok == all(finding.ok for finding in found.findings)
    assert all(bool(finding.advice) != finding.ok for finding in found.findings)
    return {finding.check for finding in found.findings if not finding.ok}


def test_health_finds_what_is_wrong_with_codes() -> None:
    assert failing(healthy()) == set()
    dead = healthy()
    dead[:, 3] = True
    assert failing(dead) == {"dead bits", "balance"}
    related = healthy()
    related[:, 3] = related[:, 5]
    assert failing(related) == {"correlation"}
    crowded = healthy()
    crowded[:100] = crowded[0]
    assert "largest bucket" in failing(crowded)


def test_health_finds_drift_unseen_words_and_far_queries() -> None:
    values = healthy()
    ones = {"fitted": [400, *values.sum(axis=0).tolist()], "added": [200, *([190] * 16)]}
    assert failing(values, Facts((0.02, 0.03), ones)) == {"drift"}
    assert failing(values, Facts((0.02, 0.3), {**ones, "added": [5, *([5] * 16)]})) == {"unseen words"}
    codes = pack(np.concatenate([healthy(400, 64), ~healthy(400, 64)[:1]]))
    near, far = codes[:20], pack(np.random.default_rng(1).random((20, 64)) < 0.5)
    facts = Facts((None, None), {}, np.concatenate([near, np.repeat(far, 1, axis=0)]))
    found = {finding.check: finding for finding in check_health(codes, 64, facts).findings}
    assert found["far queries"].ok
    unknown = check_health(codes, 64, Facts((None, None), {}, near, 20)).findings[-1]
    assert (unknown.check, unknown.value, unknown.ok) == ("far queries", 0.5, False)


def test_added_documents_of_another_kind_are_drift(tmp_path: Path) -> None:
    texts = make_texts(400)
    index = Index.create(tmp_path / "index", [d for d in texts if d.labels[0] != "sea"], bits=16, encoder="itq")
    assert {f.check: f.value for f in index.health().findings}["drift"] is None
    index.add([d for d in make_texts(800, 1) if d.labels[0] == "music" and int(d.id[5:]) >= 400])
    [finding] = [f for f in index.health().findings if f.check == "drift"]
    assert not finding.ok
    index.refit()
    assert {f.check: f.value for f in index.health().findings}["drift"] is None


def test_health_of_an_index_without_documents(tmp_path: Path) -> None:
    index = Index.create(tmp_path / "index", make_texts(8), bits=8, encoder="itq")
    index.delete(index.ids)
    assert index.health(["ship"]).ok
    assert index.explain_bits()[0].balance == 0


def test_commands_explain_bits_and_health(texts_index: Index, tmp_path: Path) -> None:
    path, runner = str(texts_index.path), CliRunner()
    result = runner.invoke(app, ["explain", QUESTION, "text-4", "-i", path])
    assert result.exit_code == 0
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    score = texts_index.explain(QUESTION, "text-4").score
    assert sum(row["share"] for row in rows) == pytest.approx(score, abs=1e-5)
    assert {row["part"] for row in rows} == {"words", "codes", "vectors", "constant"}
    table = runner.invoke(app, ["explain", "text-3", "text-4", "--like", "-i", path, "--format", "table"])
    assert table.exit_code == 0
    assert "others" in table.stdout
    assert runner.invoke(app, ["explain", QUESTION, "nowhere", "-i", path]).exit_code == 1
    bits = [json.loads(line) for line in runner.invoke(app, ["bits", "-i", path]).stdout.splitlines()]
    assert [row["bit"] for row in bits] == list(range(32))


def test_health_exits_with_3_and_writes_a_page_that_loads_nothing(texts_index: Index, tmp_path: Path) -> None:
    path, runner = str(texts_index.path), CliRunner()
    questions, page = tmp_path / "questions.txt", tmp_path / "health.html"
    questions.write_text("ship and harbour\nxyzzy <b>plugh</b>\n")
    given = ["health", "-i", path, "--report", str(page), "--queries", str(questions), "--limit", "correlation=1"]
    result = runner.invoke(app, given)
    assert result.exit_code == 3
    rows = {row["check"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert rows["far queries"]["value"] == 0.5
    assert rows["far queries"]["advice"]
    text = page.read_text()
    assert "<svg" in text
    assert not re.findall(r"(?:src|href)=|url\(|<script", text)
    assert runner.invoke(app, [*given, "--limit", "far queries=1"]).exit_code == 0
    for wrong in (["--limit", "x"], ["--limit", "x=1"], ["--report", "a.png"], ["--queries", "nowhere.txt"]):
        assert runner.invoke(app, ["health", "-i", path, *wrong]).exit_code == 2
