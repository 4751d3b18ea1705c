"""`Rules` convert a record, a mapping from field names to values, to a document."""

from __future__ import annotations

import base64
import difflib
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from hashret.documents import Content, Document
from hashret.errors import DataError, UsageError
from hashret.images import load
from hashret.readers.base import Fields, portable, shown

Record = Mapping[str, Any]

ID, LABEL = ("id", "_id"), ("label", "labels")  # default names; the first one present is used


NUMBERED = "file:number"  # in place of the field of the id: the file's name and the record's number
NAMED_FIELDS = 20  # field names listed in a message


class Base64(str):
    """A binary value of a record that is not UTF-8 text, as base64."""


class Rules:
    """Conversion of the records of one file; records without an id get `name:number`, images are inside `folder`."""

    def __init__(self, name: str, folder: Path, fields: Fields, unit: str = "line") -> None:
        if fields.label == "folder":
            raise UsageError(
                f"{shown(name)} is not a folder of files, so the label cannot be 'folder'; give the name of a field"
            )
        self.name, self.folder, self.fields, self.unit = name, folder, fields, unit
        self._real_folder = folder.resolve()

    def document(self, record: Record, number: int) -> Document:
        """Return the document of a record; `number`, counted from 1, is used for its id and in messages.

        Raises DataError if a named field is missing or a value has a wrong type.
        """
        where = f"{shown(self.name)}, {self.unit} {number}"
        record = self._lifted(record)
        for name in (self.fields.id, self.fields.label, *self.fields.text):
            if name is not None and name not in record and name != NUMBERED:
                raise self._missing(record, name, number)
        used: set[str] = set()
        id = self._id(record, number, where, used)
        content = self._content(record, where, used)
        labels = self._labels(record, where, used)
        if isinstance(record.get("title"), str) and record["title"]:
            used.discard("title")  # also kept by itself, because words of titles count for more
        return Document(id, content, labels, {name: value for name, value in record.items() if name not in used})

    def _lifted(self, record: Record) -> Record:
        """Return a record with fields inside of objects, such as `body.text`, as fields of its own."""
        for name in (self.fields.id, self.fields.label, *self.fields.text):
            if name is None or "." not in name or name in record:
                continue
            *path, last = name.split(".")
            copy = dict(record)
            inner: Any = copy
            for part in path:
                below = inner.get(part) if isinstance(inner, dict) else None
                if not isinstance(below, dict):
                    break
                inner[part] = dict(below)
                inner = inner[part]
            else:
                if last in inner:
                    copy[name] = inner.pop(last)
                    record = copy
        return record

    def _id(self, record: Record, number: int, where: str, used: set[str]) -> str:
        for name in () if self.fields.id == NUMBERED else (self.fields.id,) if self.fields.id else ID:
            value = record.get(name)
            if value is None:
                continue
            used.add(name)
            if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "" or value != value:
                raise DataError(f"{where}: the id in {name!r} must be a text or a number, got {_brief(value)}")
            if isinstance(value, str) and not value.isascii() and portable(value) != value:
                raise DataError(f"{where}: the id {value!r} is not valid text")
            return label_text(value)
        if self.fields.id and self.fields.id != NUMBERED:
            raise DataError(f"{where}: the id in {self.fields.id!r} is empty")
        return f"{portable(self.name)}:{number}"

    def _content(self, record: Record, where: str, used: set[str]) -> Content:
        if self.fields.text:
            used.update(self.fields.text)
            only = record[self.fields.text[0]]
            if len(self.fields.text) == 1 and isinstance(only, list | np.ndarray):
                return vector(only, where)
            return _text(record, self.fields.text, where)
        # in a table, a null text means that this row has its content in another column
        if record.get("text") is None and record.get("image") is not None:
            used.add("image")
            return self._image(record["image"], where)
        if record.get("text") is None and record.get("vector") is not None:
            used.add("vector")
            return vector(record["vector"], where)
        if "text" not in record:
            raise DataError(f"{where} has no text, image or vector; it has {_there(record)}; choose a field with text")
        names = tuple(name for name in ("title", "text") if name in record)
        used.update(names)
        return _text(record, names, where)

    def _labels(self, record: Record, where: str, used: set[str]) -> tuple[str, ...]:
        names = [self.fields.label] if self.fields.label else [name for name in LABEL if name in record]
        used.update(names[:1])
        for name in names:
            if (value := record[name]) is None:
                continue
            used.add(name)
            values = value if isinstance(value, list | tuple) else [value]
            for each in values:
                if each is not None and not isinstance(each, str | int | float):
                    raise DataError(f"{where}: the label in {name!r} must be texts or numbers, got {_brief(each)}")
            # empty cells and NaN in a table are not labels
            return tuple(dict.fromkeys(label_text(v) for v in values if v is not None and v != "" and v == v))
        return ()

    def _image(self, value: Any, where: str) -> Path | np.ndarray[Any, Any]:
        if isinstance(value, Mapping):  # an image of a dataset of Hugging Face
            if value.get("bytes") is None:
                return self._image(value.get("path"), where)
            raw = value["bytes"]
            raw = base64.b64decode(raw) if isinstance(raw, Base64) else raw
            return np.asarray(load(raw.encode() if isinstance(raw, str) else raw, where))
        if callable(getattr(value, "convert", None)):  # an image of Pillow
            return np.asarray(value.convert("RGB"))
        if isinstance(value, np.ndarray):
            return value
        if not isinstance(value, str):
            raise DataError(f"{where}: 'image' must be a path, got {_brief(value)}")
        if Path(value).is_absolute() or PureWindowsPath(value).drive or PureWindowsPath(value).root:
            raise DataError(f"{where}: the image {value!r} must be a path relative to {shown(self.folder)}")
        try:
            real = (self._real_folder / value).resolve()
            inside, there = real.is_relative_to(self._real_folder), real.is_file()
        except (OSError, ValueError, RuntimeError):  # too long, with a zero byte, or a link to itself
            raise DataError(f"{where}: the image {value!r} is not a path") from None
        if not inside:
            raise DataError(f"{where}: the image {value!r} is outside {shown(self.folder)}; move it into that folder")
        if not there:
            raise DataError(f"{where}: image {value!r} not found in {shown(self.folder)}")
        return self.folder.absolute() / real.relative_to(self._real_folder)

    def _missing(self, record: Record, name: str, number: int) -> DataError:
        names = [str(key)[:64] for key, _ in zip(record, range(NAMED_FIELDS), strict=False)]
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return DataError(
            f"{shown(self.name)}: no field {name!r} in {self.unit} {number}; it has {_there(record)}{hint}"
        )


