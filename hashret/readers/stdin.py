"""Standard input, as JSON lines."""

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
    """JSON lines from standard input, kept in a temporary file once they are asked for."""

    name: ClassVar[str] = "stdin"
    summary: ClassVar[str] = "-: JSON lines from standard input; images' paths are relative to the working folder"

    def __init__(self, path: Path, fields: Fields = USUAL) -> None:
        if str(path) != "-":
            raise UsageError(f"standard input is the path -, got {shown(path)}")
        super().__init__(path, fields)
        self.rules = Rules("stdin", Path.cwd(), fields)
        self._spool: Spool | None = None

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """The path `-`."""
        return str(path) == "-"

    def records(self, skips: SkipReport) -> Iterator[tuple[int, Record]]:
        """The objects with their line numbers."""
        if self._spool is None:
            spool = Spool()
            spool.copy(sys.stdin.buffer)
            self._spool = spool
        return json_lines(self._spool, "stdin", skips)
