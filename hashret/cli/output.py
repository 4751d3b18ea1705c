"""Output: rows on stdout as a table, JSON lines, JSON, CSV or ids; progress on stderr."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hashret.errors import unknown
from hashret.progress import Listener

FORMATS = ("table", "jsonl", "json", "csv", "ids")
ONE_LINE = {"text"}  # columns cut to what a line of the table has room for
Row = Mapping[str, Any]

_chosen = "jsonl"


def choose(format: str | None) -> None:
    """Settle the format for what is printed from now on."""
    global _chosen
    if format is not None and format not in FORMATS:
        raise unknown("format", format, FORMATS)
    _chosen = format or ("table" if sys.stdout.isatty() else "jsonl")


def emit(rows: Iterable[Row], columns: Sequence[str] = (), key: str = "id") -> None:
    """Print rows; a table shows these columns, `ids` the values of `key` alone. JSON lines go out one by one."""
    PRINTERS[_chosen](rows, columns, key)


def _jsonl(rows: Iterable[Row], columns: Sequence[str], key: str) -> None:
    for row in rows:
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
        sys.stdout.flush()


def _json(rows: Iterable[Row], columns: Sequence[str], key: str) -> None:
    sys.stdout.write(json.dumps(list(rows), ensure_ascii=False, indent=1) + "\n")


def _csv(rows: Iterable[Row], columns: Sequence[str], key: str) -> None:
    writer = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(sys.stdout, list(row), extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
        writer.writerow({name: cell(value) for name, value in row.items()})


def _ids(rows: Iterable[Row], columns: Sequence[str], key: str) -> None:
    for row in rows:
        sys.stdout.write(f"{row.get(key, '')}\n")


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
        table.add_column(name, justify="right" if number else "left", overflow="fold" if name == key else "ellipsis")
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
    """The text on one line, with nothing in it that a terminal would obey."""
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
