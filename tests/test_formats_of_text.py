"""Notebooks and subtitles, and the entries of feeds and BibTeX files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from hashret.readers import read


def only(path: Path) -> tuple[str, str]:
    [document] = read(path)
    return document.id, str(document.content)


@pytest.mark.parametrize("old", [False, True], ids=["4", "3"])
def test_a_notebook(tmp_path: Path, old: bool) -> None:
    code = {"cell_type": "code", "outputs": [{"text": ["no output"]}], ("input" if old else "source"): "n = 1\nn + 1"}
    cells = [{"cell_type": "markdown", "source": ["# Wheat\n", "was dear"]}, code]
    book = {"worksheets": [{"cells": cells}]} if old else {"cells": cells}
    (tmp_path / "a.ipynb").write_text(json.dumps({**book, "nbformat": 3 if old else 4}, indent=1))
    assert only(tmp_path) == ("a.ipynb", "# Wheat\nwas dear\n\nn = 1\nn + 1")
    assert only(tmp_path / "a.ipynb") == ("a.ipynb", "# Wheat\nwas dear\n\nn = 1\nn + 1")


def test_a_damaged_notebook_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.ipynb").write_text('{"cells": 3}')
    (tmp_path / "b.txt").write_text("rye")
    assert only(tmp_path) == ("b.txt", "rye")
    assert "a.ipynb (is not a notebook)" in caplog.text


SUBTITLES = {
    "a.srt": "1\n00:00:01,000 --> 00:00:02,500\n<i>Wheat</i> was\ndear\n\n2\n00:00:03,000 --> 00:00:04,000\nthat year",
    "b.vtt": "WEBVTT\n\n00:01.000 --> 00:02.500\n<v Ann>Wheat was\ndear\n\n00:03.000 --> 00:04.000\nthat year\n",
    "c.ass": "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\n\n[Events]\n"
    "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    "Dialogue: 0,0:00:01.00,0:00:02.50,Default,,0,0,0,,{\\b1}Wheat was\\Ndear\n"
    "Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,that year\n",
}


@pytest.mark.parametrize("name", SUBTITLES)
def test_subtitles(tmp_path: Path, name: str) -> None:
    pytest.importorskip("pysubs2")
    (tmp_path / name).write_text(SUBTITLES[name])
    assert only(tmp_path / name) == (name, "Wheat was dear\nthat year")


RSS = """<?xml version="1.0" encoding="iso-8859-1"?>
<!-- made by hand -->
<rss version="2.0"><channel><title>News</title>
<item><title>Wheat &amp; rye</title>
<description>&lt;p&gt;The harvest was &lt;b&gt;gr\xf6\xdfer&lt;/b&gt;&lt;/p&gt;</description>
<guid>tag:1</guid><link>http://example.org/1</link><pubDate>Mon, 01 Jan 2024 10:00:00 GMT</pubDate></item>
<item><description>no title</description></item></channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title><entry><id>tag:2</id><title>Oats</title>
<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">for the <em>horses</em></div></content>
<updated>2024-01-02T00:00:00Z</updated></entry></feed>"""


def test_items_of_a_feed(tmp_path: Path) -> None:
    pytest.importorskip("feedparser")
    (tmp_path / "a.xml").write_bytes(RSS.encode("latin-1"))
    (tmp_path / "b.atom.gz").write_bytes(gzip.compress(ATOM.encode()))
    found = {document.id: document for document in read(tmp_path)}
    assert {id: document.content for id, document in found.items()} == {
        "a.xml!/tag:1": "Wheat & rye\nThe harvest was größer",
        "a.xml!/2": "no title",
        "b.atom.gz!/tag:2": "Oats\nfor the horses",
    }
    metadata = found["a.xml!/tag:1"].metadata
    assert metadata["title"] == "Wheat & rye"
    assert (metadata["link"], metadata["date"]) == ("http://example.org/1", "2024-01-01T10:00:00Z")


BIBTEX = r"""% Encoding: ISO-8859-1
@article{boell1950, title = {The {W}heat of B{\"o}ll}, author = {B{\"o}ll, Heinrich and Doe, Jane}, year = 1950,
  abstract = {Prices \& harvests}}
@book{boell1950, title = {The same key}}
@misc{umlaut, title = {Gr\xf6\xdfe}}
@misc{cut, title = {never closed
""".replace(r"\xf6\xdf", "\xf6\xdf")


def test_entries_of_bibtex(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("bibtexparser")
    (tmp_path / "refs.bib").write_bytes(BIBTEX.encode("latin-1"))
    found = {document.id: document for document in read(tmp_path / "refs.bib")}
    assert {id: document.content for id, document in found.items()} == {
        "refs.bib!/boell1950": "The Wheat of Böll\nBöll, Heinrich and Doe, Jane\nPrices & harvests",
        "refs.bib!/umlaut": "Größe",
        "refs.bib!/boell1950#2": "The same key",
    }
    assert found["refs.bib!/boell1950"].metadata["year"] == "1950"
    assert "refs.bib (1 entries cannot be read)" in caplog.text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-2", "shift_jis"])
def test_xml_without_its_tags(tmp_path: Path, encoding: str) -> None:
    word = "収穫" if encoding == "shift_jis" else "žito"
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?>\n<!-- no text -->\n<doc lang="en"><p>{word} &amp; rye</p><p>and '
        f"<b>oats</b></p>\n<![CDATA[1 < 2]]></doc>"
    )
    (tmp_path / "a.xml").write_bytes(text.encode(encoding))
    assert only(tmp_path / "a.xml") == ("a.xml", f"{word} & rye and oats\n1 < 2")


def test_xml_that_is_not_well_formed(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text('<?xml version="1.0"?><doc>wheat&nbsp;<b>and rye</doc>')
    assert only(tmp_path)[1].split() == ["wheat", "and", "rye"]


def test_entities_that_grow_take_no_memory(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "wheat"}">' for n in range(12))
    (tmp_path / "a.xml").write_text(f'<?xml version="1.0"?><!DOCTYPE d [{entities}]><d>&e11; rye</d>')
    (tmp_path / "b.txt").write_text("oats")
    assert {document.id for document in read(tmp_path)} >= {"b.txt"}
