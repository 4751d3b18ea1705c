"""Records: JSON lines, CSV, Parquet and BEIR, their conversion to documents, and invalid input."""

from __future__ import annotations

import codecs
import csv
import datetime
import decimal
import gzip
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hashret.documents import Document
from hashret.errors import DataError, MissingExtra, UsageError
from hashret.readers import Fields, json_items, read
from hashret.readers.beir import Beir

from .samples import array_of, posix_only

Reader = Callable[..., list[Document]]


@pytest.fixture
def jsonl(tmp_path: Path) -> Reader:
    """Writes records or raw lines, and reads them."""

    def write(*records: Any, **fields: Any) -> list[Document]:
        lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
        (tmp_path / "x.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return list(read(tmp_path / "x.jsonl", source="jsonl", **fields))

    return write


def refused(match: str, read_all: Reader, *records: Any, **fields: Any) -> None:
    with pytest.raises(DataError, match=match) as caught:
        read_all(*records, **fields)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


# Rules


def test_the_usual_fields(jsonl: Reader) -> None:
    assert jsonl({"id": "a", "text": "t", "label": "l", "more": [1]}) == [Document("a", "t", ("l",), {"more": [1]})]
    assert jsonl({"_id": "a", "title": "T", "text": "t"}) == [Document("a", "T\nt", (), {"title": "T"})]
    assert jsonl({"id": 7, "title": "", "text": "t"}, {"id": 8, "title": "T", "text": ""}) == [
        Document("7", "t"),
        Document("8", "T", (), {"title": "T"}),
    ]


def test_a_title_alone_is_no_text(jsonl: Reader) -> None:
    refused("has no text, image or vector; it has title, body", jsonl, {"title": "T", "body": "b"})


def test_a_line_without_an_id_is_numbered(jsonl: Reader) -> None:
    ids = [document.id for document in jsonl({"text": "a"}, "", {"id": "own", "text": "b"}, {"id": None, "text": "c"})]
    assert ids == ["x.jsonl:1", "own", "x.jsonl:4"]


@pytest.mark.parametrize(
    ("record", "labels"),
    [
        ({"label": "a"}, ("a",)),
        ({"label": 3}, ("3",)),
        ({"label": 3.0}, ("3",)),
        ({"label": 0.5}, ("0.5",)),
        ({"label": True}, ("true",)),
        ({"label": None}, ()),
        ({"label": ""}, ()),
        ({"label": []}, ()),
        ({"label": ["a", 1, "a"]}, ("a", "1")),
        ({"labels": ["a", "b"]}, ("a", "b")),
        ({"labels": "a"}, ("a",)),
        ({"label": None, "labels": ["b"]}, ("b",)),
        ({}, ()),
    ],
)
def test_labels(jsonl: Reader, record: dict[str, Any], labels: tuple[str, ...]) -> None:
    (document,) = jsonl({"text": "t", **record})
    assert document.labels == labels


def test_both_label_and_labels_keep_what_is_not_read(jsonl: Reader) -> None:
    assert jsonl({"id": "a", "text": "t", "label": "l", "labels": ["m"]}) == [
        Document("a", "t", ("l",), {"labels": ["m"]})
    ]


def test_a_vector(jsonl: Reader) -> None:
    (document,) = jsonl({"vector": [1, 2.5, -3]})
    assert array_of(document).dtype == np.float32
    assert array_of(document).tolist() == [1, 2.5, -3]
    (document,) = jsonl({"embedding": [1, 2], "text": "kept"}, text="embedding")
    assert document.kind == "vector"
    assert document.metadata == {"text": "kept"}


@pytest.mark.parametrize("vector", ["[]", "[[1]]", "[1, [2]]", '["1"]', "[null]", "3", "{}", '"1 2"'])
def test_what_is_no_vector(jsonl: Reader, vector: str) -> None:
    refused(r"x\.jsonl, line 1: a vector must be a list of numbers", jsonl, f'{{"vector": {vector}}}')


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e300", "1e999"])
def test_numbers_that_no_vector_holds(jsonl: Reader, number: str) -> None:
    refused("line 2: the vector holds a NaN", jsonl, {"vector": [1, 2]}, f'{{"vector": [1, {number}]}}')


def test_a_image_beside_the_file(jsonl: Reader, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    Image.new("L", (2, 2)).save(tmp_path / "deep" / "a.png")
    for path in ("deep/a.png", "./deep/../deep/a.png"):
        (document,) = jsonl({"image": path, "title": "kept", "text": None})
        assert document.content == tmp_path / "deep" / "a.png"
        assert document.metadata["title"] == "kept"


@posix_only("links")
def test_an_image_elsewhere_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("L", (2, 2)).save(tmp_path / "out.png")
    (folder / "link.png").symlink_to(tmp_path / "out.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    for image, match in [
        ("../out.png", "is outside"),
        ("a/../../out.png", "is outside"),
        ("link.png", "is outside"),
        (str(tmp_path / "out.png"), "relative"),
        ("C:\\out.png", "relative"),
        ("\\\\server\\share\\out.png", "relative"),
        ("missing.png", "not found in"),
        ("loop.png", "image"),
        (".", "not found in"),
        ("a\0b", "is not a path"),
        ("x" * 5000, "is not a path|not found in"),
        (3, "must be a path"),
    ]:
        (folder / "x.jsonl").write_text(json.dumps({"image": image}))
        with pytest.raises(DataError, match=match):
            list(read(folder / "x.jsonl"))


def test_fields_that_are_not_there(jsonl: Reader) -> None:
    record = {"id": "a", "label": "l", "category": "c", "text": "t"}
    refused(
        r"x\.jsonl: no field 'categry' in line 1; it has id, label, category, text; did you mean 'category'\?",
        *(jsonl, record),
        label="categry",
    )
    refused("no field 'body' in line 1; it has id, label, category, text", jsonl, record, text="text,body")
    refused("no field 'key' in line 1", jsonl, record, id="key")
    refused("no field 'category' in line 3", jsonl, record, "", {"id": "b", "text": "t"}, label="category")


def test_a_named_field_may_be_null_but_an_id_may_not(jsonl: Reader) -> None:
    assert jsonl({"id": "a", "text": "t", "topic": None}, label="topic") == [Document("a", "t")]
    assert jsonl({"id": "a", "head": None, "body": "b"}, text="head,body") == [Document("a", "b")]
    refused("line 1: the id in 'key' is empty", jsonl, {"key": None, "text": "t"}, id="key")


@pytest.mark.parametrize("value", ["[1]", "{}", "true", '""', "NaN", '"\\ud800x"'])
def test_what_is_no_id(jsonl: Reader, value: Any) -> None:
    line = f'{{"id": {value}, "text": "t"}}'
    if "ud800" in value:
        assert jsonl(line)[0].id == "�x"
    else:
        refused("line 1: the id in 'id' must be a text or a number", jsonl, line)


@pytest.mark.parametrize("value", [3, 1.5, True, ["a"], {"a": 1}])
def test_what_is_no_text(jsonl: Reader, value: Any) -> None:
    refused("line 1: 'text' must be a text", jsonl, {"text": value})


def test_what_is_no_label(jsonl: Reader) -> None:
    refused("line 1: the label in 'label' must be", jsonl, {"text": "t", "label": {"a": 1}})
    refused("line 1: the label in 'label' must be", jsonl, {"text": "t", "label": [["a"]]})


def test_empty_texts_are_kept_and_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": ""}\n{"text": null}\n{"text": "t"}\n')
    source = read(tmp_path / "x.jsonl")
    assert next(iter(source)).content == ""
    assert caplog.messages == []
    for _ in range(2):
        assert [document.content for document in source] == ["", "", "t"]
    assert len(caplog.messages) == 1
    assert "empty text, kept: 2" in caplog.messages[0]


# JSON lines


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ('{"text": "a"', "line 2: not JSON"),
        ("no", "line 2: not JSON"),
        ('{"text": "a"} {"text": "b"}', "line 2: not JSON.*one object per line"),
        ("[1]", "line 2 is a list"),
        ('"a"', "line 2 is a text"),
        ("3", "line 2 is a number"),
        ("null", "line 2 is null"),
        ('{"text": "t", "n": %s}' % ("9" * 5000), "line 2: unsupported JSON"),
        ('{"text": "t", "n": %s}' % ("[" * 1000 + "]" * 1000), "line 2: nested deeper than 100 levels"),
        ('{"text": "t", "n": %s}' % ("[" * 200 + "]" * 200), "line 2: nested deeper than 100 levels"),
        ('{"n":' * 100_000 + "1" + "}" * 100_000, "line 2: nested deeper than 100 levels"),
    ],
)
def test_lines_that_are_no_record(jsonl: Reader, line: str, match: str) -> None:
    refused(match, jsonl, {"text": "first"}, line)


