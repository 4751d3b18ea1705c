"""Parquet files, through the extra `parquet`."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from hashret.errors import DataError, need
from hashret.sources.base import shown
from hashret.sources.decode import raw_head
from hashret.sources.records import Records
from hashret.sources.rules import Record
from hashret.sources.tally import Tally

BATCH = 256  # rows in memory at once


class Parquet(Records):
    """A document a row, with the fields of JSON lines."""

    name: ClassVar[str] = "parquet"
    summary: ClassVar[str] = "Parquet (needs the extra `parquet`): the same fields as JSON lines"
    unit = "row"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A file that begins with Parquet's mark."""
        return path.is_file() and raw_head(path).startswith(b"PAR1")

    def records(self, tally: Tally) -> Iterator[tuple[int, Record]]:
        """The rows, counted from 1."""
        number = 0
        with self._open() as table:
            for batch in table.iter_batches(batch_size=BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, {name: _plain(value) for name, value in row.items()}

    def count(self) -> int:
        """The rows that the file's footer tells."""
        with self._open() as table:
            return int(table.metadata.num_rows)

    @contextmanager
    def _open(self) -> Iterator[Any]:
        pyarrow = need("pyarrow", "parquet", "reading Parquet")
        parquet = need("pyarrow.parquet", "parquet", "reading Parquet")
        try:
            # opened here, for pyarrow knows UTF-8 names only
            with self.path.open("rb") as stream, parquet.ParquetFile(stream) as table:
                yield table
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            words = " ".join(str(error).split())
            raise DataError(f"{shown(self.path)} cannot be read as Parquet: {words}") from error


def _plain(value: Any) -> Any:
    """The value as JSON could hold it: dates and decimals as text, bytes in base64."""
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return value if value and isinstance(value[0], float) else [_plain(part) for part in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return value if isinstance(value, str | int | float | None) else json.loads(json.dumps(value, default=str))
