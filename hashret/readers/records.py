"""Sources of records: the base class `Records`, JSON lines, and plain text files read by lines."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from hashret.documents import Document
from hashret.errors import DataError
from hashret.images import decoded
from hashret.readers.base import USUAL, Fields, Source, no_fields, portable, shown
from hashret.readers.decode import encoding_of, head, lines, looks_like_text
from hashret.readers.rules import Record, Rules
from hashret.readers.skip_report import SkipReport
from hashret.readers.spool import Spool

MAX_VALUES = 10**6  # in a line of JSON; each takes up to 100 bytes of memory and may take 2 in the file
_OBJECT = re.compile(
    r"\ufeff?\s*+(?:\[\s*+)?\{\s*+[\"}]"
)  # a list of objects too, so that its error says what is wrong
_TEXT = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\Z)', re.S)
MAX_DEPTH = 100  # of lists in lists; metadata has three or four, and what is deeper breaks those who write it out


class Records(Source):
    """A file of records, a document each."""

    unit = "line"  # what a record's number counts

    def __init__(self, path: Path, fields: Fields = USUAL) -> None:
        super().__init__(path, fields)
        self.rules = Rules(path.name, path.parent, fields, self.unit)
        self._told = False
        self._failed: dict[Path, str] = {}  # images that cannot be decoded, with the reasons

    @abstractmethod
    def records(self, skips: SkipReport) -> Iterator[tuple[int, Record]]:
        """The records with their numbers, counted from 1."""

    def __iter__(self) -> Iterator[Document]:
        skips, used = SkipReport(), 0
        for number, record in self.records(skips):
            document = self.rules.document(record, number)
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
        """Whether an image can be decoded, which is tried in the first iteration; with `strict`, DataError."""
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


def json_lines(path: Path | Spool, name: str, skips: SkipReport) -> Iterator[tuple[int, Record]]:
    """The objects of a file of JSON lines, plain or gzip, with their line numbers; blank lines are passed over."""
    for number, line in enumerate(lines(path, skips), 1):
        if line.isspace():
            continue
        where = f"{shown(name)}, line {number}"
        if len(line) > MAX_VALUES and _values(line) > MAX_VALUES and _values(_TEXT.sub("", line)) > MAX_VALUES:
            raise DataError(f"{where}: more than {MAX_VALUES:,} values; is it one document a line?")
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{where}: not JSON ({error.msg} at character {error.pos + 1}); one object a line"
            ) from None
        except RecursionError:
            raise DataError(f"{where}: nested more than {MAX_DEPTH} deep") from None
        except ValueError as error:  # a number of thousands of digits
            raise DataError(f"{where}: not JSON that can be read ({error})") from None
        if not isinstance(record, dict):
            kind = {list: "a list", str: "a text", type(None): "null"}.get(type(record), "a number or true or false")
            raise DataError(f"{where} is {kind}; JSON lines hold one object a line")
        if line.count("[") + line.count("{") > MAX_DEPTH and _deeper(record, MAX_DEPTH):
            raise DataError(f"{where}: nested more than {MAX_DEPTH} deep")
        if "\\ud" in line or "\\uD" in line:
            record = _mended(record, skips)
        yield number, record


def _values(line: str) -> int:
    return line.count(",") + line.count(":") + line.count("[") + line.count("{")


def _deeper(value: Any, depth: int) -> bool:
    """Whether lists and objects lie in each other more than so deep."""
    if not isinstance(value, dict | list):
        return False
    return depth == 0 or any(
        _deeper(part, depth - 1) for part in (value.values() if isinstance(value, dict) else value)
    )


def _mended(value: Any, skips: SkipReport) -> Any:
    """The value with halves of surrogate pairs, which no file can hold, replaced."""
    if isinstance(value, dict):
        return {_mended(name, skips): _mended(part, skips) for name, part in value.items()}
    if isinstance(value, list):
        return [_mended(part, skips) for part in value]
    if isinstance(value, str) and not value.isascii():
        mended = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        if mended != value:
            skips.note("texts with half a surrogate pair, replaced by U+FFFD")
        return mended
    return value
