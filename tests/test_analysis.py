"""Analyses of an index: outliers, clusters and maps find what was put into it."""

from __future__ import annotations

import html
import json
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from typer.testing import CliRunner

from hashret.analysis import clusters, draw, outliers, plane
from hashret.analysis.clusters import Cluster, safe, write
from hashret.analysis.map import Point
from hashret.cli.app import app
from hashret.codes import hamming
from hashret.documents import Document
from hashret.errors import UsageError
from hashret.features import CSRMatrix, stacked, unit
from hashret.index import Index

from .conftest import FAST, make_images, make_texts, make_vectors

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
def images_index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    path = tmp_path_factory.mktemp("images") / "index"
    return Index.create(path, make_images()[:120], bits=32, encoder="itq")


@pytest.fixture(scope="module")
def vectors_index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    path = tmp_path_factory.mktemp("vectors") / "index"
    return Index.create(path, make_vectors()[:120], bits=32, encoder="itq")


def far_by_cosine(index: Index, documents: list[Document]) -> np.ndarray:
    """1 - cosine of each document to all of the index."""
    parts = [stacked([*index.hasher.features(some)]) for some in (documents, index.documents())]
    asked, known = (unit(part.dense() if isinstance(part, CSRMatrix) else part) for part in parts)
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
        with pytest.raises(UsageError, match=r"'itq' has no outlier_scores; encoders with it: .*deep"):
            outliers(texts_index, encoder="itq")

    def test_numbers_that_make_no_sense(self, texts_index: Index) -> None:
        with pytest.raises(UsageError, match="at least 1, got 0"):
            outliers(texts_index, k=0)
        with pytest.raises(UsageError, match="choose one of the two"):
            outliers(texts_index, codes=True, encoder="deep")
        with pytest.raises(UsageError, match="name one for epochs"):
            outliers(texts_index, options={"epochs": 3})

    def test_vectors_are_compared_by_their_codes_alone(self, vectors_index: Index) -> None:
        assert len(outliers(vectors_index, k=4)) == 4
        with pytest.raises(UsageError, match="does not store them; leave `encoder` out"):
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

    def test_more_groups_than_documents_are_refused(self, texts_index: Index) -> None:
        with pytest.raises(UsageError, match="must be 1 to 203, the number of documents, got 204"):
            clusters(texts_index, 204)

    def test_images_have_no_words(self, images_index: Index) -> None:
        found = clusters(images_index, 5)
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
        assert not re.search(r"(src|href)=|https?:", page.replace("image.src =", ""))
        [data] = re.findall(r"const \{points, colours\} = (.*);", page)
        assert json.loads(data)["points"][0][3:] == ["<b>0", evil]

    def test_images_are_shown_small(self, images_index: Index, tmp_path: Path) -> None:
        draw(plane(images_index, color="cluster"), tmp_path / "map.html", images_index)
        assert (tmp_path / "map.html").read_text("utf-8").count("data:image/jpeg;base64,") == 120

    def test_another_kind_of_file_is_refused(self, texts_index: Index, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"\.html, \.png or \.svg, got 'map.pdf'"):
            draw([], tmp_path / "map.pdf")


ODD_LABELS = [
    *(
        "C$$D",
        "from $5 to $10",
        "$\\frac{1}{2}$",
        "_private",
        "_",
        "{{count}}",
        "{{data}}{{legend}}",
        "{0} %s",
        "a & b",
    ),
    *("</script><b>", "-->", "line\nbreak", "\x00\x1b[31m", "caf\udce9", "\ud83d", "a\u2028b", "\uffff", "x" * 500),
]


