"""Output of rows on stdout as a table, JSON lines, JSON, CSV or ids."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hashret.cli.bars import make_way
from hashret.errors import unknown

FORMATS = ("table", "jsonl", "json", "csv", "ids")
ONE_LINE = {"text"}  # columns cut to one line of a table
Row = Mapping[str, Any]

BREAKS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")  # treated as a line break by some programs
CONTROLS = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")  # JSON keeps them, terminals obey them
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # treated as a formula by spreadsheets

_chosen = "jsonl"
_csv_safe = False


def choose(format: str | None, csv_safe: bool = False) -> None:
    """Set the output format; `csv_safe` quotes CSV cells that look like formulas. Raises UsageError if unknown."""
    global _chosen, _csv_safe
    if format is not None and format not in FORMATS:
        raise unknown("format", format, FORMATS)
    _chosen, _csv_safe = format or ("table" if sys.stdout.isatty() else "jsonl"), csv_safe
    if _chosen in ("csv", "ids") and not sys.stdout.isatty() and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape" if _chosen == "ids" else "backslashreplace")


def emit(rows: Iterable[Row], columns: Sequence[str] = (), key: str = "id") -> None:
    """Print rows; a table shows `columns`, ids shows the values of `key`, JSON lines are flushed one by one."""
    PRINTERS[_chosen](rows, columns, key)


def write(text: str) -> None:
    """Write text to standard output; on a terminal, erase the progress bars first."""
    _make_way()
    sys.stdout.write(text)


def _make_way() -> None:
    if sys.stdout.isatty():
        make_way()


def replace_file(path: Path, text: str) -> None:
    """Write a file atomically."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(text, "utf-8", "replace")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def counted(number: int, noun: str) -> str:
    """Return the number with its noun: 1 document, 2 documents."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _jsonl(rows: Iterable[Row], columns: Sequence[str], key: str) -> None:
    for row in rows:
        write(_dumps(row) + "\n")
        sys.stdout.flush()


def _json(rows: Iterable[Row], columns: Sequence[str], key: str) -> None:
    write(_dumps(list(rows), indent=1) + "\n")


def _dumps(value: Any, indent: int | None = None) -> str:
    """Return valid JSON for any encoding of standard output; NaN and infinities become null."""
    ascii = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") != "utf8"
    try:
        text = json.dumps(value, ensure_ascii=ascii, indent=indent, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=ascii, indent=indent, allow_nan=False)
    return CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(own) for name, own in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(own) for own in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _csv(rows: Iterable[Row], columns: Sequence[str], key: str) -> None:
    writer = None
    for row in rows:
        if writer is None:
            names = {name: _cell_of_csv(name) for name in row}
            writer = csv.DictWriter(SimpleNamespace(write=write), list(row), extrasaction="ignore", lineterminator="\n")
            writer.writerow(names)
        writer.writerow({name: _cell_of_csv(value) for name, value in row.items()})


def _cell_of_csv(value: Any) -> str:
    text = printable(cell(value)) if sys.stdout.isatty() else cell(value)
    formula = _csv_safe and not isinstance(value, int | float) and text.startswith(FORMULA)
    return f"'{text}" if formula else text


def _ids(rows: Iterable[Row], columns: Sequence[str], key: str) -> None:
    """Print one line per id, with line breaks inside an id as escapes."""
    for row in rows:
        text = str(row.get(key, ""))
        text = printable(text) if sys.stdout.isatty() else BREAKS.sub(lambda found: _escape(found[0]), text)
        write(f"{text}\n")


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _table(rows: Iterable[Row], columns: Sequence[str], key: str) -> None:
    from hashret.cli.table import Column, draw

    rows = list(rows)
    if not rows:
        return
    made = []
    for name in columns or rows[0]:
        if any(name in row for row in rows):
            number = all(isinstance(row.get(name), int | float | None) for row in rows)
            cells = [printable(cell(row.get(name))) for row in rows]
            if name != "id":  # ids are printed unchanged, to be passed to other commands
                cells = [" ".join(text.split()) for text in cells]
            header = printable(name).replace("_seconds", " (s)").replace("_", " ")
            marks = [row.get("marks", ()) if name == "text" else () for row in rows]
            made.append(Column(header, cells, number, name in ONE_LINE, marks))
    _make_way()
    draw(made)


PRINTERS: dict[str, Callable[[Iterable[Row], Sequence[str], str], None]] = {
    "table": _table,
    "jsonl": _jsonl,
    "json": _json,
    "csv": _csv,
    "ids": _ids,
}


def cell(value: Any) -> str:
    """Return a value as text for a table or CSV."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(cell, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}={cell(own)}" for name, own in value.items())
    return "" if value is None else str(value)


def printable(text: str) -> str:
    """Return the text on one line, without control characters."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)


def is_ids() -> bool:
    """Whether only ids are printed."""
    return _chosen == "ids"


def is_table() -> bool:
    """Whether rows are printed as a table."""
    return _chosen == "table"
