"""Translate a filter into SQL over the metadata of documents, by the rules of `hashret.filters.sql`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hashret.filters.expression import Value, kind_of_value
from hashret.filters.sql import Translator

OWN = {"id": "id", "label": "labels"}  # fields that are columns
TYPES = {"bool": "boolean", "number": "number", "text": "string"}  # of JSON values
KINDS = """
select distinct key, case json_typeof(value)
    when 'boolean' then 'bool' when 'number' then 'number' when 'string' then 'text' when 'null' then ''
    when 'array' then case
        when json_array_length(value) = 0 then ''
        when exists (select from json_array_elements(value) as item where json_typeof(item) <> 'string') then 'json'
        else 'texts' end
    else 'json' end as kind
from {documents}, json_each(metadata)
"""
ARRAY = "case when json_typeof({value}) = 'array' then {value} else '[]' end"


@dataclass
class Condition(Translator):
    """Collects the values of a condition, which psycopg binds."""

    values: dict[str, Any] = field(default_factory=dict)

    def one_of(self, name: str, values: tuple[Value, ...]) -> str:
        """Whether a field equals one of the values."""
        return "(" + " or ".join(self.comparison(name, "=", value) for value in values) + ")"

    def _value(self, value: Value) -> str:
        key = f"filter{len(self.values)}"
        self.values[key] = value
        return f"%({key})s"

    def missing(self, name: str) -> str:
        """Whether a field is null, an empty list or not there."""
        if name in OWN:
            return "false" if name == "id" else "cardinality(labels) = 0"
        value = f"(metadata -> {self._value(name)}::text)"
        return (
            f"(coalesce(json_typeof({value}), 'null') = 'null' or json_array_length({ARRAY.format(value=value)}) = 0 "
            f"and json_typeof({value}) = 'array')"
        )

    def comparison(self, name: str, operator: str, value: Value) -> str:
        """Whether a comparison holds for a value of its kind."""
        kind = kind_of_value(value)
        if kind == "text" and "\0" in str(value):  # PostgreSQL has no such text
            return "false"
        escape = " escape ''" if "like" in operator else ""
        if kind != "text":
            cast = "boolean" if kind == "bool" else "numeric"
            given = f"{self._value(value)}::{cast}"
            return "false" if name in OWN else self._typed(name, kind, f"({{text}})::{cast} {operator} {given}")
        test = f'{{text}} collate "C" {operator} {self._value(value)}::text{escape}'
        if name == "id":
            return f"({test.format(text='id')})"
        if name == "label":
            return f"exists (select from unnest(labels) as item where {test.format(text='item')})"
        return f"({self._typed(name, kind, test)} or {self._items(name, test)})"

    def _typed(self, name: str, kind: str, test: str) -> str:
        """Return a test of a value of a JSON type."""
        key = self._value(name)
        found = test.format(text=f"(metadata ->> {key}::text)")
        typed = f"json_typeof(metadata -> {key}::text) = '{TYPES[kind]}'"
        return f"coalesce(case when {typed} then {found} end, false)"

    def _items(self, name: str, test: str) -> str:
        """Return a test of the items of a list of texts."""
        value = f"(metadata -> {self._value(name)}::text)"
        items = ARRAY.format(value=value)
        return (
            f"(exists (select from json_array_elements_text({items}) as item where {test.format(text='item')}) and not "
            f"exists (select from json_array_elements({items}) as item where json_typeof(item) <> 'string'))"
        )
