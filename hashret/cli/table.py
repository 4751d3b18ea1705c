"""Tables in the width of the terminal. Only long texts are cut, never numbers, and no column is dropped."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

GAPS = (2, 1)  # spaces between columns; the smaller one if a name would not fit on one line
NAME, TEXT = 8, 16  # minimum width of a name and of a text, unless they are shorter


@dataclass(frozen=True)
class Column:
    """A column: its header and the text of each row. Numbers are never cut; `one_line` texts are cut to one line."""

    header: str
    cells: Sequence[str]
    number: bool = False
    one_line: bool = False
    marks: Sequence[Sequence[Sequence[int]]] = ()  # of each cell: [from, to) in characters, printed bold

    @property
    def most(self) -> int:
        """Width at which no text is wrapped or cut."""
        return max(map(_width, (self.header, *self.cells)))

    @property
    def least(self) -> int:
        """Smallest readable width."""
        if self.number:
            return max(map(_width, (*self.header.split(), *self.cells)))
        return min(self.most, TEXT if self.one_line else NAME)

    @property
    def turn(self) -> int:
        """Order in which columns get spare width: names first, then headers of numbers, then texts."""
        return 2 if self.one_line else 1 if self.number else 0


def draw(columns: Sequence[Column]) -> None:
    """Print the columns as a table, or one value per line if the terminal is too narrow."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout)
    gap, widths = fit(columns, console.width)
    if not widths:
        for cells in zip(*(column.cells for column in columns), strict=True):
            lines = (f"{column.header}: {cell}\n" for column, cell in zip(columns, cells, strict=True))
            sys.stdout.write("".join(lines) + "\n")
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap - 1, 0, 0))
    table.show_header = any(column.header.strip() for column in columns)
    for column, width in zip(columns, widths, strict=True):
        table.add_column(
            Text(column.header),
            width=width,
            justify="right" if column.number else "left",
            overflow="ellipsis" if column.one_line else "fold",
            no_wrap=column.one_line,
        )
    for number in range(len(columns[0].cells)):
        table.add_row(*(_marked(column, number) for column in columns))
    console.print(table)


def _marked(column: Column, number: int) -> Text:
    """A cell with its marks in bold."""
    from rich.text import Text

    text = Text(column.cells[number])
    for start, stop in column.marks[number] if column.marks else ():
        text.stylize("bold", start, stop)
    return text


def fit(columns: Sequence[Column], room: int) -> tuple[int, list[int]]:
    """Return the gap between columns and their widths; no widths if `room` is too narrow."""
    for gap in GAPS:
        spare = room - gap * (len(columns) - 1) - sum(column.least for column in columns)
        names = sum(column.most - column.least for column in columns if column.turn == 0)
        if spare >= names or gap == GAPS[-1]:
            return gap, _share(columns, spare) if spare >= 0 else []
    raise AssertionError("unreachable")


def _share(columns: Sequence[Column], spare: int) -> list[int]:
    """Return the widths of the columns: the least width plus an equal share of the spare width, or what is needed."""
    widths = [column.least for column in columns]
    for turn in range(3):
        waiting = [place for place, column in enumerate(columns) if column.turn == turn]
        waiting.sort(key=lambda place: columns[place].most - columns[place].least)
        for left, place in zip(range(len(waiting), 0, -1), waiting, strict=True):
            more = min(columns[place].most - columns[place].least, spare // left)
            widths[place] += more
            spare -= more
    return widths


def _width(text: str) -> int:
    """Return the width of a text in terminal columns."""
    from rich.cells import cell_len

    return cell_len(text)
