"""Sources of records: the base class `Records`, JSON lines, and plain text files with one document per line."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from hashret.documents import Document
from hashret.errors import DataError
from hashret.images import decoded
from hashret.readers.base import USUAL, Fields, Source, log, no_fields, portable, shown
from hashret.readers.decode import encoding_of, head, lines, looks_like_text
from hashret.readers.magic import NOTEBOOK
from hashret.readers.rules import Record, Rules
from hashret.readers.skip_report import SkipReport
from hashret.readers.spool import Spool

MAX_VALUES = 10**6  # in a line of JSON; a value takes up to 100 bytes of memory and as few as 2 in the file
# also matches a list of objects, so that the error message can say that it is a list
_OBJECT = re.compile(r"\ufeff?\s*+(?:\[\s*+)?\{\s*+[\"}]")
_TEXT = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\Z)', re.S)
SUFFIXES = {".jsonl", ".ndjson", ".jsonlines"}
MAX_DEPTH = 100  # of nested lists and objects; metadata has 3 or 4, and deep nesting breaks JSON writers


class Records(Source):
    """Base class of sources with one document per record."""

    settings: ClassVar[frozenset[str]] = frozenset({"encoding"})
    unit = "line"  # what record numbers count, for messages

    def __init__(self, path: Path, fields: Fields = USUAL) -> None:
        super().__init__(path, fields)
        self.rules = Rules(path.name, path.parent, fields, self.unit)
        self.extra: Mapping[str, Any] = {}  # fields of records that do not have them
        self._told = False
        self._failed: dict[Path, str] = {}  # images that cannot be decoded, with the reasons

    @abstractmethod
    def records(self, skips: SkipReport) -> Iterator[tuple[int, Record]]:
        """Yield each record with its number, counted from 1."""

    def __iter__(self) -> Iterator[Document]:
        skips, used = SkipReport(), 0
        for number, record in self.records(skips):
            document = self.rules.document({**self.extra, **record} if self.extra else record, number)
            if isinstance(document.content, Path) and not self._usable(document.content, skips):
                continue
            used += 1
            if isinstance(document.content, str) and not document.content:
                skips.note("documents with an empty text, kept")
            yield document
        if skips.failures and not used:
            raise DataError("; ".join([f"no documents in {shown(self.path)}", *skips.lines()]))
        if not self._told:
            self._told = True
            skips.tell(self.path)

    def _usable(self, image: Path, skips: SkipReport) -> bool:
        """Whether an image can be decoded; tried in the first iteration only. Raises DataError if `strict` is set."""
        reason = self._failed.get(image)
        if reason is None and not self._told:
            try:
                decoded(image)
            except OSError as error:
                reason = error.strerror or str(error)
            except DataError as error:
                reason = str(error)
        if reason is None:
            return True
        if self.strict:
            raise DataError(f"cannot read {shown(image)}: {reason}")
        self._failed[image] = reason
        skips.fail(image.name, reason)
        return False


class JsonLines(Records):
    """One JSON object per line: id, a content (text, title and text, image or vector), label; the rest is metadata."""

    name: ClassVar[str] = "jsonl"
    summary: ClassVar[str] = "JSON lines, plain or gzip: id, text (or title and text, image, vector), label or labels"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the file starts with a JSON object, or has the suffix of JSON lines."""
        if not path.is_file():
            return False
        if SUFFIXES & {suffix.lower() for suffix in path.suffixes[-2:]}:  # also if the first line is not JSON
            return looks_like_text(head(path))
        if path.suffix.lower() == NOTEBOOK:
            return False
        start = head(path)
        return _OBJECT.match(start.decode(encoding_of(start[:64], complete=False), "replace")) is not None

    def records(self, skips: SkipReport) -> Iterator[tuple[int, Record]]:
        """Yield each object with its line number."""
        return json_lines(self.path, self.rules.name, skips, self.fields.encoding)


