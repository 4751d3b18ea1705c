"""Formats: a frozen index of each released format can be opened, searched and changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hashret.documents import Document
from hashret.errors import StoreError
from hashret.index import Index
from hashret.store.manifest import FORMAT, _checksum

FROZEN = Path(__file__).parent / "data"
FOUND = [("sea/2", 4), ("sea/7", 4), ("sea/4", 7), ("sea/9", 7), ("sea/8", 8)]  # as it was when frozen
IDS = [f"{topic}/{n}" for n in range(12) for topic in ("sea", "farm")]
LEFT = [id for id in IDS if id not in ("sea/3", "farm/7")] + ["no UTF-8 \udcff", "later"]


@pytest.fixture(params=range(1, FORMAT + 1))
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Index:
    shutil.copytree(FROZEN / f"format-{request.param}", tmp_path / "index")
    return Index.open(tmp_path / "index")


def test_an_index_of_each_format_answers_as_it_did(index: Index) -> None:
    assert index.ids == LEFT
    assert [(hit.id, hit.distance) for hit in index.search("captain storm", k=5)] == FOUND
    assert index.parts == ("words", "codes", "vectors")
    assert index.document("sea/5").metadata == {"number": 5, "name": "Zoë ✓"}
    assert index.document("later") == Document("later", "wheat and tide", ("sea", "farm"))
    assert index.verify() == []


def test_an_index_of_each_format_can_be_changed(index: Index) -> None:
    index.add(["a ship in the storm"])
    index.delete(["sea/0"])
    assert index.ids == [*LEFT[1:], "0"]
    index.compact()
    with Index.open(index.path) as again:
        assert again.ids == [*LEFT[1:], "0"]
        assert again.document("later") == Document("later", "wheat and tide", ("sea", "farm"))
        assert again.verify() == []


def test_a_newer_format_is_refused_with_the_version_that_reads_it(index: Index) -> None:
    path = index.path / "manifest.json"
    body = json.loads(path.read_bytes().decode("utf-8", "surrogatepass"))
    del body["checksum"]
    body |= {"format": FORMAT + 1, "needs": "7.8.9", "segments": "of another kind"}
    for checksum in (_checksum(body), "of another kind"):
        path.write_text(json.dumps(body | {"checksum": checksum}))
        with pytest.raises(StoreError, match=rf"has format {FORMAT + 1}, .* up to {FORMAT}; install hashret '7.8.9'"):
            Index.open(index.path)
