"""An index seen whole: outliers, clusters and maps find what was put into it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hashret.analysis import clusters, draw, outliers, plane
from hashret.cli.app import app
from hashret.codes import hamming
from hashret.documents import Document
from hashret.errors import UsageError
from hashret.features import Rows, stacked, unit
from hashret.index import Index

from .conftest import FAST, make_pictures, make_texts, make_vectors

STRANGE = [
    Document(f"strange-{i}", f"quarterly tax deduction form {i} ledger audit invoice payable", ("odd",))
    for i in range(3)
]


@pytest.fixture(scope="module")
def texts_index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """200 texts of four topics and three of none, 32 bits."""
    path = tmp_path_factory.mktemp("texts") / "index"
    return Index.create(path, [*make_texts(), *STRANGE], bits=32, encoder="deep", options=dict(FAST))


@pytest.fixture(scope="module")
def pictures_index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    path = tmp_path_factory.mktemp("pictures") / "index"
    return Index.create(path, make_pictures()[:120], bits=32, encoder="itq")


@pytest.fixture(scope="module")
def vectors_index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    path = tmp_path_factory.mktemp("vectors") / "index"
    return Index.create(path, make_vectors()[:120], bits=32, encoder="itq")


def far_by_cosine(index: Index, documents: list[Document]) -> np.ndarray:
    """1 - cosine of each document to all of the index."""
    parts = [stacked([*index.hasher.features(some)]) for some in (documents, index.documents())]
    asked, known = (unit(part.dense() if isinstance(part, Rows) else part) for part in parts)
    return 1 - asked @ known.T


class TestOutliers:
    def test_scores_are_mean_distances_of_codes_to_the_nearest_others(self, vectors_index: Index) -> None:
        far = hamming(vectors_index.codes, vectors_index.codes).astype(np.float64)
        np.fill_diagonal(far, np.inf)
        wanted = np.sort(np.sort(far, axis=1)[:, :7].mean(axis=1))[::-1]
        found = outliers(vectors_index, k=len(vectors_index), neighbors=7)
        np.testing.assert_allclose([f.score for f in found], wanted, rtol=1e-6)
        assert {f.method for f in found} == {"codes"}

    @pytest.mark.parametrize("vectorizer", ["text", "tfidf"])
    def test_scores_are_mean_distances_of_features_to_the_nearest_others(self, vectorizer: str, tmp_path: Path) -> None:
        index = Index.create(tmp_path / "index", [*make_texts(), *STRANGE], encoder="lsh", vectorizer=vectorizer)
        far = far_by_cosine(index, list(index.documents()))
        np.fill_diagonal(far, np.inf)
        wanted = dict(zip(index.ids, np.sort(far, axis=1)[:, :7].mean(axis=1), strict=True))
        found = outliers(index, k=len(index), neighbors=7)
        np.testing.assert_allclose([f.score for f in found], [wanted[f.document.id] for f in found], atol=1e-5)
        assert {f.method for f in found} == {"features"}

    def test_what_belongs_to_none_comes_first(self, texts_index: Index) -> None:
        found = outliers(texts_index, k=3, neighbors=5)
        assert {f.document.id for f in found} == {one.id for one in STRANGE}

    def test_large_indexes_are_compared_with_a_sample(
        self, texts_index: Index, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys.modules["hashret.analysis.outliers"], "SAMPLE", 50)
        rows = [place * len(texts_index) // 50 for place in range(50)]
        far = far_by_cosine(texts_index, list(texts_index.documents()))[:, rows]
        far[rows, range(50)] = np.inf
        wanted = dict(zip(texts_index.ids, np.sort(far, axis=1)[:, :7].mean(axis=1), strict=True))
        found = outliers(texts_index, k=len(texts_index), neighbors=7)
        np.testing.assert_allclose([f.score for f in found], [wanted[f.document.id] for f in found], atol=1e-5)

    @pytest.mark.parametrize("codes", [False, True])
    def test_other_documents_are_compared_with_the_index(self, codes: bool, texts_index: Index) -> None:
        asked = [*make_texts(20, seed=5), Document("x", "ledger audit ship oven violin planet")]
        far = hamming(texts_index.encode(asked), texts_index.codes) if codes else far_by_cosine(texts_index, asked)
        wanted = np.sort(far, axis=1)[:, :10].mean(axis=1)
        found = outliers(texts_index, asked, k=len(asked), codes=codes)
        by_id = {f.document.id: f.score for f in found}
        np.testing.assert_allclose([by_id[d.id] for d in asked], wanted, atol=1e-5)
        assert [f.rank for f in found] == list(range(1, len(asked) + 1))
        assert [f.score for f in found] == sorted((f.score for f in found), reverse=True)
        assert outliers(texts_index, [], codes=codes) == []

    def test_an_encoder_scores_them(self, texts_index: Index) -> None:
        own = outliers(texts_index, k=203, encoder="deep")
        assert len(own) == 203
        assert {f.method for f in own} == {"deep"}
        learned = outliers(texts_index, k=3, encoder="autoencoder", options=dict(FAST))
        assert len(learned) == 3

    def test_what_cannot_score_says_who_can(self, texts_index: Index) -> None:
        with pytest.raises(UsageError, match=r"'itq' has no outlier_scores; these have: .*deep"):
            outliers(texts_index, encoder="itq")

    def test_numbers_that_make_no_sense(self, texts_index: Index) -> None:
        with pytest.raises(UsageError, match="at least 1, got 0"):
            outliers(texts_index, k=0)
        with pytest.raises(UsageError, match="choose one of the two"):
            outliers(texts_index, codes=True, encoder="deep")
        with pytest.raises(UsageError, match="name one beside epochs"):
            outliers(texts_index, options={"epochs": 3})

    def test_vectors_are_compared_by_their_codes_alone(self, vectors_index: Index) -> None:
        assert len(outliers(vectors_index, k=4)) == 4
        with pytest.raises(UsageError, match="leave out --encoder"):
            outliers(vectors_index, encoder="deep")

    def test_one_document_has_no_others(self, tmp_path: Path) -> None:
        one = Index.create(tmp_path / "one", ["a lone text of words"], bits=8, encoder="lsh")
        assert [f.score for f in outliers(one)] == [0]


class TestClusters:
    def test_topics_come_apart_with_their_words(self, texts_index: Index) -> None:
        found = clusters(texts_index, 6)
        labels = dict(zip(texts_index.ids, (own[0] for own in texts_index.labels), strict=True))
        right = sum(max(list(map(labels.get, c.ids)).count(label) for label in set(labels.values())) for c in found)
        assert right > 0.8 * len(texts_index)
        assert sorted(id for c in found for id in c.ids) == sorted(texts_index.ids)
        assert [len(c.ids) for c in found] == sorted((len(c.ids) for c in found), reverse=True)
        sea = max(found, key=lambda c: sum(labels[id] == "sea" for id in c.ids) / len(c.ids))
        assert len({"ship", "wave", "harbour", "sail", "tide", "anchor", "sailor", "storm"} & set(sea.words)) >= 3

    @pytest.mark.parametrize("count", [0, 204])
    def test_more_groups_than_documents_are_refused(self, count: int, texts_index: Index) -> None:
        with pytest.raises(UsageError, match=f"must be 1 to 203, the documents there are, got {count}"):
            clusters(texts_index, count)

    def test_pictures_have_no_words(self, pictures_index: Index) -> None:
        found = clusters(pictures_index, 5)
        assert sum(len(c.ids) for c in found) == 120
        assert all(c.words == [] for c in found)

    def test_equal_documents_are_one_group(self, tmp_path: Path) -> None:
        index = Index.create(tmp_path / "same", ["one and the same text"] * 5, bits=8, encoder="lsh")
        assert [len(c.ids) for c in clusters(index, 3)] == [5]


class TestMaps:
    def test_topics_lie_together(self, texts_index: Index) -> None:
        points = plane(texts_index)
        places = np.array([(p.x, p.y) for p in points])
        labels = np.array([p.label for p in points])
        assert [p.id for p in points] == texts_index.ids
        assert np.abs(places).max() <= 1
        far = ((places[:, None] - places[None]) ** 2).sum(axis=2)
        np.fill_diagonal(far, np.inf)
        assert (labels[far.argmin(axis=1)] == labels).mean() > 0.8
        again = plane(texts_index)
        assert points == again

    def test_an_encoder_draws_it(self, texts_index: Index) -> None:
        points = plane(texts_index, encoder="deep", color="cluster", count=3)
        assert {p.label for p in points} <= {"cluster 0", "cluster 1", "cluster 2"}

    @pytest.mark.parametrize("kind", [".png", ".svg", ".html"])
    def test_it_is_drawn(self, kind: str, texts_index: Index, tmp_path: Path) -> None:
        points = plane(texts_index, encoder="deep")
        draw(points, tmp_path / f"map{kind}", texts_index)
        head = (tmp_path / f"map{kind}").read_bytes()[:300]
        assert {".png": b"\x89PNG", ".svg": b"<?xml", ".html": b"<!doctype html>"}[kind] in head

    def test_the_page_needs_nothing_else_and_runs_nothing_of_the_documents(self, tmp_path: Path) -> None:
        evil = "</script><script>alert(1)</script> words of a text & more"
        index = Index.create(
            tmp_path / "evil", [Document(f"<b>{i}", evil, ("<i>",)) for i in range(6)], bits=8, encoder="lsh"
        )
        draw(plane(index), tmp_path / "map.html", index)
        page = (tmp_path / "map.html").read_text("utf-8")
        assert page.count("<script") == page.count("</script>") == 1
        assert "<i>" not in page
        assert not re.search(r"(src|href)=|https?:", page.replace("picture.src =", ""))
        [data] = re.findall(r"const \{points, colours\} = (.*);", page)
        assert json.loads(data)["points"][0][3:] == ["<b>0", evil]

    def test_pictures_are_shown_small(self, pictures_index: Index, tmp_path: Path) -> None:
        draw(plane(pictures_index, color="cluster"), tmp_path / "map.html", pictures_index)
        assert (tmp_path / "map.html").read_text("utf-8").count("data:image/jpeg;base64,") == 120

    def test_another_kind_of_file_is_refused(self, texts_index: Index, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"\.html, \.png or \.svg, got 'map.pdf'"):
            draw([], tmp_path / "map.pdf")


class TestCommands:
    def rows(self, *words: Any) -> list[dict[str, Any]]:
        result = CliRunner().invoke(app, [*map(str, words), "--format", "jsonl"])
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]

    def test_outliers(self, texts_index: Index, tmp_path: Path) -> None:
        rows = self.rows("outliers", "-i", texts_index.path, "-k", 4)
        assert [row["rank"] for row in rows] == [1, 2, 3, 4]
        assert {"rank", "id", "score", "method"} <= set(rows[0])
        (tmp_path / "new.jsonl").write_text('{"id": "n", "text": "oven and bread"}\n')
        assert [row["id"] for row in self.rows("outliers", tmp_path / "new.jsonl", "-i", texts_index.path)] == ["n"]

    def test_clusters(self, texts_index: Index, pictures_index: Index, tmp_path: Path) -> None:
        rows = self.rows("clusters", "-i", texts_index.path, "-n", 4, "--out", tmp_path / "groups")
        assert [set(row) for row in rows] == [{"cluster", "size", "words", "ids"}] * 4
        assert len([*(tmp_path / "groups").rglob("*.txt")]) == len(texts_index)
        self.rows("clusters", "-i", pictures_index.path, "-n", 4, "--out", tmp_path / "pictures")
        assert len([*(tmp_path / "pictures").rglob("*.jpg")]) == 120
        again = CliRunner().invoke(app, ["clusters", "-i", str(texts_index.path), "--out", str(tmp_path / "groups")])
        assert again.exit_code == 2

    def test_names_that_lead_elsewhere_stay_in_the_folder(self, tmp_path: Path) -> None:
        path = tmp_path / "index"
        index = Index.create(path, [Document("../../x/y", "a text"), Document("..", "b text")], bits=8, encoder="lsh")
        index.close()
        self.rows("clusters", "-i", path, "-n", 1, "--out", tmp_path / "out" / "in")
        assert len([*(tmp_path / "out" / "in").rglob("*.txt")]) == 2
        assert {p.name for p in tmp_path.iterdir()} == {"index", "out"}

    def test_map(self, texts_index: Index, tmp_path: Path) -> None:
        rows = self.rows("map", "-i", texts_index.path, "--encoder", "deep")
        assert set(rows[0]) == {"id", "x", "y", "label"}
        assert self.rows("map", "-i", texts_index.path, "--encoder", "deep", "--out", tmp_path / "m.svg") == []
        wrong = CliRunner().invoke(app, ["map", "-i", str(texts_index.path), "--out", str(tmp_path / "m.pdf")])
        assert wrong.exit_code == 2
