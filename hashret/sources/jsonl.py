"""JSON lines, plain or gzip."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from hashret.sources.decode import encoding_of, head
from hashret.sources.records import Records, json_lines
from hashret.sources.rules import Record
from hashret.sources.skip_report import SkipReport

_OBJECT = re.compile(
    r"\ufeff?\s*+(?:\[\s*+)?\{\s*+[\"}]"
)  # a list of objects too, so that its error says what is wrong


class JsonLines(Records):
    """A document a line: id, text or title and text or image or vector, label; the rest is metadata."""

    name: ClassVar[str] = "jsonl"
    summary: ClassVar[str] = "JSON lines, plain or gzip: id, text (or title and text, image, vector), label or labels"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A file that begins with a JSON object."""
        if not path.is_file():
            return False
        start = head(path)
        return _OBJECT.match(start.decode(encoding_of(start[:64], complete=False), "replace")) is not None

    def records(self, skips: SkipReport) -> Iterator[tuple[int, Record]]:
        """The objects with their line numbers."""
        return json_lines(self.path, self.path.name, skips)