def label_text(value: str | float) -> str:
    """Return a label or id as text; 3 and 3.0 both become "3"."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else str(value)


def vector(value: Any, where: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return a list of numbers as float32 [dim]. Raises DataError if it is not one, or holds NaN or infinity."""
    try:
        numbers = np.asarray(value)
    except ValueError:  # rows of different lengths
        numbers = np.empty((0, 0))
    if numbers.ndim != 1 or numbers.size == 0 or numbers.dtype.kind not in "iuf":
        raise DataError(f"{where}: a vector must be a list of numbers, got {_brief(value)}")
    with np.errstate(over="ignore"):
        single = numbers.astype(np.float32)
    if not np.isfinite(single).all():
        raise DataError(
            f"{where}: the vector holds a NaN, an infinity or a number too large for float32; remove the row"
        )
    return single


def _text(record: Record, names: tuple[str, ...], where: str) -> str:
    parts = []
    for name in names:
        value = record[name]
        if isinstance(value, Base64):
            raise DataError(f"{where}: {name!r} holds bytes that are not UTF-8 text; save it as text")
        if value is not None and not isinstance(value, str):
            raise DataError(f"{where}: {name!r} must be a text, got {_brief(value)}")
        if value:
            parts.append(value)
    return "\n".join(parts)


def _there(record: Record) -> str:
    """Return the field names of a record for a message, at most NAMED_FIELDS."""
    names = [str(key)[:64] for key, _ in zip(record, range(NAMED_FIELDS), strict=False)]
    more = f" and {len(record) - NAMED_FIELDS} more" if len(record) > NAMED_FIELDS else ""
    return shown(", ".join(names) + more) or "nothing"


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
