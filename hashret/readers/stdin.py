"""Source of JSON lines from standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from hashret.errors import UsageError
from hashret.readers.base import USUAL, Fields, shown
from hashret.readers.records import Records, json_lines
from hashret.readers.rules import Record, Rules
from hashret.readers.skip_report import SkipReport
from hashret.readers.spool import Spool


class Stdin(Records):
    """JSON lines from standard input, stored in a temporary file at the first iteration."""

    name: ClassVar[str] = "stdin"
    summary: ClassVar[str] = "-: JSON lines from standard input; paths of images are relative to the working folder"

    def __init__(self, path: Path, fields: Fields = USUAL) -> None:
        if str(path) != "-":
            raise UsageError(f"the path of standard input must be -, got {shown(path)}")
        super().__init__(path, fields)
        self.rules = Rules("stdin", Path.cwd(), fields)
        self._spool: Spool | None = None

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the path is `-`."""
        return str(path) == "-"

    def records(self, skips: SkipReport) -> Iterator[tuple[int, Record]]:
        """Yield each object with its line number."""
        if self._spool is None:
            spool = Spool()
            spool.copy(sys.stdin.buffer)
            self._spool = spool
        return json_lines(self._spool, "stdin", skips, self.fields.encoding)
