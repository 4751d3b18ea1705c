"""Source of a BEIR folder: a corpus, queries and relevance judgements."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from hashret.errors import DataError
from hashret.readers.base import USUAL, Fields, shown
from hashret.readers.records import Records, json_lines
from hashret.readers.rules import Record, Rules
from hashret.readers.skip_report import SkipReport


class Beir(Records):
    """The documents of corpus.jsonl or corpus.jsonl.gz, with the queries in `queries` and the judgements in `qrels`."""

    name: ClassVar[str] = "beir"
    summary: ClassVar[str] = "a BEIR folder: corpus.jsonl, queries.jsonl and qrels/; its documents are the corpus"

    def __init__(self, path: Path, fields: Fields = USUAL, part: str = "corpus") -> None:
        super().__init__(path, fields)
        file = _file(path, part)
        if file is None:
            raise DataError(f"no {part}.jsonl or {part}.jsonl.gz in {shown(path)}")
        self.file = file
        self.rules = Rules(file.name, path, fields)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the folder has a corpus.jsonl and either queries or judgements."""
        return _file(path, "corpus") is not None and (_file(path, "queries") is not None or (path / "qrels").is_dir())

    def records(self, skips: SkipReport) -> Iterator[tuple[int, Record]]:
        """Yield each object with its line number."""
        return json_lines(self.file, self.file.name, skips)

    @property
    def queries(self) -> Beir:
        """The queries as a source. Raises DataError if there is no queries.jsonl."""
        return Beir(self.path, part="queries")

    @property
    def qrels(self) -> list[Path]:
        """The files in qrels/, sorted; empty if there is no such folder."""
        folder = self.path / "qrels"
        return sorted(p for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []


def _file(path: Path, part: str) -> Path | None:
    candidates = (path / f"{part}.jsonl", path / f"{part}.jsonl.gz")
    return next((file for file in candidates if file.is_file()), None)
