"""CSV and TSV, plain or gzip."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from hashret.errors import DataError
from hashret.sources import decode
from hashret.sources.base import shown
from hashret.sources.records import Records
from hashret.sources.rules import Record
from hashret.sources.tally import Tally

DELIMITERS = ",;\t|"
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

    def records(self, tally: Tally) -> Iterator[tuple[int, Record]]:
        """The rows as mappings, counted from 1 below the header."""
        csv.field_size_limit(decode.MAX_LINE)
        rows = csv.reader(decode.lines(self.path, tally), delimiter=_delimiter(self.path), strict=True)
        header: list[str] | None = None
        number = 0
        try:
            for row in rows:
                if not row:
                    continue
                if header is None:
                    header = self._header(row)
                    continue
                number += 1
                if len(row) != len(header):
                    raise DataError(
                        f"{shown(self.path.name)}, row {number} (line {rows.line_num}) has {len(row)} fields, "
                        f"the header {len(header)}; put texts that hold the delimiter in quotes"
                    )
                yield number, dict(zip(header, row, strict=True))
        except csv.Error as error:
            raise DataError(f"{shown(self.path.name)}, line {rows.line_num}: {error}") from error

    def _header(self, row: list[str]) -> list[str]:
        header = [name.strip() for name in row]
        if len(set(header)) < len(header):
            raise DataError(f"{shown(self.path.name)}: the header names a field twice: {', '.join(header)}")
        return header


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