class Lines(Source):
    """One document per line, without blank lines; plain or gzip, in any encoding."""

    name: ClassVar[str] = "lines"
    summary: ClassVar[str] = "a plain text file, plain or gzip: one document per line"
    settings: ClassVar[frozenset[str]] = frozenset({"encoding"})

    def __init__(self, path: Path, fields: Fields = USUAL) -> None:
        super().__init__(path, fields)
        no_fields(fields, f"a text file read by lines ({shown(path.name)})")
        self._told = False

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is a text file; this source is tried last."""
        return path.is_file() and looks_like_text(head(path))

    def __iter__(self) -> Iterator[Document]:
        skips, name = SkipReport(), portable(self.path.name)
        for number, line in enumerate(lines(self.path, skips, self.fields.encoding), 1):
            if text := line.strip():
                yield Document(f"{name}:{number}", text)
        if not self._told:
            self._told = True
            log.info("%s: read by lines, each is a document", shown(self.path))
            skips.tell(self.path)


def json_lines(
    path: Path | Spool, name: str, skips: SkipReport, encoding: str | None = None
) -> Iterator[tuple[int, Record]]:
    """Yield the objects of a JSON lines file, plain or gzip, with their line numbers; skip blank lines.

    Raises DataError for a line that is not one JSON object, or one with too many or too deeply nested values.
    """
    for number, line in enumerate(lines(path, skips, encoding), 1):
        if line.isspace():
            continue
        where = f"{shown(name)}, line {number}"
        if len(line) > MAX_VALUES and _values(line) > MAX_VALUES and _values(_TEXT.sub("", line)) > MAX_VALUES:
            raise DataError(f"{where}: more than {MAX_VALUES:,} values; write one document per line")
        try:
            record = json.loads(line, object_pairs_hook=unique)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{where}: not JSON ({error.msg} at character {error.pos + 1}); write one object per line"
            ) from None
        except RecursionError:
            raise DataError(f"{where}: nested deeper than {MAX_DEPTH} levels") from None
        except DataError as error:
            raise DataError(f"{where}: {error}") from None
        except ValueError as error:  # a number with thousands of digits
            raise DataError(f"{where}: unsupported JSON ({error})") from None
        if not isinstance(record, dict):
            kind = {list: "a list", str: "a text", type(None): "null"}.get(type(record), "a number or true or false")
            raise DataError(f"{where} is {kind}; write one JSON object per line")
        if line.count("[") + line.count("{") > MAX_DEPTH and deeper(record, MAX_DEPTH):
            raise DataError(f"{where}: nested deeper than {MAX_DEPTH} levels")
        if "\\ud" in line or "\\uD" in line:
            record = _mended(record, skips)
        yield number, record


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON. Raises DataError if it has a name twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise twice(next(name for name in names if names.count(name) > 1))
    return found


def twice(name: str) -> DataError:
    """Return the error for an object that has a name twice."""
    return DataError(f"the name {name[:60]!r} is there twice; remove one")


def _values(line: str) -> int:
    return line.count(",") + line.count(":") + line.count("[") + line.count("{")


def deeper(value: Any, depth: int) -> bool:
    """Whether lists and objects are nested deeper than `depth`."""
    if not isinstance(value, dict | list):
        return False
    return depth == 0 or any(deeper(part, depth - 1) for part in (value.values() if isinstance(value, dict) else value))


def _mended(value: Any, skips: SkipReport) -> Any:
    """Return the value with lone surrogates, which UTF-8 cannot encode, replaced by U+FFFD."""
    if isinstance(value, dict):
        return {_mended(name, skips): _mended(part, skips) for name, part in value.items()}
    if isinstance(value, list):
        return [_mended(part, skips) for part in value]
    if isinstance(value, str) and not value.isascii():
        mended = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        if mended != value:
            skips.note("texts with a lone surrogate, replaced by U+FFFD")
        return mended
    return value
