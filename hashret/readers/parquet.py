"""Source of Parquet files; needs the extra `parquet`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hashret import worker
from hashret.errors import DataError
from hashret.readers.base import shown
from hashret.readers.decode import raw_head, reading
from hashret.readers.records import Records
from hashret.readers.rules import Base64, Record
from hashret.readers.skip_report import SkipReport

_BYTES = rb'{"\u0000": '  # the JSON form of binary values, which `_bytes` decodes


class Parquet(Records):
    """One document per row, with the same fields as JSON lines."""

    name: ClassVar[str] = "parquet"
    summary: ClassVar[str] = "Parquet (needs the extra `parquet`): the same fields as JSON lines"
    settings: ClassVar[frozenset[str]] = frozenset()
    unit = "row"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the file starts with the Parquet signature."""
        return path.is_file() and raw_head(path).startswith(b"PAR1")

    def records(self, skips: SkipReport) -> Iterator[tuple[int, Record]]:
        """Yield each row with its number, counted from 1. Raises MissingExtra without pyarrow."""
        worker.require("pyarrow", "parquet", "reading Parquet")
        yield from enumerate(rows(self.path, "rows"), 1)

    def count(self) -> int:
        """Return the number of rows given in the file footer. Raises MissingExtra without pyarrow."""
        worker.require("pyarrow", "parquet", "reading Parquet")
        with _reading(self.path, "Parquet") as size:
            return int(worker.call("hashret.worker.parquet:count", size, path=worker.real(self.path))[0])


def rows(path: Path, function: str, format: str = "Parquet") -> Iterator[Record]:
    """Yield the rows of a file that a function of `hashret.worker.parquet` reads.

    Raises DataError, which names the file, if it cannot be read.
    """
    with _reading(path, format) as size:
        for header, frame in worker.stream(f"hashret.worker.parquet:{function}", size, path=worker.real(path)):
            names, arrays, end = header
            text = frame[:end]
            columns = json.loads(text, object_hook=_bytes if _BYTES in text else None)
            for place, (dtype, shape) in arrays.items():
                found = np.frombuffer(frame, dtype, math.prod(shape), end).reshape(shape)
                columns[int(place)] = found.tolist()
                end += found.nbytes
            for row in zip(*columns, strict=True):
                yield dict(zip(names, row, strict=True))


@contextmanager
def _reading(path: Path, format: str) -> Iterator[int]:
    """Yield the size of the file; errors become a DataError that names the file."""
    with reading(path):
        size = path.stat().st_size
        try:
            yield size
        except worker.Unreadable as error:
            raise DataError(f"{shown(path)} cannot be read as {format}: {error}") from error


def _bytes(value: dict[str, Any]) -> Any:
    return Base64(value["\0"]) if len(value) == 1 and "\0" in value else value
