"""Read the rows of Parquet and Arrow files with pyarrow. Runs in a worker."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hashret.errors import need
from hashret.worker.frames import Refused

BATCH, BATCH_BYTES = 1024, 8 << 20  # rows read at once, and their intended size in memory
ROWS, ROWS_PER_BYTE = 10**5, 8  # a file may claim at most ROWS plus ROWS_PER_BYTE rows per byte
FRAME = 4 << 20  # bytes of one frame, unless a single row is larger
MAX_ROW = 16 << 20  # bytes
MAX_VALUES = 10**6  # per row
ARROW = b"ARROW1"  # how an Arrow file begins


def count(raw: bytes, path: str) -> tuple[Any, bytes]:
    """Return the number of rows given in the footer."""
    with _open(path) as table:
        return int(table.metadata.num_rows), b""


def rows(raw: bytes, path: str) -> Iterator[tuple[Any, bytes]]:
    """Yield some rows at a time as columns: [names, {column: [dtype, shape]}, n], then n bytes of JSON and arrays.

    The JSON is a list of columns. A column in the mapping is all nulls there; its values are the rows of an array after
    the JSON. Dates, times, durations, decimals and UTF-8 bytes become texts; other bytes become {"\\0": base64}.
    """
    with _open(path) as table:
        about = table.metadata
        if about.num_rows > ROWS + ROWS_PER_BYTE * Path(path).stat().st_size:
            raise Refused(f"claims {about.num_rows:,} rows but has almost no data")
        total = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
        batch_size = max(16, min(BATCH, BATCH_BYTES * about.num_rows // max(1, total)))
        for batch in table.iter_batches(batch_size=batch_size, use_threads=False):
            yield from _frames(batch)


def arrow_rows(raw: bytes, path: str) -> Iterator[tuple[Any, bytes]]:
    """Yield the rows of a file in Arrow's IPC format, file or stream, as `rows` does."""
    ipc = need("pyarrow.ipc", "parquet", "reading Arrow")
    with Path(path).open("rb") as stream:
        is_file = stream.read(len(ARROW)) == ARROW
        stream.seek(0)
        reader = ipc.open_file(stream) if is_file else ipc.open_stream(stream)
        for batch in map(reader.get_batch, range(reader.num_record_batches)) if is_file else reader:
            yield from _frames(batch)


def _frames(batch: Any) -> Iterator[tuple[Any, bytes]]:
    columns: list[list[Any]] = []
    arrays = {}
    for place, column in enumerate(batch.columns):
        array = _matrix(column)
        columns.append([None] * len(column) if array is not None else _plain(column))
        if array is not None:
            arrays[place] = array
    waiting = [(0, batch.num_rows)]
    while waiting:
        first, last = waiting.pop()
        text = json.dumps([column[first:last] for column in columns]).encode("ascii")
        parts = {place: array[first:last] for place, array in arrays.items()}
        size = len(text) + sum(part.nbytes for part in parts.values())
        if size > FRAME and last - first > 1:
            middle = (first + last) // 2
            waiting += [(middle, last), (first, middle)]
            continue
        if size > MAX_ROW or (size > FRAME and _values([column[first] for column in columns]) > MAX_VALUES):
            raise Refused(f"a row of more than {MAX_ROW:,} bytes or {MAX_VALUES:,} values")
        kinds = {place: [part.dtype.str, part.shape] for place, part in parts.items()}
        yield [batch.schema.names, kinds, len(text)], text + b"".join(part.tobytes() for part in parts.values())


def _matrix(column: Any) -> Any:
    """Return a column of number lists of equal length, without nulls, as an array [rows, length]; otherwise None."""
    import pyarrow.types as kinds

    kind = column.type
    if not (kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)) or not len(column):
        return None
    if not (kinds.is_integer(kind.value_type) or kinds.is_floating(kind.value_type)) or column.null_count:
        return None
    values = column.flatten()
    length = len(values) // len(column)
    if values.null_count or not length or set(column.value_lengths().to_pylist()) != {length}:
        return None
    return values.to_numpy().reshape(len(column), length)


def _open(path: str) -> Any:
    parquet = need("pyarrow.parquet", "parquet", "reading Parquet")
    return parquet.ParquetFile(Path(path).open("rb"))  # pyarrow cannot open file names that are not UTF-8


