"""CSV and TSV, plain or gzip."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from hashret.errors import DataError
from hashret.readers import decode
from hashret.readers.base import shown
from hashret.readers.records import Records
from hashret.readers.rules import Record
from hashret.readers.skip_report import SkipReport

DELIMITERS = ",;\t|"
MAX_FIELDS = 100_000  # of a row
MAX_QUOTED_LINES = 1000  # of a field in a TSV file
_CONTENT = {"text", "title", "image"}
_COLUMN = re.compile(r"[\w .\-/()#:]{1,64}")


class Delimited(Records):
    """A document a row, under a header that names the fields; the delimiter is guessed from it."""

    name: ClassVar[str] = "csv"
    summary: ClassVar[str] = "CSV or TSV with a header, plain or gzip: the same fields as JSON lines"
    unit = "row"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A text called .csv or .tsv, or one whose header names a text, a title or an image and whose rows fit it."""
        if not path.is_file():
            return False
        start = decode.head(path)
        if not decode.looks_like_text(start):
            return False
        if {".csv", ".tsv"} & {suffix.lower() for suffix in path.suffixes[-2:]}:
            return True
        rows = _sample(path)
        header = [name.strip() for name in rows[0]] if rows else []
        return (
            len(rows) > 1
            and len(header) > 1
            and len(set(header)) == len(header)
            and bool(_CONTENT & {name.lower() for name in header})
            and all(_COLUMN.fullmatch(name) for name in header)
            and all(len(row) == len(header) for row in rows)
        )

    def records(self, skips: SkipReport) -> Iterator[tuple[int, Record]]:
        """The rows as mappings, counted from 1 below the header."""
        csv.field_size_limit(decode.MAX_LINE)
        delimiter = _delimiter(self.path)
        lines = _Lines(self.path, skips, delimiter)
        rows = _tab_rows(lines, skips) if delimiter == "\t" else _rows(lines, delimiter)
        header: list[str] | None = None
        number = 0
        for row in rows:
            if not row:
                continue
            if header is None:
                header = lines.header = self._header(row)
                continue
            number += 1
            if len(row) != len(header):
                raise DataError(
                    f"{shown(self.path.name)}, row {number} (line {lines.first}) has {len(row)} fields, "
                    f"the header {len(header)}; put texts that hold the delimiter in quotes"
                )
            yield number, dict(zip(header, row, strict=True))

    def _header(self, row: list[str]) -> list[str]:
        header = [name.strip() for name in row]
        if len(set(header)) < len(header):
            raise DataError(f"{shown(self.path.name)}: the header names a field twice: {', '.join(header)}")
        return header


class _Lines(Iterator[str]):
    """The lines of a file, with the number of the line that the row being read begins in, and a bound on its size."""

    def __init__(self, path: Path, skips: SkipReport, delimiter: str) -> None:
        self.name, self.delimiter = shown(path.name), delimiter
        self.lines = decode.lines(path, skips)
        self.first = self.last = self.size = 0
        self.header: list[str] = []

    def begin(self) -> None:
        """Begin a row."""
        self.first, self.size = self.last + 1, 0

    def __next__(self) -> str:
        line = next(self.lines)
        self.last += 1
        self.size += len(line)
        if self.size > decode.MAX_LINE:
            raise DataError(f"{self.where()} is longer than {decode.MAX_LINE} characters; a quote in it is not closed")
        if len(line) > MAX_FIELDS and line.count(self.delimiter) > MAX_FIELDS:
            raise DataError(f"{self.where()} has more than {MAX_FIELDS:,} fields")
        return line

    def where(self) -> str:
        """Name the row being read."""
        return f"{self.name}: the row that begins in line {self.first}"


def _rows(lines: _Lines, delimiter: str) -> Iterator[list[str]]:
    """The rows of a CSV file."""
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin()
        try:
            row = next(rows, None)
        except csv.Error as error:
            reason = "a quote that opens in it is never closed" if "end of data" in str(error) else str(error)
            raise DataError(f"{lines.where()}: {reason} (line {lines.last})") from error
        if row is None:
            return
        yield row


def _tab_rows(lines: _Lines, skips: SkipReport) -> Iterator[list[str]]:
    """The rows of a TSV file: a line each, but where quotes hold line breaks or tabs and the row then fits the header.

    Many TSV files have no quoting, and a text that begins with a quote must not swallow the rows that follow.
    """
    waiting: list[str] = []  # lines looked at and not used
    while True:
        lines.begin()
        lines.first -= len(waiting)
        line = waiting.pop(0) if waiting else next(lines, None)
        if line is None:
            return
        plain = line.rstrip("\r\n").split("\t") if line.strip("\r\n") else []
        if '"' not in line:
            yield plain
            continue
        if (row := _quoted([line])) is not None and len(row) == (len(lines.header) or len(row)):
            yield row
            continue
        if line.count('"') % 2 and (row := _over_lines(lines, line, waiting)) is not None:
            yield row
            continue
        skips.note("rows with a quote that is not closed or is followed by text, read as a character")
        yield [_unquoted(field) for field in plain]


def _over_lines(lines: _Lines, line: str, waiting: list[str]) -> list[str] | None:
    """A row whose quotes hold line breaks; None, and the lines put back, where it does not fit the header.

    Nor may a line inside it fit the header by itself: then the quote is a character and the lines are rows.
    """
    taken = [line]
    while len(taken) <= MAX_QUOTED_LINES:
        following = waiting[len(taken) - 1] if len(taken) <= len(waiting) else next(lines, None)
        if following is None:
            break
        if len(taken) > len(waiting):
            waiting.append(following)
        taken.append(following)
        if following.count("\t") + 1 == len(lines.header):
            break
        if following.count('"') % 2:
            row = _quoted(taken)
            if row is None or len(row) != len(lines.header):
                break
            del waiting[: len(taken) - 1]
            return row
    return None


def _quoted(lines: list[str]) -> list[str] | None:
    """Lines as one row with quotes; None where they are not exactly that."""
    try:
        rows = list(csv.reader(lines, delimiter="\t", strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None


def _unquoted(field: str) -> str:
    inner = field[1:-1].replace('""', "")
    complete = len(field) > 1 and field[0] == field[-1] == '"' and '"' not in inner
    return field[1:-1].replace('""', '"') if complete else field


def _delimiter(path: Path) -> str:
    """The delimiter that splits the header into most fields."""
    first = next(iter(_lines(path)), "")
    return max(DELIMITERS, key=lambda mark: len(next(csv.reader([first], delimiter=mark), [])))


def _sample(path: Path) -> list[list[str]]:
    """The first rows, without the last, which the sample may have cut."""
    sample = _lines(path)
    try:
        rows = [row for row in csv.reader(sample, delimiter=_delimiter(path)) if row]
    except csv.Error:
        return []
    return rows[:-1] if len(rows) > 2 else rows


def _lines(path: Path) -> list[str]:
    start = decode.head(path)
    encoding = decode.encoding_of(start, complete=len(start) < decode.HEAD_BYTES)
    return start.decode(encoding, "replace").splitlines(keepends=True)
