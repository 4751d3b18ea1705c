"""Source of JSON: an array of objects, an object that contains one, or objects one after the other."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, ClassVar

import ijson

from hashret.errors import DataError
from hashret.readers.base import shown
from hashret.readers.decode import HEAD_BYTES, encoding_of, head, open_bytes, reading
from hashret.readers.magic import NOTEBOOK
from hashret.readers.records import MAX_DEPTH, Records, deeper, twice
from hashret.readers.rules import Record
from hashret.readers.skip_report import SkipReport

LOOK = 1 << 20  # bytes in which the array is searched for
MAX_ITEM = 64 << 20  # bytes of one item
CONTENT = frozenset({"text", "title", "image", "vector"})


class Json(Records):
    """One document per object of an array; the array can be inside an object. The file is read in small pieces."""

    name: ClassVar[str] = "json"
    summary: ClassVar[str] = "JSON, plain or gzip: an array of objects, or an object that contains one"
    unit = "item"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether it is an array of objects, or an object that goes on after the first line or contains an array."""
        if not path.is_file() or path.suffix.lower() == NOTEBOOK:
            return False
        start = head(path)
        complete = len(start) < HEAD_BYTES
        text = start.decode(encoding_of(start[:64], complete=False), "replace").lstrip("\ufeff \t\r\n")
        if text.startswith("["):
            return text[1:].lstrip().startswith("{")
        if not text.startswith("{"):
            return False
        first, more, rest = text.partition("\n")
        try:
            record = json.loads(first)
        except ValueError:
            broken = bool(more) and first.rstrip()[-1:] in "{[,"  # an object over several lines, not a damaged line
            return broken or (not more and not complete and path.suffix.lower() == ".json")
        except RecursionError:
            return False
        return complete and not rest.strip() and isinstance(record, dict) and _holds_array(record)

    def records(self, skips: SkipReport) -> Iterator[tuple[int, Record]]:
        """Yield each object with its number, counted from 1. Raises DataError for what is not JSON."""
        with reading(self.path), open_bytes(self.path) as stream:
            source = _Utf8(stream, self._encoding())
            prefix = self._prefix(source.peek(LOOK))
            items = ijson.items(source, prefix, multiple_values=True, buf_size=HEAD_BYTES, map_type=_Object)
            number = 0
            while True:
                source.left = MAX_ITEM
                number += 1
                where = f"{shown(self.rules.name)}, item {number}"
                try:
                    item = next(items, None)
                except ijson.JSONError as error:
                    raise DataError(f"{where}: not JSON ({_reason(error)})") from None
                except OverflowError:
                    raise DataError(f"{where} is longer than {MAX_ITEM:,} bytes") from None
                if item is None:
                    return
                if not isinstance(item, dict):
                    raise DataError(f"{where} is {item!r:.60}; each item must be an object")
                if deeper(item, MAX_DEPTH):
                    raise DataError(f"{where}: nested deeper than {MAX_DEPTH} levels")
                try:
                    record = _plain(item)
                except DataError as error:
                    raise DataError(f"{where}: {error}") from None
                yield number, record

    def _encoding(self) -> str:
        start = head(self.path)
        return encoding_of(start, complete=len(start) < HEAD_BYTES, given=self.fields.encoding)

    def _prefix(self, start: bytes) -> str:
        """Return where the items are, in the notation of ijson: the first array of objects, or the objects themselves.

        An object with a content is an item itself, whatever arrays it contains.
        """
        wanted = CONTENT | {name.partition(".")[0] for name in self.fields.text}
        found, array = None, None
        try:
            for prefix, event, value in ijson.parse(io.BytesIO(start), multiple_values=True):
                if found == "item" or (prefix == "" and event == "map_key" and value in wanted):
                    break
                if event == "start_map" and array is not None and found is None:
                    found = prefix
                array = prefix if event == "start_array" and "item" not in prefix.split(".") else None
            else:
                return found or ""
        except ijson.JSONError:  # the start of a longer file, or an error that `records` reports
            return found or ""
        return "item" if found == "item" else ""


class _Utf8:
    """A stream as UTF-8, which ijson needs. Raises OverflowError after `left` more bytes."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self.stream, self.left, self.ahead = stream, MAX_ITEM, b""
        self.decoder = codecs.getincrementaldecoder(encoding)("replace")

    def peek(self, size: int) -> bytes:
        """Return the first bytes, which are read again."""
        self.ahead = self._converted(size)
        return self.ahead

    def read(self, size: int) -> bytes:
        """Return at most about `size` bytes."""
        if self.ahead:
            found, self.ahead = self.ahead[:size], self.ahead[size:]
        else:
            found = self._converted(size)
        self.left -= len(found)
        if self.left < 0:
            raise OverflowError
        return found

    def _converted(self, size: int) -> bytes:
        while raw := self.stream.read(size):
            if text := self.decoder.decode(raw):
                return text.encode("utf-8", "replace")
        return self.decoder.decode(b"", True).encode()


class _Object(dict[str, Any]):
    """An object of JSON, which knows a name that was there twice."""

    twice: str | None = None

    def __setitem__(self, name: str, value: Any) -> None:
        if name in self:
            self.twice = name  # ijson does not expect an exception here
        super().__setitem__(name, value)


def _holds_array(record: dict[str, Any]) -> bool:
    """Whether an object has no content, but an array of objects at some depth."""
    if CONTENT & record.keys():
        return False
    waiting: list[Any] = [record]
    while waiting:
        for value in waiting.pop().values():
            if isinstance(value, list) and value and isinstance(value[0], dict):
                return True
            waiting += [value] if isinstance(value, dict) else []
    return False


def _plain(value: Any) -> Any:
    """Return a value with decimal numbers as floats. Raises DataError for an object that has a name twice."""
    if isinstance(value, dict):
        if isinstance(value, _Object) and value.twice is not None:
            raise twice(value.twice)
        return {name: _plain(own) for name, own in value.items()}
    if isinstance(value, list):
        return [_plain(own) for own in value]
    return float(value) if isinstance(value, Decimal) else value


def _reason(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return text.strip().splitlines()[0][:100] if text.strip() else "it ends too early"
