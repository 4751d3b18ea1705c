"""Evaluate a filter with DuckDB on columns of documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hashret.columns import Column
from hashret.errors import need
from hashret.filters.expression import Expression
from hashret.filters.sql import Kinds, Translation

Read = Callable[[str, str], Sequence[Column]]  # the column of a field and kind, of each segment

SAFE = {
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}


def matching(expression: Expression, kinds: Kinds, read: Read, rows: int) -> npt.NDArray[np.bool_]:
    """Return which of the rows a filter holds for, bool [rows]. Raises UsageError if it does not fit the fields."""
    translation = Translation(kinds)
    condition = translation.condition(expression)
    arrow = need("pyarrow", "sql", "a filter")
    arrays = {name: as_arrow(read(*key)) for key, name in translation.columns.items()}
    table = arrow.table({"number": np.arange(rows), **arrays})
    with connect() as connection:
        connection.register("documents", table)
        found = connection.execute(
            f"SELECT number FROM documents WHERE {condition}", translation.parameters
        ).fetchnumpy()
    mask = np.zeros(rows, bool)
    mask[np.asarray(found["number"], np.int64)] = True
    return mask


def connect() -> Any:
    """Return a DuckDB connection that reads no files, loads no extensions and cannot be reconfigured."""
    connection = need("duckdb", "sql", "a filter").connect(":memory:", config=SAFE)
    connection.execute("SET lock_configuration = true")
    return connection


def as_arrow(columns: Sequence[Column]) -> Any:
    """Return the columns of all segments as one chunked array of pyarrow, without copying values."""
    arrow = need("pyarrow", "sql", "a filter")
    return arrow.chunked_array([array(own) for own in columns])


def array(column: Column) -> Any:
    """Return a column as an array of pyarrow, without copying values."""
    arrow = need("pyarrow", "sql", "a filter")
    plain = {"bool": arrow.bool_(), "int": arrow.int64(), "float": arrow.float64()}
    plain |= dict.fromkeys(("text", "json"), arrow.large_string())
    valid, *buffers = [arrow.py_buffer(np.ascontiguousarray(own)) for own in column.buffers]
    if column.kind != "texts":
        return arrow.Array.from_buffers(plain[column.kind], column.rows, [valid, *buffers])
    items = int(column.buffers[1].view(np.int64)[-1])
    texts = arrow.Array.from_buffers(arrow.large_string(), items, [None, *buffers[1:]])
    return arrow.Array.from_buffers(
        arrow.large_list(arrow.large_string()), column.rows, [valid, buffers[0]], children=[texts]
    )
