"""Output: rows on stdout as a table, JSON lines, JSON, CSV or ids; progress on stderr."""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hashret.errors import unknown
from hashret.progress import Listener

FORMATS = ("table", "jsonl", "json", "csv", "ids")
ONE_LINE = {"text"}  # columns cut to what a line of the table has room for
Row = Mapping[str, Any]

BREAKS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")  # what ends a line for one program or another
CONTROLS = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")  # what JSON leaves, and terminals obey
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the beginning of a formula

_chosen = "jsonl"
_csv_safe = False


def choose(format: str | None, csv_safe: bool = False) -> None:
    """Set the format for what is printed from now on; `csv_safe` marks CSV cells that look like formulas as text."""
    global _chosen, _csv_safe
    if format is not None and format not in FORMATS:
        raise unknown("format", format, FORMATS)
    _chosen, _csv_safe = format or ("table" if sys.stdout.isatty() else "jsonl"), csv_safe
    if _chosen in ("csv", "ids") and not sys.stdout.isatty() and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape" if _chosen == "ids" else "backslashreplace")


def emit(rows: Iterable[Row], columns: Sequence[str] = (), key: str = "id") -> None:
    """Print rows; a table shows these columns, `ids` the values of `key` alone. JSON lines go out one by one."""
    PRINTERS[_chosen](rows, columns, key)


def _jsonl(rows: Iterable[Row], columns: Sequence[str], key: str) -> None:
    for row in rows:
        sys.stdout.write(_dumps(row) + "\n")
        sys.stdout.flush()


def _json(rows: Iterable[Row], columns: Sequence[str], key: str) -> None:
    sys.stdout.write(_dumps(list(rows), indent=1) + "\n")


def _dumps(value: Any, indent: int | None = None) -> str:
    """JSON that every parser reads, whatever the encoding of standard output; NaN and infinities are null."""
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
            writer = csv.DictWriter(sys.stdout, list(row), extrasaction="ignore", lineterminator="\n")
            writer.writerow(names)
        writer.writerow({name: _cell_of_csv(value) for name, value in row.items()})


def _cell_of_csv(value: Any) -> str:
    text = printable(cell(value)) if sys.stdout.isatty() else cell(value)
    formula = _csv_safe and not isinstance(value, int | float) and text.startswith(FORMULA)
    return f"'{text}" if formula else text


def _ids(rows: Iterable[Row], columns: Sequence[str], key: str) -> None:
    """One line per id: line breaks inside an id are written as escapes."""
    for row in rows:
        text = str(row.get(key, ""))
        text = printable(text) if sys.stdout.isatty() else BREAKS.sub(lambda found: _escape(found[0]), text)
        sys.stdout.write(f"{text}\n")


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _table(rows: Iterable[Row], columns: Sequence[str], key: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = list(rows)
    if not rows:
        return
    names = [name for name in columns or rows[0] if any(name in row for row in rows)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=bool(ONE_LINE & set(names)))
    for name in names:
        number = all(isinstance(row.get(name, 0), int | float) for row in rows)
        overflow: Any = "fold" if name == key else "ellipsis"
        table.add_column(Text(printable(name)), justify="right" if number else "left", overflow=overflow)
        table.columns[-1].no_wrap = number or name in ONE_LINE
        table.columns[-1].ratio = 1 if name in ONE_LINE else None  # takes what the others leave
    for row in rows:
        table.add_row(*(Text(printable(cell(row.get(name, "")))) for name in names))
    Console(soft_wrap=False).print(table)


PRINTERS: dict[str, Callable[[Iterable[Row], Sequence[str], str], None]] = {
    "table": _table,
    "jsonl": _jsonl,
    "json": _json,
    "csv": _csv,
    "ids": _ids,
}


def cell(value: Any) -> str:
    """A value as one text."""
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
    """The text on one line, without anything that a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)


@contextmanager
def progress(show: bool) -> Iterator[Listener]:
    """A listener that draws bars with rate and time left, one for each kind of work."""
    if not show:
        yield lambda label, done, total, note="": None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[note]}"),
    ]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def listen(label: str, done: int, total: int | None, note: str = "") -> None:
            if label not in tasks or (done <= 1 and bars.tasks[tasks[label]].completed > 1):
                tasks[label] = bars.add_task(label, total=total, rate="", note="")
            speed = bars.tasks[tasks[label]].speed
            bars.update(tasks[label], completed=done, total=total, note=note, rate=f"{speed:,.0f}/s" if speed else "")

        yield listen


def is_table() -> bool:
    """Whether rows are printed as a table."""
    return _chosen == "table"
