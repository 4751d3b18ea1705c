"""The documents of an index as tables of Apache Arrow, for export and for SQL.

    position    order of insertion, from 0
    id          the document's id
    text        the text, or the path of an image
    labels      list of texts
    code        the code, as bytes
    ...         the fields of the metadata, with a `_` at the end of a name that, in lower case, is there already

A field with several kinds of values is JSON text, unless all are numbers.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hashret import files
from hashret.errors import StoreError, UsageError, need
from hashret.filters.table import array, connect
from hashret.store import Store

COLUMNS = ("position", "id", "text", "labels", "code")
PURPOSE = "a table of documents"
FORMATS = (".parquet", ".arrow")


def tables(store: Store, text: bool = True) -> Iterator[Any]:
    """Yield the documents of each segment as a pyarrow.Table. The columns are those of all segments.

    `text=False` omits the text.
    """
    arrow = need("pyarrow", "sql", PURPOSE)
    kinds = {field: own for field, own in store.kinds().items() if field not in ("id", "label")}
    names = _names(kinds)
    before = 0
    for number, segment in enumerate(store.segments):
        live = ~store.deleted[store.starts[number] : store.starts[number] + segment.rows]
        positions = before - 1 + np.cumsum(live)
        before += int(live.sum())
        columns = {"position": arrow.array(positions, arrow.int64()), "id": array(store.column(number, "id", "text"))}
        if text:
            contents = [_clean(record.content) for record in segment.records()]
            columns["text"] = arrow.array(contents, arrow.large_string())
        columns["labels"] = array(store.column(number, "label", "texts"))
        columns["code"] = arrow.array([own.tobytes() for own in segment.codes()], arrow.binary())
        columns |= {names[field]: _field(store, number, field, own) for field, own in kinds.items()}
        yield arrow.table(columns).filter(arrow.array(live))


def _names(fields: Iterable[str]) -> dict[str, str]:
    """Return a column name for each field; for SQL, names that differ in case only are the same."""
    names: dict[str, str] = {}
    used = set(COLUMNS)
    for field in sorted(fields, key=str.swapcase):  # lower case first
        name = field
        while name.lower() in used:
            name += "_"
        names[field] = name
        used.add(name.lower())
    return names


def joined(store: Store) -> Any:
    """Return all documents as one pyarrow.Table."""
    return need("pyarrow", "sql", PURPOSE).concat_tables(list(tables(store)))


def _field(store: Store, number: int, field: str, kinds: Sequence[str]) -> Any:
    """Return the values of a field of the metadata."""
    if len(kinds) == 1:
        return array(store.column(number, field, kinds[0]))
    compute = need("pyarrow.compute", "sql", PURPOSE)
    parts = {kind: array(store.column(number, field, kind)) for kind in kinds}
    if set(kinds) == {"int", "float"}:
        return compute.coalesce(parts["float"], parts["int"].cast("float64", safe=False))
    return compute.coalesce(*(_as_json(kind, part) for kind, part in parts.items()))


def _as_json(kind: str, values: Any) -> Any:
    """Return values of one kind as JSON texts."""
    import json

    arrow = need("pyarrow", "sql", PURPOSE)
    if kind == "json":
        return values
    texts = [None if own is None else json.dumps(own, ensure_ascii=False) for own in values.to_pylist()]
    return arrow.array(texts, arrow.large_string())


def _clean(text: str) -> str:
    """Replace halves of surrogate pairs, which UTF-8 does not allow, by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def query(store: Store, sql: str) -> Iterator[Mapping[str, Any]]:
    """Run SQL over the tables `documents`, `labels` (id, label) and `codes` (id, code as BIT), and yield the rows.

    The query cannot read files, load extensions or change the index. Raises UsageError if it fails.
    """
    arrow, duckdb = need("pyarrow", "sql", "SQL"), need("duckdb", "sql", "SQL")
    parts = list(tables(store, text="text" in sql.lower() or "*" in sql))
    with connect() as connection:
        if parts:
            connection.register("documents", arrow.concat_tables(parts))
        try:
            connection.execute("CREATE VIEW labels AS SELECT id, unnest(labels) AS label FROM documents")
            connection.execute("CREATE VIEW codes AS SELECT position, id, code::BIT AS code FROM documents")
            found = connection.execute(sql)
            names = [column[0] for column in found.description or ()]
            while rows := found.fetchmany(1000):
                yield from (dict(zip(names, map(_plain, row), strict=True)) for row in rows)
        except duckdb.Error as error:
            raise UsageError(f"the query failed: {str(error).strip().splitlines()[0]}") from error


def _plain(value: Any) -> Any:
    """Return a value that JSON knows; bytes as hexadecimal digits."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def export(store: Store, path: Path, force: bool = False) -> int:
    """Write the documents to a .parquet or .arrow file, one segment at a time. Returns their number.

    Raises UsageError for another ending, or if the file exists and `force` is not set; StoreError if it cannot be
    written. Then nothing is left of it.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"the file must end in {' or '.join(FORMATS)}, got {path.name!r}")
    if path.exists() and not force:
        raise UsageError(f"{str(path)!r} exists; choose another name, or replace it (force)")
    arrow = need("pyarrow", "sql", "export")
    parquet = need("pyarrow.parquet", "sql", "export") if path.suffix == ".parquet" else None
    written, writer, part = 0, None, None
    try:
        handle, name = tempfile.mkstemp(path.suffix, f".{path.stem}-", path.parent)
        os.close(handle)
        part = Path(name)
        for table in tables(store):
            if writer is None:
                make = arrow.ipc.new_file if parquet is None else parquet.ParquetWriter
                writer = make(str(part), table.schema)
            writer.write_table(table)
            written += len(table)
        if writer is None:
            raise UsageError("the index has no documents to export")
        writer.close()
        part.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write {str(path)!r}: {files.reason(error)}") from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
    return written
