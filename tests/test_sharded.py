"""A folder of files of records: the shards of one collection."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hashret
from hashret.documents import Document
from hashret.errors import DataError, DuplicateIds, UsageError
from hashret.index import Index
from hashret.readers import read

from .test_archives import tarred, zipped


def lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def test_the_records_of_all_files_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "part-1.jsonl").write_text(lines({"id": "2", "text": "two"}, {"text": "three"}))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines({"id": "1", "text": "one", "n": 1}).encode()))
    (tmp_path / "README.md").write_text("What this is.")
    source = read(tmp_path)
    assert source.name == "shards"
    assert list(source) == [
        Document("1", "one", (), {"n": 1}),
        Document("2", "two"),
        Document("b/part-1.jsonl:2", "three"),
    ]


def test_tables_and_fields(tmp_path: Path) -> None:
    for name in ("2024", "2025"):
        (tmp_path / f"{name}.csv").write_text(f"key,body\n{name}-1,wheat {name}\n")
    found = [(document.id, document.content) for document in read(tmp_path, id="key", text="body")]
    assert found == [("2024-1", "wheat 2024"), ("2025-1", "wheat 2025")]
    (tmp_path / "2026.csv").write_text("2026-1,wheat 2026\n")
    with pytest.raises(DataError, match=r"2024.csv: no field '1' in row 1"):
        list(read(tmp_path, id="1", text="2"))
    assert len(list(read(tmp_path, id="1", text="2", has_header=False))) == 5


def test_fields_may_differ_between_files(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_text(lines({"id": "1", "text": "one", "note": "n"}))
    (tmp_path / "2.jsonl").write_text(lines({"id": "2", "text": "two"}))
    (tmp_path / "3.jsonl").write_text(lines({"id": "3", "text": "three", "note": ["a"]}))
    assert [document.metadata for document in read(tmp_path)] == [{"note": "n"}, {}, {"note": ["a"]}]


def test_folders_named_key_value_are_fields_of_texts(tmp_path: Path) -> None:
    for code in ("01001", "2A001", "__HIVE_DEFAULT_PARTITION__", "a%2Fb"):
        (tmp_path / f"code={code}").mkdir()
        (tmp_path / f"code={code}" / "part.jsonl").write_text(lines({"id": code, "text": "wheat"}))
    found = {document.id: document.metadata["code"] for document in read(tmp_path)}
    assert found == {"01001": "01001", "2A001": "2A001", "__HIVE_DEFAULT_PARTITION__": None, "a%2Fb": "a/b"}


def test_parquet(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for year in ("1871", "1872"):
        (tmp_path / f"year={year}").mkdir()
        table = arrow.table({"id": [f"{year}-{n}" for n in range(3)], "text": ["wheat"] * 3})
        parquet.write_table(table, tmp_path / f"year={year}" / "0.parquet")
    source = read(tmp_path, label="year")
    assert source.count() == 6
    assert [(document.id, document.labels) for document in source][2:4] == [
        ("1871-2", ("1871",)),
        ("1872-0", ("1872",)),
    ]


def test_one_object_a_file(tmp_path: Path) -> None:
    for name, space in (("a", None), ("b", 1)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"text": name, "tags": [{"x": 1}]}, indent=space))
    assert [(document.id, document.content) for document in read(tmp_path)] == [("a.json:1", "a"), ("b.json:1", "b")]


def test_ids_that_begin_again_are_refused_with_the_names_of_the_files(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("jan", "feb"):
        records = [{"id": str(n), "text": f"wheat was dear in {name} {n}"} for n in range(3)]
        (source / f"{name}.jsonl").write_text(lines(*records))
    with pytest.raises(DuplicateIds, match=r"'0' \(in feb.jsonl and jan.jsonl\).*id='file:number' makes ids"):
        Index.create(tmp_path / "index", source, encoder="lsh")
    assert not (tmp_path / "index").exists()
    with Index.create(tmp_path / "index", read(source, id="file:number"), encoder="lsh") as index:
        assert index.ids[0] == "feb.jsonl:1"
        assert len(index) == 6


def test_files_of_two_formats_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines({"text": "one"}))
    (tmp_path / "b.csv").write_text("id,text\n1,a\n")
    with pytest.raises(DataError, match="holds files of jsonl and csv; read them one by one"):
        list(read(tmp_path))


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(lines({"text": "one"}))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.jsonl").write_text('{"text" "b"}\n')
    with pytest.raises(DataError, match=r"sub/b.jsonl, line 1: not JSON"):
        list(read(tmp_path))
    with pytest.raises(UsageError, match="label cannot be 'folder'"):
        read(tmp_path, label="folder")


def test_strict_refuses_what_would_be_skipped(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.jsonl").write_text(lines({"text": "one"}))
    (tmp_path / "README.md").write_text("What this is.")
    assert len(list(read(tmp_path))) == 2
    with pytest.raises(DataError, match=r"cannot read .*README\.md: no records"):
        list(read(tmp_path, strict=True))


def test_a_folder_of_texts_stays_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.txt", "b.md", "c.txt"):
        (tmp_path / name).write_text("wheat, barley\nand rye")
    (tmp_path / "d.csv").write_text("id,text\n1,wheat\n")
    source = hashret.read(tmp_path)
    assert source.name == "texts"
    assert len(list(source)) == 4
    assert "files of records, each read as one text; read them by themselves" in caplog.text


def test_records_of_a_zip_or_tar_file(tmp_path: Path) -> None:
    rows = {"train.csv": "id,text\na,wheat\nb,rye\n", "more/test.csv": "id,text\nc,barley\n"}
    (tmp_path / "a.zip").write_bytes(zipped([(name, table.encode()) for name, table in rows.items()]))
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(tarred([(name, table.encode()) for name, table in rows.items()])))
    for name in ("a.zip", "a.tar.gz"):
        source = read(tmp_path / name)
        assert source.name == "shards"
        assert list(source) == list(source) == [Document("a", "wheat"), Document("b", "rye"), Document("c", "barley")]
    packed = gzip.compress(lines({"text": "wheat"}, {"text": "rye"}).encode())
    (tmp_path / "b.zip").write_bytes(zipped([("x/part.jsonl.gz", packed)]))
    assert [document.id for document in read(tmp_path / "b.zip")] == [f"b.zip!/x/part.jsonl.gz:{n}" for n in (1, 2)]
    (tmp_path / "c.zip").write_bytes(zipped([("x.jsonl", b'{"text" "a"}')]))
    with pytest.raises(DataError, match=r"c.zip!/x.jsonl, line 1: not JSON"):
        list(read(tmp_path / "c.zip", source="shards"))


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_a_compressed_table(tmp_path: Path, suffix: str) -> None:
    packs: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    pack = packs[suffix]
    item = '{"id": 1, "text": "wheat"}'
    for name, raw in (("a.csv", "id,text\n1,wheat\n"), ("a.jsonl", item), ("a.json", f"[{item}]")):
        (tmp_path / f"{name}.{suffix}").write_bytes(pack(raw.encode()))
        assert list(read(tmp_path / f"{name}.{suffix}")) == [Document("1", "wheat")]
    (tmp_path / f"a.txt.{suffix}").write_bytes(pack(b"one\ntwo\n"))
    assert [document.content for document in read(tmp_path / f"a.txt.{suffix}")] == ["one", "two"]
    if suffix != "bz2":  # no block of it is complete
        (tmp_path / f"b.csv.{suffix}").write_bytes(pack(b"id,text\n" + b"1,wheat\n" * 9000)[:-30])
        with pytest.raises(DataError, match=r"is cut short|is damaged"):
            list(read(tmp_path / f"b.csv.{suffix}"))