def _values(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_values, value.values()))
    return 1 + sum(map(_values, value)) if isinstance(value, list | tuple) else 1


def _plain(array: Any) -> Any:
    """Convert a column to JSON-serializable values."""
    import pyarrow

    kinds, kind = pyarrow.types, array.type
    if kinds.is_dictionary(kind):
        return _plain(array.dictionary_decode())
    if isinstance(kind, pyarrow.BaseExtensionType):
        return _plain(array.storage)
    if kinds.is_struct(kind):
        names = [kind.field(number).name for number in range(kind.num_fields)]
        parts = [_plain(part) for part in array.flatten()]
        found = zip(*parts, strict=True) if parts else ((),) * len(array)
        rows = zip(found, _there(array), strict=True)
        return [dict(zip(names, row, strict=True)) if there else None for row, there in rows]
    if kinds.is_map(kind):
        return _lists(array, [list(pair) for pair in zip(_plain(array.keys), _plain(array.items), strict=True)])
    if _simple(kind) or (kinds.is_nested(kind) and _simple(kind.value_type)):
        with contextlib.suppress(UnicodeDecodeError):  # a text column may contain bytes that are not UTF-8
            return array.to_pylist()
    if kinds.is_list(kind) or kinds.is_large_list(kind):
        return _lists(array, _plain(array.values))
    if kinds.is_fixed_size_list(kind):
        return [_plain(value.values) if there else None for value, there in zip(array, _there(array), strict=True)]
    if kinds.is_string(kind) or kinds.is_large_string(kind):
        return [_text(value) for value in array.cast(pyarrow.large_binary()).to_pylist()]
    if any(check(kind) for check in (kinds.is_binary, kinds.is_large_binary, kinds.is_fixed_size_binary)):
        return [_text(value) for value in array.to_pylist()]
    if kinds.is_temporal(kind):
        return _dates(array)
    return [
        _text(value) if isinstance(value, bytes) else value if value is None else str(value)
        for value in array.to_pylist()
    ]


def _simple(kind: Any) -> bool:
    import pyarrow.types as kinds

    checks = (kinds.is_integer, kinds.is_floating, kinds.is_boolean, kinds.is_null, kinds.is_string)
    return any(check(kind) for check in (*checks, kinds.is_large_string))


def _there(array: Any) -> Any:
    return array.is_valid().to_pylist()


def _lists(array: Any, values: list[Any]) -> list[Any]:
    """Split the concatenated `values` of a list array into its lists."""
    offsets = array.offsets.to_pylist()
    return [
        values[first:last] if there else None
        for first, last, there in zip(offsets, offsets[1:], _there(array), strict=False)
    ]


def _dates(array: Any) -> list[Any]:
    """Convert dates, times and durations to text, also those with nanoseconds or years after 9999."""
    import pyarrow

    found = []
    for value in array:
        try:
            text = _in_microseconds(value).as_py()
            found.append(text if text is None else str(text))
        except (ValueError, OverflowError):
            if pyarrow.types.is_duration(value.type):
                found.append(f"{value.value} {value.type.unit}")
                continue
            plain = value.cast(pyarrow.timestamp(value.type.unit)) if getattr(value.type, "tz", None) else value
            try:
                found.append(plain.cast(pyarrow.string()).as_py())
            except pyarrow.ArrowException:
                found.append(f"{value.value} {value.type}")
    return found


def _in_microseconds(value: Any) -> Any:
    """Cast nanoseconds, for which pyarrow otherwise returns types of pandas if that is installed.

    Raises ValueError if the value has more than microseconds.
    """
    import pyarrow

    kind = value.type
    if getattr(kind, "unit", "") != "ns" or not value.is_valid or pyarrow.types.is_time(kind):
        return value
    if value.value % 1000:
        raise ValueError("nanoseconds")
    is_duration = pyarrow.types.is_duration(kind)
    return value.cast(pyarrow.duration("us") if is_duration else pyarrow.timestamp("us", kind.tz))


def _text(value: bytes | None) -> Any:
    if value is None:
        return None
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"\0": base64.b64encode(value).decode("ascii")}
