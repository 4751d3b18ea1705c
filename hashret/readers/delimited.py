"""Source of CSV and TSV files, plain or gzip."""

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
MAX_FIELDS = 100_000  # per row
MAX_QUOTED_LINES = 1000  # lines of one quoted field in a TSV file
_CONTENT = {"text", "title", "image"}
_COLUMN = re.compile(r"[\w .\-/()#:]{1,64}")


class Delimited(Records):
    """One document per row of a file with a header; the delimiter is detected from the header."""

    name: ClassVar[str] = "csv"
    summary: ClassVar[str] = "CSV or TSV with a header, plain or gzip: the same fields as JSON lines"
    unit = "row"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is a text file with suffix .csv or .tsv, or with a header that has a content field."""
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
        """Yield each row as a mapping, with its number, counted from 1 after the header.

        Raises DataError for a row whose number of fields differs from the header, and for malformed quotes.
        """
        csv.field_size_limit(decode.MAX_LINE)
        delimiter = _delimiter(self.path, self.fields.encoding)
        lines = _Lines(self.path, skips, delimiter, self.fields.encoding)
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
                    f"the header {len(header)}; quote texts that contain the delimiter"
                )
            yield number, dict(zip(header, row, strict=True))

    def _header(self, row: list[str]) -> list[str]:
        header = [name.strip() for name in row]
        if len(set(header)) < len(header):
            raise DataError(f"{shown(self.path.name)}: the header has duplicate field names: {', '.join(header)}")
        return header


class _Lines(Iterator[str]):
    """The lines of a file; tracks the first line of the current row and limits the size of a row."""

    def __init__(self, path: Path, skips: SkipReport, delimiter: str, encoding: str | None) -> None:
        self.name, self.delimiter = shown(path.name), delimiter
        self.lines = decode.lines(path, skips, encoding)
        self.first = self.last = self.size = 0
        self.header: list[str] = []

    def begin(self) -> None:
        """Start a new row."""
        self.first, self.size = self.last + 1, 0

    def __next__(self) -> str:
        line = next(self.lines)
        self.last += 1
        self.size += len(line)
        if self.size > decode.MAX_LINE:
            raise DataError(f"{self.where()} is longer than {decode.MAX_LINE} characters; close the quote in it")
        if len(line) > MAX_FIELDS and line.count(self.delimiter) > MAX_FIELDS:
            raise DataError(f"{self.where()} has more than {MAX_FIELDS:,} fields")
        return line

    def where(self) -> str:
        """Return the name of the current row for a message."""
        return f"{self.name}: the row that starts at line {self.first}"


def _rows(lines: _Lines, delimiter: str) -> Iterator[list[str]]:
    """Yield the rows of a CSV file."""
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin()
        try:
            row = next(rows, None)
        except csv.Error as error:
            reason = "a quote is never closed" if "end of data" in str(error) else str(error)
            raise DataError(f"{lines.where()}: {reason} (line {lines.last})") from error
        if row is None:
            return
        yield row


def _tab_rows(lines: _Lines, skips: SkipReport) -> Iterator[list[str]]:
    """Yield the rows of a TSV file: one per line, unless a quoted field spans lines and the row then fits the header.

    Many TSV files do not use quoting, so a text that starts with a quote must not swallow the rows after it.
    """
    waiting: list[str] = []  # lines read ahead
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
        skips.note("rows with an unmatched quote, which was read as a character")
        yield [_unquoted(field) for field in plain]


def _over_lines(lines: _Lines, line: str, waiting: list[str]) -> list[str] | None:
    """Return a row whose quoted field spans lines, or None, with the lines put back, if it does not fit the header.

    If a following line fits the header by itself, the quote is a plain character and each line is a row.
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
    """Parse the lines as one quoted row; None if they are not exactly one row."""
    try:
        rows = list(csv.reader(lines, delimiter="\t", strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None


def _unquoted(field: str) -> str:
    inner = field[1:-1].replace('""', "")
    complete = len(field) > 1 and field[0] == field[-1] == '"' and '"' not in inner
    return field[1:-1].replace('""', '"') if complete else field


def _delimiter(path: Path, encoding: str | None = None) -> str:
    """Return the delimiter that splits the header into the most fields."""
    first = next(iter(_lines(path, encoding)), "")
    return max(DELIMITERS, key=lambda mark: len(next(csv.reader([first], delimiter=mark), [])))


def _sample(path: Path) -> list[list[str]]:
    """Return the first rows, without the last one if the sample may have cut it."""
    sample = _lines(path)
    try:
        rows = [row for row in csv.reader(sample, delimiter=_delimiter(path)) if row]
    except csv.Error:
        return []
    return rows[:-1] if len(rows) > 2 else rows


def _lines(path: Path, given: str | None = None) -> list[str]:
    start = decode.head(path)
    encoding = decode.encoding_of(start, complete=len(start) < decode.HEAD_BYTES, given=given)
    return start.decode(encoding, "replace").splitlines(keepends=True)
