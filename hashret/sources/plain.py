"""A plain text file, a document a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from hashret.documents import Document
from hashret.sources.base import USUAL, Fields, Source, no_fields, portable, shown
from hashret.sources.decode import head, lines, looks_like_text
from hashret.sources.skip_report import SkipReport


class Lines(Source):
    """A document a line, blank lines left out; plain or gzip, in any encoding."""

    name: ClassVar[str] = "lines"
    summary: ClassVar[str] = "a plain text file, plain or gzip: a document a line"

    def __init__(self, path: Path, fields: Fields = USUAL) -> None:
        super().__init__(path, fields)
        no_fields(fields, f"a text file read by lines ({shown(path.name)})")
        self._told = False

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Any text file; it is tried last."""
        return path.is_file() and looks_like_text(head(path))

    def __iter__(self) -> Iterator[Document]:
        skips, name = SkipReport(), portable(self.path.name)
        for number, line in enumerate(lines(self.path, skips), 1):
            if text := line.strip():
                yield Document(f"{name}:{number}", text)
        if not self._told:
            self._told = True
            skips.tell(self.path)