def test_many_brackets_that_are_not_deep(jsonl: Reader) -> None:
    (document,) = jsonl({"text": "[" * 500, "n": [[1]] * 300})
    assert len(document.metadata["n"]) == 300


class TestJson:
    @pytest.mark.parametrize("space", [None, 1], ids=["one line", "indented"])
    @pytest.mark.parametrize(
        "wrapped",
        [
            lambda items: items,
            lambda items: {"count": 2, "articles": items},
            lambda items: {"data": {"kind": [1, 2], "children": items, "next": None}},
        ],
        ids=["array", "object", "nested"],
    )
    def test_an_array_of_objects(self, tmp_path: Path, wrapped: Callable[[Any], Any], space: int | None) -> None:
        items = [{"id": "a", "text": "one", "n": 1.5, "big": 10**22}, {"text": "two", "tags": ["x"], "in": {"a": [{}]}}]
        for name, pack in (("x.json", bytes), ("x.json.gz", gzip.compress), ("x", lambda raw: raw)):
            (tmp_path / name).write_bytes(pack(json.dumps(wrapped(items), indent=space).encode()))
            source = read(tmp_path / name)
            assert source.name == "json"
            assert list(source) == [
                Document("a", "one", (), {"n": 1.5, "big": 10**22}),
                Document(f"{name}:2", "two", (), {"tags": ["x"], "in": {"a": [{}]}}),
            ]

    def test_an_object_with_a_text_is_one_document(self, tmp_path: Path) -> None:
        record = {"id": "a", "authors": [{"name": "b"}], "text": "one"}
        (tmp_path / "x.json").write_text(json.dumps(record, indent=2))
        assert list(read(tmp_path / "x.json")) == [Document("a", "one", (), {"authors": [{"name": "b"}]})]

    def test_objects_one_after_the_other(self, tmp_path: Path) -> None:
        (tmp_path / "x.json").write_text("".join(json.dumps({"text": text}, indent=2) + "\n" for text in "ab"))
        assert [document.content for document in read(tmp_path / "x.json")] == ["a", "b"]

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-be", "cp1252"])
    def test_encodings(self, tmp_path: Path, encoding: str) -> None:
        raw = '[{"text": "Grüße aus der großen Küche"}]'.encode(encoding)
        (tmp_path / "x.json").write_bytes(codecs.BOM_UTF32_BE + raw if encoding == "utf-32-be" else raw)
        assert [document.content for document in read(tmp_path / "x.json")] == ["Grüße aus der großen Küche"]

    @pytest.mark.parametrize(
        ("raw", "match"),
        [
            ('[{"text": "a"}, {"text": "b"', "item 2: not JSON .parse error: premature EOF"),
            ('[{"text": "a"}, 3]', "item 2 is 3; each item must be an object"),
            ('[{"text": "a"}, {"text": "b", "text": "c"}]', "item 2: the name 'text' is there twice"),
            ('[{"text": "a"}, {"body": "b"}]', "item 2 has no text, image or vector; it has body"),
            ('[{"text": "a", "in": ' + "[" * 200 + "]" * 200 + "}]", "item 1: nested deeper than 100 levels"),
            ('[{"text": NaN}]', "item 1: not JSON"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path: Path, raw: str, match: str) -> None:
        (tmp_path / "x.json").write_text(raw)
        with pytest.raises(DataError, match=match):
            list(read(tmp_path / "x.json"))

    def test_a_huge_item_is_refused_before_it_is_held(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(json_items, "MAX_ITEM", 200_000)
        (tmp_path / "x.json").write_text(json.dumps([{"text": "a"}] * 50_000))  # together they are longer
        assert sum(1 for _ in read(tmp_path / "x.json")) == 50_000
        (tmp_path / "x.json").write_text(json.dumps([{"text": "a"}, {"text": "b" * 300_000}]))
        with pytest.raises(DataError, match="item 2 is longer than 200,000 bytes"):
            list(read(tmp_path / "x.json"))


def test_json_lines_by_suffix_name_their_first_line(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('// exported 2020\n{"text": "a"}\n')
    with pytest.raises(DataError, match=r"x\.jsonl, line 1: not JSON"):
        list(read(tmp_path / "x.jsonl"))


def test_a_field_inside_of_an_object(tmp_path: Path) -> None:
    record = {"meta": {"key": "a", "year": 1871}, "body": {"text": "one", "lang": "en"}, "a.b": "own"}
    (tmp_path / "x.jsonl").write_text(json.dumps(record))
    metadata = {"meta": {"year": 1871}, "body": {"lang": "en"}, "a.b": "own"}
    assert list(read(tmp_path / "x.jsonl", id="meta.key", text="body.text")) == [Document("a", "one", (), metadata)]
    assert [document.content for document in read(tmp_path / "x.jsonl", text="a.b")] == ["own"]
    with pytest.raises(DataError, match=r"no field 'body\.title' in line 1"):
        list(read(tmp_path / "x.jsonl", text="body.title"))


def test_ids_by_file_and_number(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"id": "1", "text": "a"}\n{"id": "1", "text": "b"}\n')
    assert [document.id for document in read(tmp_path / "x.jsonl", id="file:number")] == ["x.jsonl:1", "x.jsonl:2"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    texts = ["Grüße aus Köln, schöne Straße", "déjà vu, café crème brûlée à la carte", "third"]
    lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    (tmp_path / "x").write_bytes(lines.encode(encoding))
    source = read(tmp_path / "x")
    assert source.name == "jsonl"
    contents = [document.content for document in source]
    assert contents[2] == "third"
    if encoding != "cp1252":
        assert contents == texts


def test_bytes_that_fit_no_encoding_are_replaced_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = '{"text": "zwölf größere Bäume blühen früh"}\n'.encode() * 50
    (tmp_path / "x").write_bytes(lines + b'{"text": "caf\xe9"}\n')
    contents = [document.content for document in read(tmp_path / "x")]
    assert contents[-1] == "caf\ufffd"
    assert "not utf-8, replaced by U+FFFD: 1" in caplog.text


def test_half_a_surrogate_pair_is_replaced_and_a_whole_one_is_not(
    jsonl: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    (document,) = jsonl('{"id": "a", "text": "x\\ud83dy", "more": {"\\uDE00": ["\\ud83d\\ude00"]}}')
    assert document.content == "x�y"
    assert document.metadata == {"more": {"�": ["😀"]}}
    assert "surrogate" in caplog.text


def test_windows_line_ends(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b'{"text": "a"}\r\n\r\n{"text": "b"}\r\n')
    assert [document.id for document in read(tmp_path / "x")] == ["x:1", "x:3"]


def test_a_gzip_file_cut_short(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = "".join(json.dumps({"text": str(rng.random())}) + "\n" for _ in range(20_000))
    packed = gzip.compress(lines.encode())
    (tmp_path / "x.gz").write_bytes(packed[: len(packed) // 2])
    source = read(tmp_path / "x.gz")
    assert next(iter(source)).id == "x.gz:1"
    with pytest.raises(DataError, match=r"x\.gz is cut short"):
        list(source)
    (tmp_path / "x.gz").write_bytes(packed[:-8] + b"\0" * 8)
    with pytest.raises(DataError, match=r"x\.gz is damaged"):
        list(read(tmp_path / "x.gz"))


@pytest.mark.parametrize("name", ["jsonl", "csv", "lines"])
def test_a_line_too_long_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("hashret.readers.decode.MAX_LINE", 2**20)
    bomb = gzip.compress(b'{"text": "' + b"x" * 2**24)
    assert len(bomb) < 2**16
    (tmp_path / "bomb").write_bytes(bomb)
    with pytest.raises(DataError, match="line 1: longer than 1048576 bytes"):
        list(read(tmp_path / "bomb", source=name))
    (tmp_path / "wide").write_bytes(("x" * 2**21).encode("utf-16"))
    with pytest.raises(DataError, match="line 1: longer than 1048576 bytes"):
        list(read(tmp_path / "wide", source="lines"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OWN = {"id", "_id", "title", "text", "image", "vector", "label", "labels"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    records=st.lists(
        st.tuples(
            st.text(min_size=1),
            st.text(),
            st.lists(st.text(min_size=1), unique=True, max_size=3),
            st.dictionaries(st.text().filter(lambda key: key not in OWN), json_values, max_size=3),
        ),
        min_size=1,
    ),
    ascii=st.booleans(),
    packed=st.booleans(),
)
def test_any_record_comes_back(
    tmp_path: Path, records: list[tuple[str, str, list[str], dict[str, Any]]], ascii: bool, packed: bool
) -> None:
    documents = [Document(id, text, tuple(labels), more) for id, text, labels, more in records]
    lines = "".join(
        json.dumps({"id": d.id, "text": d.content, "labels": d.labels, **d.metadata}, ensure_ascii=ascii) + "\n"
        for d in documents
    ).encode()
    (tmp_path / "x").write_bytes(gzip.compress(lines) if packed else lines)
    assert list(read(tmp_path / "x")) == documents


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    junk=st.binary(max_size=300), prefix=st.sampled_from([b"", b'{"text": "a"}\n', b"text,label\na,b\n", b"\x1f\x8b"])
)
def test_junk_is_read_or_refused_in_our_own_words(tmp_path: Path, junk: bytes, prefix: bytes) -> None:
    (tmp_path / "x").write_bytes(prefix + junk)
    for name in (None, "jsonl", "csv", "lines"):
        try:
            list(read(tmp_path / "x", source=name))
        except DataError as error:
            assert "\n" not in str(error)  # noqa: PT017


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1),
    delimiter=st.sampled_from(",;\t|"),
)
def test_any_text_comes_back_from_csv(tmp_path: Path, texts: list[str], delimiter: str) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerows([["id", "text", "label"], *([f"d{n}", text, "l"] for n, text in enumerate(texts))])
    (tmp_path / "x.csv").write_bytes(out.getvalue().encode())
    assert [document.content for document in read(tmp_path / "x.csv", source="csv")] == texts


# CSV


def test_csv_rows_are_records(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('id;title;text;label;year\na;T;"t; and\n""more""";l;1999\n\nb;;t;;\n')
    assert list(read(tmp_path / "x.csv")) == [
        Document("a", 'T\nt; and\n"more"', ("l",), {"title": "T", "year": "1999"}),
        Document("b", "t", (), {"year": ""}),
    ]


def test_csv_of_one_column(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text\nfirst\nsecond\n")
    assert [document.content for document in read(tmp_path / "x.csv")] == ["first", "second"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_csv_as_spreadsheets_write_it(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "x.csv").write_bytes("text\tlabel\r\nGrüße\tä\r\n".encode(encoding))
    assert list(read(tmp_path / "x.csv")) == [Document("x.csv:1", "Grüße", ("ä",))]


def test_csv_that_does_not_fit_its_header(tmp_path: Path) -> None:
    for rows, match in [
        ("a,b,c,d", "row 2 .line 3. has 4 fields, the header 3"),
        ('"a,b,c', "row that starts at line 3: a quote is never closed"),
        ('"a"b,c,d', "starts at line 3: .* expected after"),
    ]:
        (tmp_path / "x.csv").write_text(f"id,text,label\na,b,c\n{rows}\n")
        with pytest.raises(DataError, match=match):
            list(read(tmp_path / "x.csv"))
    (tmp_path / "x.csv").write_text("id,text,text\na,b,c\n")
    with pytest.raises(DataError, match="duplicate field names"):
        list(read(tmp_path / "x.csv"))
    (tmp_path / "x.csv").write_text("id,body\na,b\n")
    with pytest.raises(DataError, match="row 1 has no text, image or vector; it has id, body"):
        list(read(tmp_path / "x.csv"))


def test_csv_fields_may_be_long(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"id,text\na,{'x' * 200_000}\n")
    (document,) = read(tmp_path / "x.csv")
    assert document.content == "x" * 200_000


def test_prose_with_commas_is_no_csv(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("Some text, and more.\nAnother line, and more.\nA third, too.\n")
    assert read(tmp_path / "x.txt").name == "lines"


@pytest.mark.parametrize(
    ("rows", "texts"),
    [
        ('"wheat ship\ncourt ship\ngrain reef"\nstorm\n', ['"wheat ship', "court ship", 'grain reef"', "storm"]),
        ('"quoted"\n"a ""word"" in it"\n"a\ttab"\n', ["quoted", 'a "word" in it', "a\ttab"]),
        ('"Hello" he said\n6" nails\n"\n', ['"Hello" he said', '6" nails', '"']),
        ('"open', ['"open']),
    ],
)
def test_quotes_in_tsv(tmp_path: Path, rows: str, texts: list[str]) -> None:
    """A quote that is not closed in its row is a character, and swallows no row."""
    numbered = "".join(f"{number}\t{row}\n" for number, row in enumerate(rows.splitlines()))
    (tmp_path / "x.tsv").write_text(f"id\ttext\n{numbered}")
    assert [document.content for document in read(tmp_path / "x.tsv")] == texts


def test_a_quoted_field_of_tsv_with_line_breaks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "x.tsv").write_text('id\ttext\tlabel\n1\t"two\n\nlines"\ta\n2\tone\tb\n3\t"open\tc\n4\tlast\td\n')
    assert [(d.id, d.content, d.labels) for d in read(tmp_path / "x.tsv")] == [
        ("1", "two\n\nlines", ("a",)),
        ("2", "one", ("b",)),
        ("3", '"open', ("c",)),
        ("4", "last", ("d",)),
    ]
    assert "rows with an unmatched quote, which was read as a character: 1" in caplog.text


def test_a_tsv_row_that_does_not_fit_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text('id\ttext\n1\t"open\nrest\tof\tit\n')
    with pytest.raises(DataError, match=r"row 2 \(line 3\) has 3 fields, the header 2"):
        list(read(tmp_path / "x.tsv"))


class TestTables:
    def documents(self, path: Path, table: str, /, **named: Any) -> list[tuple[str, Any]]:
        path.write_text(table, newline="")
        return [(document.id, document.content) for document in read(path, **named)]

    def test_short_rows_are_named_and_kept_if_they_have_a_text(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        rows = "1,a,x\n2,b\n3\n4,c,\n5,d,y,,\n"
        found = self.documents(tmp_path / "x.csv", f"id,text,note\n{rows}")
        assert found == [("1", "a"), ("2", "b"), ("4", "c"), ("5", "d")]
        assert "rows with fewer fields than the header, kept: 1 (row 2)" in caplog.text
        assert "rows with fewer fields than the header and without a content, skipped: 1 (row 3)" in caplog.text

    @pytest.mark.parametrize("named", [{"text": "note"}, {"label": "note"}])
    def test_a_short_row_without_a_named_field_is_skipped(
        self, tmp_path: Path, named: dict[str, str], caplog: pytest.LogCaptureFixture
    ) -> None:
        found = self.documents(tmp_path / "x.csv", "id,text,note\n1,a,x\n2,b\n", **named)
        assert [id for id, _ in found] == ["1"]
        assert "skipped: 1 (row 2)" in caplog.text

    def test_what_stands_before_the_header(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        rows = [("1", "a, b"), ("2", "c")]
        for name, text in {
            "excel.csv": "sep=;\r\nid;text\r\n1;a, b\r\n2;c\r\n",
            "comments.csv": '# exported 2020, by hand\n#\n\nid,text\n1,"a, b"\n# a remark\n2,c\n',
            "hash.tsv": "#id\ttext\n1\ta, b\n2\tc\n",
            "both.csv": 'sep=,\n# one\nid,text\n1,"a, b"\n2,c\n',
        }.items():
            assert self.documents(tmp_path / name, text) == rows, name
        assert "lines that begin with # and are no rows, skipped: 1 (row 2)" in caplog.text

    def test_rows_that_end_with_a_carriage_return(self, tmp_path: Path) -> None:
        assert self.documents(tmp_path / "x.csv", 'id,text\r1,a\r2,"b, c"\r3,d') == [
            ("1", "a"),
            ("2", "b, c"),
            ("3", "d"),
        ]
        assert self.documents(tmp_path / "x.tsv", "id\ttext\r1\ta\r") == [("1", "a")]
        assert [text for _, text in self.documents(tmp_path / "x.txt", "one\rtwo\r\rthree")] == ["one", "two", "three"]

    def test_a_table_without_a_header(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        found = self.documents(tmp_path / "x.csv", "007,NA,x\n008,null,y\n", id="1", text="2", has_header=False)
        assert found == [("007", "NA"), ("008", "null")]
        with pytest.raises(DataError, match="row 1 has no text, image or vector; it has 1, 2, 3; choose a field"):
            self.documents(tmp_path / "x.csv", "007,NA,x\n008,null,y\n", has_header=False)
        with pytest.raises(DataError, match="row 1 has no text, image or vector; it has 007, NA"):
            self.documents(tmp_path / "x.csv", "007,NA\n008,null\n")

    def test_numbers_and_dates_stay_as_they_are(self, tmp_path: Path) -> None:
        (tmp_path / "x.csv").write_text("id,text,n\n007,NA,1e5\n1.0,null,01/02/03\n")
        assert list(read(tmp_path / "x.csv")) == [
            Document("007", "NA", (), {"n": "1e5"}),
            Document("1.0", "null", (), {"n": "01/02/03"}),
        ]

    def test_an_open_quote_names_the_row_where_it_opens(self, tmp_path: Path) -> None:
        rows = "".join(f"{n},row\n" for n in range(10))
        with pytest.raises(DataError, match="the row that starts at line 3: a quote is never closed"):
            self.documents(tmp_path / "x.csv", f'id,text\n6,six\n7,"open\n{rows}')


def test_an_unclosed_quote_of_csv_names_the_row_where_it_opens(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('id,text\n1,a\n2,"b\n3,c\n4,d\n')
    with pytest.raises(DataError, match=r"row that starts at line 3: a quote is never closed"):
        list(read(tmp_path / "x.csv"))


# Parquet


def test_parquet_rows_are_records(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [
        {
            "id": n,
            "text": f"t{n}",
            "labels": ["a", "b"],
            "day": datetime.date(2020, 1, 2),
            "raw": b"\xff",
            "n": {"x": 1.5},
        }
        for n in range(1000)
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "x")
    source = read(tmp_path / "x")
    assert source.count() == 1000
    documents = list(source)
    assert len(documents) == 1000
    assert documents[3] == Document("3", "t3", ("a", "b"), {"day": "2020-01-02", "raw": "/w==", "n": {"x": 1.5}})
    with pytest.raises(DataError, match="no field 'topic' in row 1"):
        list(read(tmp_path / "x", label="topic"))


def test_parquet_vectors_and_nulls(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(
        pyarrow.table({"vector": [[1.0, 2.0]], "text": [None], "label": [float("nan")]}), tmp_path / "x"
    )
    (document,) = read(tmp_path / "x")
    assert array_of(document).tolist() == [1, 2]
    assert document.labels == ()


def test_parquet_values_that_json_does_not_have(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    nanosecond, far = (
        arrow.array([1_600_000_000_123_456_789], arrow.timestamp("ns")),
        arrow.array([10**7], arrow.date32()),
    )
    table = {
        "text": arrow.array(["Füße".encode()]),
        "nanosecond": nanosecond,
        "zoned": nanosecond.cast(arrow.timestamp("ns", "Europe/Paris")),
        "times": arrow.array([[1_600_000_000_123_456_789, None]], arrow.list_(arrow.timestamp("ns"))),
        "far": far,
        "day": arrow.array([datetime.date(2020, 1, 2)]),
        "moment": arrow.array([datetime.datetime(2020, 1, 2, 3, 4, 5, 6)]),
        "time": arrow.array([10**9], arrow.time64("ns")),
        "took": arrow.array([1_000_000_001], arrow.duration("ns")),
        "price": arrow.array([decimal.Decimal("1.50")]),
        "struct": arrow.array([{"day": datetime.date(2020, 1, 2), "raw": b"\xff\xfe"}]),
        "map": arrow.array([[("a", b"b")]], arrow.map_(arrow.string(), arrow.binary())),
        "fixed": arrow.array([b"abcd"], arrow.binary(4)),
        "kind": arrow.array(["x"]).dictionary_encode(),
        "lists": arrow.array([[[b"a"], None, []]]),
        "half": arrow.array([1.5], arrow.float16()),
    }
    parquet.write_table(arrow.table(table), tmp_path / "x")
    (document,) = read(tmp_path / "x")
    assert document.content == "Füße"
    assert document.metadata == {
        "nanosecond": "2020-09-13 12:26:40.123456789",
        "zoned": "2020-09-13 12:26:40.123456789",
        "times": ["2020-09-13 12:26:40.123456789", None],
        "far": "29349-01-26",
        "day": "2020-01-02",
        "moment": "2020-01-02 03:04:05.000006",
        "time": "00:00:01",
        "took": "1000000001 ns",
        "price": "1.50",
        "struct": {"day": "2020-01-02", "raw": "//4="},
        "map": [["a", "b"]],
        "fixed": "abcd",
        "kind": "x",
        "lists": [["a"], None, []],
        "half": 1.5,
    }


def test_parquet_lists_of_numbers(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    numbers = np.random.default_rng(0).random((3000, 300)).astype(np.float32)
    table = {
        "vector": list(numbers),
        "fixed": arrow.array([[1, 2]] * 3000, arrow.list_(arrow.int16(), 2)),
        "ragged": [[1] * (n % 3) for n in range(3000)],
        "gaps": [[1.5, None], *[[2.5, 3.5]] * 2999],
        "last": list(range(3000)),
    }
    parquet.write_table(arrow.table(table), tmp_path / "x")
    documents = list(read(tmp_path / "x"))
    np.testing.assert_array_equal([document.content for document in documents], numbers)
    assert list(documents[4].metadata.items()) == [
        ("fixed", [1, 2]),
        ("ragged", [1]),
        ("gaps", [2.5, 3.5]),
        ("last", 4),
    ]
    assert documents[0].metadata["gaps"] == [1.5, None]


def test_an_image_that_cannot_be_decoded_costs_one_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "x.jsonl").write_text('{"image": "good.png"}\n{"image": "bad.png"}\n')
    source = read(tmp_path / "x.jsonl")
    for _ in range(2):
        assert [document.id for document in source] == ["x.jsonl:1"]
    assert len(caplog.messages) == 1
    assert "skipped 1 file that cannot be read: bad.png (" in caplog.text
    with pytest.raises(DataError, match=r"cannot read .*bad\.png: "):
        list(read(tmp_path / "x.jsonl", strict=True))
    (tmp_path / "x.jsonl").write_text('{"image": "bad.png"}\n')
    with pytest.raises(DataError, match=r"no documents in .*bad\.png \("):
        list(read(tmp_path / "x.jsonl"))


def test_parquet_rows_in_slices_and_with_nulls(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    days: list[Any] = [None if n % 3 == 0 else [datetime.date(2020, 1, 1 + n % 28)] * (n % 4) for n in range(700)]
    pairs = [None if n % 5 == 0 else {"a": [{"b": b"%d" % n}], "n": n} for n in range(700)]
    parquet.write_table(
        arrow.table({"text": [str(n) for n in range(700)], "days": arrow.array(days), "pairs": arrow.array(pairs)}),
        tmp_path / "x",
    )
    for number, document in enumerate(read(tmp_path / "x")):
        wanted = days[number] and [str(day) for day in days[number]]
        assert document.metadata["days"] == wanted
        pair = pairs[number] and {"a": [{"b": str(number)}], "n": number}
        assert document.metadata["pairs"] == pair


def test_parquet_bytes_that_are_no_text_are_refused_by_the_name_of_their_column(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"id": [b"\xff\xfe"], "body": [b"caf\xe9"]}), tmp_path / "x")
    with pytest.raises(DataError, match=r"x, row 1: 'body' holds bytes that are not UTF-8 text"):
        list(read(tmp_path / "x", text="body"))
    broken = arrow.array([b"good", b"caf\xe9"]).view(arrow.string())
    parquet.write_table(arrow.table({"text": broken, "tags": arrow.array([["a"], ["b"]])}), tmp_path / "x")
    source = iter(read(tmp_path / "x"))
    assert next(source).content == "good"
    with pytest.raises(DataError, match=r"x, row 2: 'text' holds bytes that are not UTF-8 text"):
        next(source)
    lists = arrow.ListArray.from_arrays([0, 1, 2], broken)
    parquet.write_table(arrow.table({"text": ["a", "b"], "tags": lists}), tmp_path / "x")
    assert [document.metadata["tags"] for document in read(tmp_path / "x")] == [["good"], ["Y2Fm6Q=="]]
    parquet.write_table(arrow.table({"id": [b"\xff\xfe"], "text": ["text"]}), tmp_path / "x")
    (document,) = read(tmp_path / "x")
    assert document.id == "//4="


def test_parquet_that_is_damaged(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "x").write_bytes(b"PAR1" + b"\x15\x04" * 300 + b"PAR1")
    for use in (list, lambda source: source.count()):
        with pytest.raises(DataError, match="cannot be read as Parquet"):
            use(read(tmp_path / "x"))


def test_parquet_without_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "x").write_bytes(b"PAR1")
    with pytest.raises(MissingExtra, match=r"pip install 'hashret\[parquet\]'"):
        list(read(tmp_path / "x"))


# BEIR


def test_beir_gives_corpus_queries_and_judgements(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "corpus.jsonl.gz", "wt") as stream:
        stream.write('{"_id": "d", "title": "T", "text": "t", "metadata": {}}\n{"title": "", "text": "u"}\n')
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "what"}\n')
    (tmp_path / "qrels").mkdir()
    for name in ("train.tsv", "test.tsv", ".hidden"):
        (tmp_path / "qrels" / name).touch()
    source = read(tmp_path)
    assert isinstance(source, Beir)
    first = Document("d", "T\nt", (), {"title": "T", "metadata": {}})
    assert list(source) == [first, Document("corpus.jsonl.gz:2", "u")]
    assert list(source.queries) == [Document("q", "what")]
    assert [path.name for path in source.qrels] == ["test.tsv", "train.tsv"]


def test_beir_without_queries(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d", "text": "t"}\n')
    (tmp_path / "qrels").mkdir()
    source = read(tmp_path)
    assert isinstance(source, Beir)
    assert source.qrels == []
    with pytest.raises(DataError, match=r"no queries\.jsonl"):
        assert source.queries


# Standard input


def test_standard_input_is_read_once_and_iterated_often(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    stream = io.BytesIO(b'{"text": "a"}\n\n{"text": "b"}\n')
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))
    source = read("-")
    assert stream.tell() == 0
    for _ in range(2):
        assert list(source) == [Document("stdin:1", "a"), Document("stdin:3", "b")]


def test_standard_input_says_where_it_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"no json\n")))
    with pytest.raises(DataError, match="stdin, line 1: not JSON"):
        list(read("-"))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"")))
    with pytest.raises(DataError, match="no documents in -"):
        assert read("-").kind


# Lines


def test_lines_are_documents_with_their_number(tmp_path: Path) -> None:
    (tmp_path / "notes").write_bytes("first \n\n \t\nsecond, with ü\nlast".encode())
    assert list(read(tmp_path / "notes")) == [
        Document("notes:1", "first"),
        Document("notes:4", "second, with ü"),
        Document("notes:5", "last"),
    ]
    with pytest.raises(UsageError, match="has no fields"):
        read(tmp_path / "notes", fields=Fields(text=("body",)))


def test_a_path_given_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("a\nb\n")
    assert len(list(read(tmp_path / "x.txt", Path(str(tmp_path) + "/./x.txt")))) == 2
