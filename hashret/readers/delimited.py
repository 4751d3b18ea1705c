"""Source of CSV and TSV files, plain or gzip."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

from hashret.errors import DataError
from hashret.readers import decode
from hashret.readers.base import shown
from hashret.readers.records import Records
from hashret.readers.rules import NUMBERED, Record
from hashret.readers.skip_report import SkipReport

DELIMITERS = ",;\t|"
MAX_FIELDS = 100_000  # per row
MAX_QUOTED_LINES = 1000  # lines of one quoted field in a TSV file
CONTENT = {"text", "image", "vector"}
_SEPARATOR = re.compile(r"sep=(.)[\r\n]*")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_COLUMN = re.compile(r"[\w .\-/()#:]{1,64}")


class Delimited(Records):
    """One document per row of a file with a header; the delimiter is detected from the header."""

    name: ClassVar[str] = "csv"
    summary: ClassVar[str] = "CSV or TSV with a header, plain or gzip: the same fields as JSON lines"
    settings: ClassVar[frozenset[str]] = frozenset({"encoding", "has_header"})
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
            and bool((CONTENT | {"title"}) & {name.lower() for name in header})
            and all(_COLUMN.fullmatch(name) for name in header)
            and all(len(row) == len(header) for row in rows)
        )

    def records(self, skips: SkipReport) -> Iterator[tuple[int, Record]]:
        """Yield each row as a mapping, with its number, counted from 1 after the header.

        Skips lines of comments, and rows with fewer fields than the header that have no content; reports them to
        `skips`. Raises DataError for a row with more fields than the header, and for a quote that is never closed.
        """
        csv.field_size_limit(decode.MAX_LINE)
        start = _Start.of(_lines(self.path, self.fields.encoding))
        lines = _Lines(self.path, self.rules.name, skips, start.delimiter, self.fields.encoding)
        for _ in range(start.skipped):
            next(lines, None)
        rows = _tab_rows(lines, skips) if start.delimiter == "\t" else _rows(lines, start.delimiter)
        header: list[str] | None = None
        number = 0
        for row in rows:
            if not row:
                continue
            if header is None:
                header = lines.header = self._header(row)
                if self.fields.has_header:
                    continue
            number += 1
            if len(row) != len(header):
                if row[0].startswith("#") and len(row) < len(header):
                    skips.note_row("lines that begin with # and are no rows, skipped", number)
                    continue
                row = self._fitted(row, header, number, lines, skips)
            if row:
                yield number, dict(zip(header, row, strict=False))

    def _fitted(self, row: list[str], header: list[str], number: int, lines: _Lines, skips: SkipReport) -> list[str]:
        """Return a row of another length than the header: without empty fields at its end, or [] without content."""
        extra = row[len(header) :]
        if extra and any(extra):
            raise DataError(
                f"{shown(self.rules.name)}, row {number} (line {lines.first}) has {len(row)} fields, "
                f"the header {len(header)}; quote texts that contain the delimiter"
            )
        if extra:
            return row[: len(header)]
        there = dict(zip(header, row, strict=False))
        needed = [*self.fields.text, *filter(None, (self.fields.id, self.fields.label))]
        complete = all(name in there or name == NUMBERED for name in needed)
        if complete and (self.fields.text or not CONTENT.isdisjoint(there)):
            skips.note_row("rows with fewer fields than the header, kept", number)
            return row
        skips.note_row("rows with fewer fields than the header and without a content, skipped", number)
        return []

    def _header(self, row: list[str]) -> list[str]:
        if not self.fields.has_header:
            return [str(number) for number in range(1, len(row) + 1)]
        header = [name.strip() for name in row]
        header[0] = header[0].removeprefix("#")
        if len(set(header)) < len(header):
            raise DataError(f"{shown(self.rules.name)}: the header has duplicate field names: {', '.join(header)}")
        return header


class _Lines(Iterator[str]):
    """The lines of a file; tracks the first line of the current row and limits the size of a row."""

    def __init__(self, path: Path, name: str, skips: SkipReport, delimiter: str, encoding: str | None) -> None:
        self.name, self.delimiter = shown(name), delimiter
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


class _Start(NamedTuple):
    """How a file begins."""

    delimiter: str
    skipped: int  # lines before the header: `sep=;`, which Excel writes, and comments

    @classmethod
    def of(cls, lines: list[str]) -> _Start:
        """Find the delimiter that splits the header into the most fields."""
        own = _SEPARATOR.fullmatch(lines[0]) if lines else None
        skipped = 0 if own is None else 1
        first = skipped
        while first < len(lines) and (lines[first].startswith("#") or lines[first].isspace()):
            first += 1
        row = lines[first] if first < len(lines) else ""
        hashed = [number for number in range(skipped, first) if re.match(r"#\S", lines[number])]  # `#id,text`
        marks = DELIMITERS if own is None else own[1]
        rows = [row, *(lines[number] for number in hashed)]
        delimiter = max(marks, key=lambda mark: [_fields(line, mark) for line in rows])
        header = (number for number in hashed if _fields(lines[number], delimiter) == _fields(row, delimiter) > 1)
        skipped = next(header, first)
        return cls(delimiter, skipped)


def _fields(line: str, delimiter: str) -> int:
    return len(next(csv.reader([line], delimiter=delimiter), []))


def _sample(path: Path) -> list[list[str]]:
    """Return the first rows, without the last one if the sample may have cut it."""
    sample = _lines(path)
    start = _Start.of(sample)
    try:
        rows = [row for row in csv.reader(sample[start.skipped :], delimiter=start.delimiter) if row]
    except csv.Error:
        return []
    return rows[:-1] if len(rows) > 2 else rows


def _lines(path: Path, given: str | None = None) -> list[str]:
    start = decode.head(path)
    encoding = decode.encoding_of(start, complete=len(start) < decode.HEAD_BYTES, given=given)
    return _LINE.findall(start.decode(encoding, "replace"))
