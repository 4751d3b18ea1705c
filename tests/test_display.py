"""What notebooks show: tables with marks and images, in which nothing can run."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashret.documents import Document
from hashret.index import Index

from .conftest import make_images, make_texts

HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(1)>"


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    hostile = Document(HOSTILE, f"{HOSTILE} zebra", (HOSTILE,), {HOSTILE: HOSTILE})
    return Index.create(tmp_path_factory.mktemp("own") / "index", [*make_texts(60), hostile], bits=16, encoder="itq")


def test_hits_are_a_table_with_marked_words(index: Index) -> None:
    shown = index.search("harbour storm", k=3)._repr_html_()
    assert shown.count("<tr>") == 4
    assert "<mark>harbour</mark>" in shown or "<mark>storm</mark>" in shown
    assert "<mark>" not in index.like("text-0", k=3)._repr_html_()
    assert "<mark>" not in index.search("harbour", k=3, by="codes")._repr_html_()


def test_nothing_of_a_document_is_markup(index: Index) -> None:
    hits = index.search("zebra alert", k=1)
    assert hits[0].id == HOSTILE
    for shown in (hits._repr_html_(), hits[0].document._repr_html_(), index[HOSTILE]._repr_html_()):
        assert set(Tags(shown).found) <= {"table", "tr", "td", "th", "mark", "p"}
        assert "&lt;script&gt;" in shown


def test_images_are_thumbnails(tmp_path: Path) -> None:
    index = Index.create(tmp_path / "index", make_images()[:40], bits=16, encoder="itq")
    shown = index.like("digit-1", k=5)._repr_html_()
    assert shown.count('<img alt="" src="data:image/png;base64,') == 5
    Image.new("RGB", (500, 300), "red").save(tmp_path / "x.png")
    assert "data:image/png" in Document("x", tmp_path / "x.png")._repr_html_()
    assert "gone.png" in Document("x", tmp_path / "gone.png")._repr_html_()
    assert "vector" in Document("x", np.zeros(3, np.float32))._repr_html_()


def test_an_index_is_a_table_of_facts(index: Index, tmp_path: Path) -> None:
    shown = index._repr_html_()
    assert "<td>61</td>" in shown
    assert "words, codes, vectors" in shown
    other = Index.create(tmp_path / "other", make_texts(20), bits=8, encoder="itq")
    other.close()
    assert "documents" not in other._repr_html_()


def test_a_long_list_is_cut(index: Index) -> None:
    assert "and 11 more" in index.search("harbour", k=100)._repr_html_()
