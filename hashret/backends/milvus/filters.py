"""Translate a filter into an expression of Milvus over the field `fields`, by the rules of `hashret.filters.sql`.

`fields` is a JSON object: a digest of each metadata field's name with its value. Texts are the hexadecimal digits of
their UTF-8, which sort as the texts do, so no name and no text needs an escape. A comparison with a missing value, or
with one of another type, is false in Milvus, as it is in a filter.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hashret.backends.base import Selection
from hashret.backends.milvus.values import digest, label_number
from hashret.columns import kind_of
from hashret.errors import UsageError
from hashret.filters.expression import Value
from hashret.filters.sql import Kinds, Translator
from hashret.store import Record

LONG = 2000  # bytes of a text that can be compared
UNCOMPARED = "long"  # kind of longer texts, in addition to the kinds of `hashret.columns`
OTHER = [0]  # stands for a value that is not compared
LARGEST = (1 << 63) - 1  # integer

_PREFIX = re.compile(r"[^%_]*%?", re.S)  # patterns that Milvus 2.3 can match


def fields_of(record: Record) -> dict[str, Any]:
    """Return the values of a record that filters compare."""
    fields = {name: _stored(value) for name, value in record.metadata.items() if kind_of(value) is not None}
    fields["id"] = _stored(record.id)
    return {digest(name): value for name, value in fields.items()}


def kinds_of(records: Iterable[Record], known: Kinds) -> dict[str, list[str]]:
    """Return the kinds of values of each field, together with those that are known."""
    found = {name: set(kinds) for name, kinds in known.items()}
    for record in records:
        for name, value in record.metadata.items():
            if kind := _kind(value):
                found.setdefault(name, set()).add(kind)
    return {name: sorted(kinds) for name, kinds in sorted(found.items())}


@dataclass
class Condition(Translator):
    """A filter as an expression. Raises UsageError for what Milvus 2.3 cannot evaluate."""

    kinds: Kinds

    def missing(self, name: str) -> str:
        """Whether a field has no value."""
        if name == "label":
            return "(array_length(labels) == 0)"
        return f"(not (exists {_key(name)}))"

    def one_of(self, name: str, values: tuple[Value, ...]) -> str:
        """Whether a field equals one of the values."""
        return "(" + " or ".join(self.comparison(name, "=", value) for value in values) + ")"

    def comparison(self, name: str, operator: str, value: Value) -> str:
        """Whether a comparison of a field with a value holds."""
        if not isinstance(value, str):
            return f"({_key(name)} {_symbol(operator)} {_number(value)})"
        if UNCOMPARED in self.kinds.get(name, ()):
            raise UsageError(f"field {name!r} holds texts of more than {LONG:,} bytes, which milvus cannot compare")
        if "texts" in self.kinds.get(name, ()) and operator != "=":
            raise UsageError(f"field {name!r} holds lists, which milvus compares with = and in only")
        if name == "label":
            return f"array_contains(labels, {label_number(value)})"
        tests = [self._text(name, operator, value)]
        if "texts" in self.kinds.get(name, ()):
            tests.append(f'json_contains({_key(name)}, "{_hex(value)}")')
        return f"({' or '.join(tests)})"

    def _text(self, name: str, operator: str, value: str) -> str:
        if "like" not in operator:
            return f'({_key(name)} {_symbol(operator)} "{_hex(value)}")'
        if operator == "ilike" or not _PREFIX.fullmatch(value):
            raise UsageError(f"milvus supports like for a prefix only, such as {name} like 'Dar%', got {value!r}")
        if value.endswith("%"):
            return f'({_key(name)} like "{_hex(value[:-1])}%")'
        return f'({_key(name)} == "{_hex(value)}")'


def condition_of(selection: Selection, own: int | None, kinds: Kinds) -> str:
    """Return the expression for the documents of a selection, without the one at position `own`; "" for all."""
    parts = [among_labels(selection.labels)] if selection.labels else []
    parts += [Condition(kinds).condition(selection.where)] if selection.where is not None else []
    parts += [f"position != {own}"] if own is not None else []
    return " and ".join(parts)


def among_labels(labels: Sequence[str]) -> str:
    """Return the expression for documents with one of the labels."""
    return f"array_contains_any(labels, {json.dumps([label_number(label) for label in labels])})"


def with_own(fields: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the kinds of fields, with those of `id` and `label`."""
    every = {name: list(kinds) for name, kinds in fields.items()} | {"id": ["text"], "label": ["texts"]}
    return dict(sorted(every.items()))


def _stored(value: Any) -> Any:
    kind = _kind(value)
    if kind == "text":
        return _hex(value)
    if kind == "texts":
        return [_hex(item) for item in value]
    if kind == "float":
        return _finite(value)
    return value if kind in ("bool", "int") else OTHER


def _kind(value: Any) -> str | None:
    kind = kind_of(value)
    texts = {"text": [value], "texts": value}.get(kind or "", [])
    return UNCOMPARED if any(len(_hex(text)) > 2 * LONG for text in texts) else kind


def _key(name: str) -> str:
    return f'fields["{digest(name)}"]'


def _hex(text: str) -> str:
    return text.encode("utf-8", "surrogatepass").hex()


def _finite(value: float) -> float:
    """Return a number as a finite float: JSON has no infinity, so the largest float takes its place."""
    try:
        return max(-sys.float_info.max, min(sys.float_info.max, float(value)))
    except OverflowError:
        return math.copysign(sys.float_info.max, value)


def _number(value: bool | float) -> str:
    whole = isinstance(value, bool) or (isinstance(value, int) and abs(value) <= LARGEST)
    return json.dumps(value if whole else _finite(value))


def _symbol(operator: str) -> str:
    return "==" if operator == "=" else operator
