"""Filters, SQL and export: what holds for each document, compared with Python's own answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hashret
from hashret import columns
from hashret.errors import UsageError
from hashret.filters import matching, parse

pytest.importorskip("duckdb")
pytest.importorskip("sqlglot")
pa = pytest.importorskip("pyarrow")

N = 60


def records() -> list[dict[str, Any]]:
    rows = []
    for n in range(N):
        row: dict[str, Any] = {"id": f"d{n}", "text": f"wheat {n} harvest {n % 7}", "label": "abc"[n % 3]}
        row |= {"draft": n % 2 == 0, "price": n / 3, "tags": ["x", "y"][: n % 3], "mixed": n if n % 2 else str(n)}
        if n % 5:
            row["year"] = 1850 + n
        if n % 4:
            row["author"] = ["Darwin", "Huxley", "O'Hara"][n % 3]
        row["number"] = n if n % 2 else n + 0.5
        if n == 7:
            row |= {"rare": "once", "Year": 3, "with space": 1, "nested": {"a": 1}, "a.b": True}
        rows.append(row)
    return rows


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[hashret.Index]:
    path = tmp_path_factory.mktemp("filters") / "index"
    with hashret.Index.create(path, records()[:40], bits=16, encoder="lsh", vectorizer="tfidf") as made:
        made.add([*records()[40:], {"id": "gone", "text": "wheat", "year": 1900, "draft": True}])
        made.delete("gone")
        yield made


HOLDS: list[tuple[str, Callable[[dict[str, Any]], bool]]] = [
    ("year >= 1871 and author = 'Darwin'", lambda d: d.get("year", 0) >= 1871 and d.get("author") == "Darwin"),
    ("author != 'Darwin'", lambda d: d.get("author") != "Darwin"),
    ("author <> 'Darwin'", lambda d: d.get("author") != "Darwin"),
    ("not author = 'Darwin'", lambda d: d.get("author") != "Darwin"),
    ("NOT (year > 1880)", lambda d: not d.get("year", 0) > 1880),
    ("not not year > 1880", lambda d: d.get("year", 0) > 1880),
    ("author = 'O''Hara'", lambda d: d.get("author") == "O'Hara"),
    ("author like '%u%'", lambda d: "u" in d.get("author", "")),
    ("author not like '%u%'", lambda d: "u" not in d.get("author", "")),
    ("author not ilike 'HUX%'", lambda d: d.get("author") != "Huxley"),
    ("year not between 1850 and 1880", lambda d: not 1850 <= d.get("year", 0) <= 1880),
    ("author ilike 'HUX___'", lambda d: d.get("author") == "Huxley"),
    ("draft", lambda d: d["draft"]),
    ("draft = false", lambda d: not d["draft"]),
    ("draft is true", lambda d: d["draft"]),
    ("price between 1 and 3.5", lambda d: 1 <= d["price"] <= 3.5),
    ("price < -1", lambda d: False),
    ("number = 3 or number = 4.5", lambda d: d["number"] in (3, 4.5)),
    ("number >= 4.5", lambda d: d["number"] >= 4.5),
    ("tags = 'y'", lambda d: "y" in d["tags"]),
    ("tags != 'y'", lambda d: "y" not in d["tags"]),
    ("tags in ('x', 'z')", lambda d: "x" in d["tags"]),
    ("tags like 'X'", lambda d: False),
    ("tags is null", lambda d: not d["tags"]),
    ("label in ('a', 'b')", lambda d: d["label"] in "ab"),
    ("label > 'a'", lambda d: d["label"] > "a"),
    ("mixed = 5", lambda d: d["mixed"] == 5),
    ("mixed = '4'", lambda d: d["mixed"] == "4"),
    ("mixed = 4", lambda d: False),
    ("mixed in (5, '4', 7)", lambda d: d["mixed"] in (5, "4", 7)),
    ("year is null", lambda d: "year" not in d),
    ("year is not null and year < 1860", lambda d: d.get("year", 9999) < 1860),
    ("year not in (1851, 1852)", lambda d: d.get("year") not in (1851, 1852)),
    ("id like 'd1%'", lambda d: d["id"].startswith("d1")),
    ("1871 <= year", lambda d: d.get("year", 0) >= 1871),
    ("'d5' = id", lambda d: d["id"] == "d5"),
    ("rare = 'once'", lambda d: "rare" in d),
    ("\"Year\" = 3", lambda d: "Year" in d),
    ("Year = 3", lambda d: "Year" in d),
    ("\"with space\" = 1", lambda d: "with space" in d),
    ("a.b", lambda d: "a.b" in d),
    ("nested is not null", lambda d: "nested" in d),
    ("draft and (year < 1860 or label = 'c') and not tags = 'x'",
     lambda d: d["draft"] and (d.get("year", 9999) < 1860 or d["label"] == "c") and "x" not in d["tags"]),
]  # fmt: skip


@pytest.mark.parametrize(("where", "holds"), HOLDS, ids=[where for where, _ in HOLDS])
def test_a_filter_finds_what_holds(where: str, holds: Callable[[dict[str, Any]], bool], index: hashret.Index) -> None:
    wanted = {row["id"] for row in records() if holds(row)}
    everything = index.search("wheat", k=N)
    found = index.search("wheat", k=N, where=where)
    assert {hit.id for hit in found} == wanted
    assert [(hit.id, hit.score) for hit in found] == [(h.id, h.score) for h in everything if h.id in wanted]
    assert {hit.id for hit in index.search("wheat", k=N, by="codes", where=where)} == wanted
    assert {hit.id for hit in index.within("wheat", radius=16, where=where)} == wanted
    assert {hit.id for hit in index.search_codes(index.codes[:1], k=N, where=where)[0]} == wanted
    assert {hit.id for hit in index.like("d3", k=N, where=where)} == wanted - {"d3"}


def test_labels_and_a_filter_both_hold(index: hashret.Index) -> None:
    found = index.search("wheat", k=N, labels="a", where="draft")
    assert {hit.id for hit in found} == {row["id"] for row in records() if row["label"] == "a" and row["draft"]}
    assert index.search("wheat", where="year > 9999") == []


def test_a_filter_follows_changes(tmp_path: Path) -> None:
    with hashret.Index.create(tmp_path / "index", records(), bits=16, encoder="lsh", vectorizer="tfidf") as index:
        assert len(index.search("wheat", k=99, where="label = 'a'")) == 20
        index.delete("d0")
        assert len(index.search("wheat", k=99, where="label = 'a'")) == 19
        index.add([{"id": "new", "text": "wheat", "label": "a", "fresh": True}])
        assert len(index.search("wheat", k=99, where="label = 'a'")) == 20
        assert [hit.id for hit in index.search("wheat", where="fresh")] == ["new"]
        index.compact()
        assert [hit.id for hit in index.search("wheat", where="fresh")] == ["new"]
        assert len(index.search("wheat", k=99, where="rare = 'once' or \"Year\" = 3")) == 1
        assert hashret.verify(tmp_path / "index") == []


WRONG = [
    ("year = '1871'", "field 'year' holds numbers, and is compared with '1871'; use year = 1871"),
    ("author = 3", "field 'author' holds texts, and is compared with 3; use author = 'Darwin'"),
    ("nested = 'a'", "field 'nested' holds objects or other lists, and is compared with 'a'; it cannot be compared"),
    ("author = Darwin", "texts have single quotes: 'Darwin'"),
    ("writer = 'x'", "no document has the field 'writer'; fields: Year, a.b, author,"),
    ("year >=", "cannot parse the filter 'year >='"),
    ("year = ", "cannot parse the filter"),
    ("1 = 1", "'1' is not allowed in a filter"),
    ("year + 1 = 2", "is not allowed in a filter"),
    ("year = (select 1)", "is not allowed in a filter"),
    ("id in (select id from documents)", "is not allowed in a filter"),
    ("exists (select 1)", "is not allowed in a filter"),
    ("id = read_text('x')", "is not allowed in a filter"),
    ("year = 1; drop table documents", "must be one condition"),
    ("select 1", "is not allowed in a filter"),
    ("year between symmetric 3 and 1", "is not allowed in a filter"),
    ("author like 'a' escape '!'", "is not allowed in a filter"),
    ("author like any ('a', 'b')", "is not allowed in a filter"),
    ("year in unnest(tags)", "is not allowed in a filter"),
    ("author collate nocase = 'x'", "is not allowed in a filter"),
    ("year::text = '1'", "is not allowed in a filter"),
    ("tags[1] = 'x'", "is not allowed in a filter"),
    ("draft > true", "field 'draft' is true or false and has no order"),
    ("year = null", "nothing equals null; use `is null`"),
    ("author like 3", "like needs a text in single quotes, got 3"),
    ("'x'", "is not allowed in a filter"),
    ("", "a filter must be a condition"),
    ("(" * 5000 + "draft" + ")" * 5000, "is nested too deeply"),
]


@pytest.mark.parametrize(("where", "message"), WRONG, ids=[where[:30] for where, _ in WRONG])
def test_anything_else_is_refused(where: str, message: str, index: hashret.Index) -> None:
    with pytest.raises(UsageError) as error:
        index.search("wheat", where=where)
    assert message in str(error.value)
    assert len(str(error.value)) < 400


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=5),
    st.lists(st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


@given(st.lists(st.fixed_dictionaries({}, optional={"f": VALUES, "g": VALUES}), max_size=30))
@settings(max_examples=60, deadline=None)
def test_columns_keep_every_value(metadata: list[dict[str, Any]]) -> None:
    from hashret.filters.table import array

    for key in columns.kinds_of(metadata):
        made = columns.column(key, metadata)
        again = made if key[1] == "json" else columns.restored(key[1], len(metadata), made.data())
        values = array(again).to_pylist()
        for value, own in zip(values, metadata, strict=True):
            mine = own.get(key[0])
            if columns.kind_of(mine) != key[1]:
                assert value is None
            elif key[1] == "json":
                assert json.loads(value) == mine
            else:
                assert value == (float(mine) if key[1] == "float" else mine)  # type: ignore[arg-type]


def test_damaged_columns_are_refused() -> None:
    data = columns.column(("f", "text"), [{"f": "ab"}, {}, {"f": "c"}]).data()
    assert columns.restored("text", 3, data).rows == 3
    for wrong in (data[:8], data[:20], np.concatenate([data[:16], np.full(8, 255, np.uint8), data[24:]])):
        with pytest.raises(ValueError):
            columns.restored("text", 3, wrong)


def test_a_filter_reads_no_files_and_no_other_tables(tmp_path: Path, index: hashret.Index) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    for query in (
        f"SELECT * FROM '{secret}'",
        f"SELECT * FROM read_csv('{secret}')",
        f"SELECT content FROM read_text('{secret}')",
        f"COPY documents TO '{tmp_path / 'out.csv'}'",
        f"ATTACH '{tmp_path / 'other.db'}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SELECT * FROM records",  # a variable of this module
        "SELECT nonsense",
    ):
        with pytest.raises(UsageError, match="the query failed"):
            index.sql(query)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.csv"]


def test_sql_sees_documents_labels_and_codes(index: hashret.Index) -> None:
    [row] = index.sql("SELECT count(*) AS n, min(position) AS first, max(position) AS last FROM documents")
    assert row == {"n": N, "first": 0, "last": N - 1}
    assert index.sql("SELECT id FROM documents ORDER BY position") == [{"id": id} for id in index.ids]
    found = index.sql("SELECT label, count(*) AS n FROM labels GROUP BY label ORDER BY label")
    assert found == [{"label": label, "n": 20} for label in "abc"]
    [row] = index.sql("SELECT text, year, tags, number, mixed FROM documents WHERE id = 'd8'")
    assert row == {"text": "wheat 8 harvest 1", "year": 1858, "tags": ["x", "y"], "number": 8.5, "mixed": '"8"'}
    distances = index.sql(
        "SELECT bit_count(xor(a.code, b.code)) AS d FROM codes a, codes b WHERE a.id = 'd0' ORDER BY b.position"
    )
    wanted = np.unpackbits(index.codes[:1] ^ index.codes, axis=1).sum(axis=1)
    assert [row["d"] for row in distances] == wanted.tolist()


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_export_holds_all_documents(ending: str, index: hashret.Index, tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    file = tmp_path / f"all.{ending}"
    assert index.export(file) == N
    table = parquet.read_table(file) if ending == "parquet" else pa.ipc.open_file(str(file)).read_all()
    assert table.equals(index.to_arrow().cast(table.schema))
    assert table["id"].to_pylist() == index.ids
    assert [tuple(own) for own in table["labels"].to_pylist()] == index.labels
    assert b"".join(table["code"].to_pylist()) == index.codes.tobytes()
    assert table["text"].to_pylist() == [row["text"] for row in records()]
    assert table["year"].to_pylist() == [row.get("year") for row in records()]
    assert json.loads(table["nested"].to_pylist()[7]) == {"a": 1}
    with pytest.raises(UsageError, match="exists"):
        index.export(file)
    assert index.export(file, force=True) == N
    with pytest.raises(UsageError, match=r"must end in .parquet or .arrow, got 'all.csv'"):
        index.export(tmp_path / "all.csv")
    with pytest.raises(hashret.HashretError, match="cannot write"):
        index.export(tmp_path / "nowhere" / f"all.{ending}")
    assert [path.name for path in tmp_path.iterdir()] == [f"all.{ending}"]


def test_fields_named_like_columns_keep_both(tmp_path: Path) -> None:
    rows = [{"id": f"v{n}", "vector": [n, 1.0, 2.0], "code": f"c{n}", "position": -n} for n in range(5)]
    with hashret.Index.create(tmp_path / "index", rows, bits=8, encoder="lsh") as index:
        table = index.to_arrow()
        assert table["position"].to_pylist() == [0, 1, 2, 3, 4]
        assert table["position_"].to_pylist() == [0, -1, -2, -3, -4]
        assert table["code_"].to_pylist() == ["c0", "c1", "c2", "c3", "c4"]
        assert [hit.id for hit in index.like("v0", where="position = -3")] == ["v3"]


def test_a_filter_of_columns_equals_one_of_metadata() -> None:
    """Rare fields and long texts are read from the metadata; the answer is the same."""
    metadata = [
        {"f": f"{n % 10}" * (1 + 400 * (n % 3)), "rare": 1} if n == 3 else {"f": f"{n % 10}" * 300} for n in range(300)
    ]
    stored = columns.stored(metadata)
    assert stored == {("f", "text"): None, ("rare", "int"): None}

    def read(field: str, kind: str) -> list[columns.Column]:
        return [columns.column((field, kind), metadata)]

    found = matching(parse("rare = 1 or f like '7%'"), {"f": ["text"], "rare": ["int"]}, read, 300)
    assert np.flatnonzero(found).tolist() == sorted({3, *range(7, 300, 10)})