class TestOddLabels:
    @pytest.fixture
    def points(self) -> list[Point]:
        return [Point(f"{label}-{i}", i / 9, i / 7, label) for label in ODD_LABELS for i in range(2)]

    def test_a_image_has_them_letter_for_letter(
        self, points: list[Point], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(matplotlib.rcParams, "svg.fonttype", "none")
        draw(points, tmp_path / "map.svg")
        drawn = [element.text for element in ElementTree.parse(tmp_path / "map.svg").iter() if element.text]
        for label in ODD_LABELS[:11]:
            assert label in drawn
        for escaped in (
            "line\\nbreak",
            "\\x00\\x1b[31m",
            "caf\\udce9",
            "\\ud83d",
            "a\\u2028b",
            "\\uffff",
            "x" * 79 + "…",
        ):
            assert escaped in drawn

    @pytest.mark.parametrize("label", ODD_LABELS)
    def test_each_is_drawn_in_a_image(self, label: str, tmp_path: Path) -> None:
        draw([Point("a", 0, 0, label), Point("b", 1, 1, "other")], tmp_path / "map.png")
        assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")

    def test_a_page_has_them_letter_for_letter(self, points: list[Point], tmp_path: Path) -> None:
        draw(points, tmp_path / "map.html")
        page = (tmp_path / "map.html").read_text("utf-8")
        assert page.count("<script") == page.count("</script>") == 1
        legend = [html.unescape(name) for name in re.findall(r"</i>(.*?)</li>", page, re.DOTALL)]
        assert {*ODD_LABELS[:11]} <= {*legend}
        [data] = re.findall(r"const \{points, colours\} = (.*);", page)
        assert [row[3] for row in json.loads(data)["points"]] == [point.id for point in points]


def test_a_map_that_cannot_be_drawn_leaves_the_old_one(
    texts_index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "map.html").write_text("the old one")

    def full(self: Path, data: bytes) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        draw([Point("a", 0, 0, "x")], tmp_path / "map.html")
    assert [path.name for path in tmp_path.iterdir()] == ["map.html"]
    assert (tmp_path / "map.html").read_text() == "the old one"


def test_a_map_is_drawn_into_folders_that_exist(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    for path in (tmp_path / "folder.png", tmp_path / "gone" / "map.png"):
        with pytest.raises(UsageError, match="name a file"):
            draw([], path)


@pytest.mark.parametrize("bits", [8, 128])
@pytest.mark.parametrize("count", [2, 3, 40])
def test_pca_draws_any_index_in_as_many_components_as_there_are(tmp_path: Path, bits: int, count: int) -> None:
    index = Index.create(tmp_path / "index", make_texts()[:count], bits=bits, encoder="lsh")
    points = plane(index, encoder="pca")
    assert len(points) == count
    assert len({(p.x, p.y) for p in points}) > 1
    if count == 2:
        assert {p.y for p in points} == {0}


class TestNoDocuments:
    @pytest.fixture
    def index(self, tmp_path: Path) -> Index:
        made = Index.create(tmp_path / "index", make_texts()[:9], bits=8, encoder="itq")
        made.delete(made.ids)
        return made

    def test_it_answers_emptily(self, index: Index, tmp_path: Path) -> None:
        for encoder in (None, "itq", "pca", "deep", "dec", "density"):
            assert plane(index, encoder=encoder) == []
            assert clusters(index, 3, encoder=encoder) == []
            assert outliers(index, encoder=encoder) == []
        assert outliers(index, ["some words"]) == []
        for kind in (".png", ".svg", ".html"):
            draw(plane(index), tmp_path / f"map{kind}", index)
            assert (tmp_path / f"map{kind}").stat().st_size > 100

    @pytest.mark.parametrize("words", [("map",), ("clusters", "-n", 1), ("outliers",), ("map", "--color", "cluster")])
    def test_commands_print_nothing(self, words: tuple[Any, ...], index: Index) -> None:
        result = CliRunner().invoke(app, [*map(str, words), "-i", str(index.path), "--format", "jsonl"])
        assert (result.exit_code, result.stdout) == (0, "")

    def test_eval_finds_nothing(self, index: Index, tmp_path: Path) -> None:
        (tmp_path / "q.jsonl").write_text('{"id": "q", "text": "sea ship", "label": "sea"}\n')
        result = CliRunner().invoke(app, ["eval", str(tmp_path / "q.jsonl"), "-i", str(index.path), "-m", "AP"])
        assert json.loads(result.stdout) | {"measure": "AP", "value": 0.0, "queries": 1} == json.loads(result.stdout)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a/b c.txt", "a_b_c.txt"),
        ("../..", "_"),
        ("...", "_"),
        ("end.", "end"),
        ("", "_"),
        ("caf\udce9", "caf_"),
        ("é" * 300, "é" * 100),
        ("x" + "é" * 100, "é" * 100),
        ("日" * 300, "日" * 66),
        ('a:b*c?<>|"\\', "a_b_c_"),
    ],
)
def test_names_of_files_are_short_and_lead_nowhere(name: str, wanted: str) -> None:
    assert safe(name) == wanted
    assert len(f"00000 {safe(name)}.jpg".encode()) <= 255


def test_clusters_of_long_names_and_words_are_written(tmp_path: Path) -> None:
    words = ["語" * 40 + letter for letter in "一二三四"]
    documents = [Document("日本語" * 200 + str(i), " ".join([*words, "a b c"]) if i % 2 else "d e f") for i in range(8)]
    index = Index.create(
        tmp_path / "index", documents, bits=8, encoder="lsh", vectorizer="tfidf", options={"min_df": 1}
    )
    write([Cluster(0, index.ids, words)], index, tmp_path / "out")
    written = [*(tmp_path / "out").rglob("*.txt")]
    assert len(written) == 8
    assert all(len(path.name.encode()) <= 255 and len(path.parent.name.encode()) <= 255 for path in written)


@pytest.mark.parametrize("bad", [0, -1, True, 1.5, "3", None])
def test_numbers_that_make_no_sense_are_refused(bad: Any, texts_index: Index) -> None:
    for ask in (
        lambda: outliers(texts_index, k=bad),
        lambda: outliers(texts_index, neighbors=bad),
        lambda: clusters(texts_index, bad),
        lambda: plane(texts_index, color="cluster", count=bad),
    ):
        with pytest.raises(UsageError, match=r"must be .*at least 1, got"):
            ask()


@pytest.mark.parametrize("bad", [-1, 2**32, True, 0.5, "3", None])
def test_seeds_out_of_range_are_refused(bad: Any, texts_index: Index) -> None:
    for ask in (outliers, clusters, plane):
        with pytest.raises(UsageError, match=r"seed must be .*0 to 4294967295, got"):
            ask(texts_index, seed=bad)


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

    def test_clusters(self, texts_index: Index, images_index: Index, tmp_path: Path) -> None:
        rows = self.rows("clusters", "-i", texts_index.path, "-n", 4, "--out", tmp_path / "groups")
        assert [set(row) for row in rows] == [{"cluster", "size", "words", "ids"}] * 4
        assert len([*(tmp_path / "groups").rglob("*.txt")]) == len(texts_index)
        self.rows("clusters", "-i", images_index.path, "-n", 4, "--out", tmp_path / "images")
        assert len([*(tmp_path / "images").rglob("*.jpg")]) == 120
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
