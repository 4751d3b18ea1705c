"""Translate a filter into SQL over the columns of an index.

Each comparison is true or false and never null: a comparison with a missing value is false. So `author != 'Darwin'` and
`not (author = 'Darwin')` hold for documents without an author. A comparison looks only at values of its own kind, and
holds for a list of texts if it holds for one of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hashret.errors import UsageError
from hashret.filters.expression import And, Comparison, Expression, Missing, Not, OneOf, Or, Value, kind_of_value

Kinds = Mapping[str, Sequence[str]]  # the kinds of values that a field has

COMPARED = {"bool": ("bool",), "number": ("int", "float"), "text": ("text", "texts")}
CALLED = {"bool": "true or false", "int": "numbers", "float": "numbers", "text": "texts", "texts": "lists of texts"}
CALLED |= {"json": "objects or other lists", "long": "texts that the engine cannot compare"}
VALUES = {"bool": "true", "number": "1871", "text": "'Darwin'"}


class Translator(ABC):
    """Translates a filter into SQL; a subclass translates what looks at a field."""

    def condition(self, expression: Expression) -> str:
        """Return the SQL of a filter. It is true or false, never null."""
        match expression:
            case And(of) | Or(of):
                word = " and " if isinstance(expression, And) else " or "
                return "(" + word.join(map(self.condition, of)) + ")"
            case Not(of):
                return f"(not {self.condition(of)})"
            case Missing(name):
                return self.missing(name)
            case OneOf(name, values):
                return self.one_of(name, values)
            case Comparison(name, operator, value):
                return self.comparison(name, operator, value)

    @abstractmethod
    def missing(self, name: str) -> str:
        """Whether a field has no value."""

    @abstractmethod
    def one_of(self, name: str, values: tuple[Value, ...]) -> str:
        """Whether a field equals one of the values, which are of one kind."""

    @abstractmethod
    def comparison(self, name: str, operator: str, value: Value) -> str:
        """Whether a comparison of a field with a value holds."""


@dataclass
class Translation(Translator):
    """A filter as SQL with parameters; `columns` maps field and kind to the name of a column.

    Raises UsageError for an unknown field, or a value of another kind.
    """

    kinds: Kinds
    columns: dict[tuple[str, str], str] = field(default_factory=dict)
    parameters: list[Value] = field(default_factory=list)

    def missing(self, name: str) -> str:
        """Whether no column of a field has a value."""
        return "(" + " AND ".join(f"{self._column(name, kind)} IS NULL" for kind in self._kinds(name)) + ")"

    def one_of(self, name: str, values: tuple[Value, ...]) -> str:
        """Whether a field equals one of the values."""
        return self._any(name, values, f"IN ({', '.join('?' * len(values))})")

    def comparison(self, name: str, operator: str, value: Value) -> str:
        """Whether a comparison holds."""
        return self._any(name, (value,), f"{operator.upper()} ?")

    def _any(self, name: str, values: tuple[Value, ...], test: str) -> str:
        """Return the SQL of a test of the values of a field, of any kind that fits."""
        called = kind_of_value(values[0])
        found = [kind for kind in COMPARED[called] if kind in self._kinds(name)]
        if not found:
            there = " and ".join(dict.fromkeys(CALLED[kind] for kind in self._kinds(name)))
            can = [f"{name} = {VALUES[own]}" for own, kinds in COMPARED.items() if set(kinds) & set(self._kinds(name))]
            how = f"use {' or '.join(can)}" if can else "it cannot be compared"
            raise UsageError(f"field {name!r} holds {there}, and is compared with {values[0]!r}; {how}")
        if called == "bool" and test[0] not in "=I":
            raise UsageError(f"field {name!r} is true or false and has no order; compare it with =")
        return "(" + " OR ".join(self._one(self._column(name, kind), kind, values, test) for kind in found) + ")"

    def _one(self, column: str, kind: str, values: tuple[Value, ...], test: str) -> str:
        self.parameters.extend(values)
        if kind == "texts":
            return f"coalesce(len(list_filter({column}, lambda item: item {test})) > 0, false)"
        return f"coalesce({column} {test}, false)"

    def _kinds(self, name: str) -> Sequence[str]:
        if name not in self.kinds:
            there = ", ".join(sorted(self.kinds)[:20]) + (", ..." if len(self.kinds) > 20 else "")
            raise UsageError(f"no document has the field {name!r}; fields: {there}; texts have single quotes")
        return self.kinds[name]

    def _column(self, name: str, kind: str) -> str:
        return self.columns.setdefault((name, kind), f"c{len(self.columns)}")


def check(expression: Expression, kinds: Kinds) -> None:
    """Raise UsageError for an unknown field, or a comparison with a value of another kind."""
    Translation(kinds).condition(expression)
