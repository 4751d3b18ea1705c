"""Source of Arrow files, and of datasets of Hugging Face that were saved to a folder; needs the extra `parquet`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from hashret import worker
from hashret.errors import DataError
from hashret.readers.base import portable, shown
from hashret.readers.decode import raw_head
from hashret.readers.parquet import rows
from hashret.readers.records import Records
from hashret.readers.rules import Record
from hashret.readers.skip_report import SkipReport

SPLITS, STATE, INFO = "dataset_dict.json", "state.json", "dataset_info.json"  # files of `datasets`
_FILE, _STREAM = b"ARROW1\0\0", b"\xff\xff\xff\xff"


class Arrow(Records):
    """One document per row, with the same fields as JSON lines. Numbers of classes become the names of the classes."""

    name: ClassVar[str] = "arrow"
    summary: ClassVar[str] = "Arrow, or a saved dataset of Hugging Face (extra `parquet`): the fields of JSON lines"
    settings: ClassVar[frozenset[str]] = frozenset()
    unit = "row"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is an Arrow file, a saved dataset, or a folder of its splits."""
        if path.is_dir():
            return (path / SPLITS).is_file() or ((path / STATE).is_file() and (path / INFO).is_file())
        start = raw_head(path)
        return start.startswith(_FILE) or (start.startswith(_STREAM) and b"\0" in start[:64])

    def records(self, skips: SkipReport) -> Iterator[tuple[int, Record]]:
        """Yield each row with its number in the file or split. Raises MissingExtra without pyarrow."""
        worker.require("pyarrow", "parquet", "reading Arrow")
        if not self.path.is_dir():
            yield from enumerate(rows(self.path, "arrow_rows", "Arrow"), 1)
            return
        splits = self._json(self.path / SPLITS)["splits"] if (self.path / SPLITS).is_file() else []
        for split in splits or [""]:
            folder = self.path / str(split)
            self.rules.name = str(split) or portable(self.path.resolve().name)
            self.extra = {"split": str(split)} if split else {}
            names = _class_names(self._json(folder / INFO))
            number = 0
            for file in self._json(folder / STATE)["_data_files"]:
                for row in rows(folder / Path(file["filename"]).name, "arrow_rows", "Arrow"):
                    number += 1
                    yield number, named_classes(row, names)

    def _json(self, path: Path) -> Any:
        try:
            found = json.loads(path.read_bytes())
            if isinstance(found, dict) and all(
                isinstance(found.get(name), list) for name in ("splits", "_data_files") if name in found
            ):
                return found
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{shown(path)} cannot be read: {error}") from None
        raise DataError(f"{shown(path)} is damaged; save the dataset again")


def named_classes(row: Record, names: Mapping[str, list[str]]) -> Record:
    """Return a row with the names of its classes in place of their numbers."""
    found = dict(row)
    for field, own in names.items():
        value = found.get(field)
        if isinstance(value, int) and 0 <= value < len(own):
            found[field] = own[value]
        elif isinstance(value, list):
            found[field] = [own[each] if isinstance(each, int) and 0 <= each < len(own) else each for each in value]
    return found


def _class_names(info: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the names of the classes of each field that has classes, or lists of them."""
    found = {}
    for field, feature in (info.get("features") or {}).items():
        if isinstance(feature, dict) and isinstance(feature.get("feature"), dict):
            feature = feature["feature"]
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel":
            found[field] = list(map(str, feature.get("names") or []))
    return found
