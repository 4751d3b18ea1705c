"""Parse a filter into a tree.

A filter is a condition in SQL: comparisons of a field with a value (`=`, `!=`, `<`, `<=`, `>`, `>=`), `in`, `between`,
`like`, `ilike`, `is null`, a field that is true or false, and `and`, `or`, `not`. Nothing else of SQL is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hashret.errors import UsageError, need

Value = str | int | float | bool
EXAMPLE = "year >= 1871 and author = 'Darwin'"
ARGUMENTS = {"this", "expression", "expressions", "low", "high", "table", "db", "catalog", "negate"}
FLIPPED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True)
class Comparison:
    """A field compared with a value: =, <, <=, >, >=, like or ilike."""

    field: str
    operator: str
    value: Value


@dataclass(frozen=True)
class OneOf:
    """A field that equals one of the values, all texts or all numbers."""

    field: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Missing:
    """A field without a value."""

    field: str


@dataclass(frozen=True)
class Not:
    """The opposite."""

    of: Expression


@dataclass(frozen=True)
class And:
    """All of these hold."""

    of: tuple[Expression, ...]


@dataclass(frozen=True)
class Or:
    """At least one of these holds."""

    of: tuple[Expression, ...]


Expression = Comparison | OneOf | Missing | Not | And | Or


def parse(text: str) -> Expression:
    """Parse a filter. Raises UsageError if it is not a condition, MissingExtra if sqlglot is not installed.

    Example:
        >>> parse("year >= 1871 and not draft")  # doctest: +SKIP
        And(of=(Comparison(field='year', operator='>=', value=1871), Not(of=Comparison(field='draft', ...))))
    """
    sqlglot: Any = need("sqlglot", "sql", "a filter")
    if not isinstance(text, str) or not text.strip():
        raise UsageError(f"a filter must be a condition such as {EXAMPLE!r}, got {text!r}")
    try:
        trees = sqlglot.parse(text, read="duckdb")
        if len(trees) != 1 or trees[0] is None:
            raise UsageError(f"a filter must be one condition such as {EXAMPLE!r}, got {text!r}")
        return _expression(trees[0])
    except sqlglot.errors.SqlglotError as error:
        at: dict[str, Any] = next(iter(getattr(error, "errors", [])), {})
        where = f" near {at['highlight']!r}" if at.get("highlight") else ""
        raise UsageError(f"cannot parse the filter {text!r}{where}; write a condition such as {EXAMPLE!r}") from None
    except RecursionError:
        raise UsageError(f"the filter {text[:40]!r}... is nested too deeply") from None


def kind_of_value(value: Value) -> str:
    """Return "bool", "number" or "text"."""
    return "bool" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


def _expression(node: Any) -> Expression:
    """Convert a node of sqlglot."""
    make = _MAKERS.get(type(node).__name__)
    if make is None or any(value for name, value in node.args.items() if name not in ARGUMENTS):
        raise _refused(node)
    made = make(node)
    return Not(made) if node.args.get("negate") else made


def _refused(node: Any) -> UsageError:
    return UsageError(
        f"{node.sql(dialect='duckdb')[:80]!r} is not allowed in a filter; use comparisons of a field with a value, in, "
        "between, like, ilike, is null, and, or, not"
    )


def _joined(kind: type[And] | type[Or]) -> Callable[[Any], Expression]:
    return lambda node: kind((_expression(node.this), _expression(node.expression)))


def _comparison(operator: str) -> Callable[[Any], Expression]:
    def make(node: Any) -> Expression:
        left, right, operator_ = node.this, node.expression, operator
        if type(left).__name__ != "Column" and operator in FLIPPED:
            left, right, operator_ = right, left, FLIPPED[operator]
        field, value = _field(left), _value(right)
        if operator_ in ("like", "ilike") and not isinstance(value, str):
            raise UsageError(f"{operator_} needs a text in single quotes, got {value!r}")
        if operator_ == "!=":
            return Not(Comparison(field, "=", value))
        return Comparison(field, operator_, value)

    return make


def _between(node: Any) -> Expression:
    field = _field(node.this)
    low, high = _value(node.args["low"]), _value(node.args["high"])
    return And((Comparison(field, ">=", low), Comparison(field, "<=", high)))


def _one_of(node: Any) -> Expression:
    field = _field(node.this)
    values = [_value(own) for own in node.expressions]
    if not values:
        raise _refused(node)
    kinds: dict[str, list[Value]] = {}
    for own in values:
        kinds.setdefault(kind_of_value(own), []).append(own)
    found: Sequence[Expression] = [OneOf(field, tuple(part)) for part in kinds.values()]
    return found[0] if len(found) == 1 else Or(tuple(found))


def _is(node: Any) -> Expression:
    name = type(node.expression).__name__
    if name == "Boolean":
        return Comparison(_field(node.this), "=", bool(node.expression.this))
    if name != "Null":
        raise _refused(node)
    return Missing(_field(node.this))


def _field(node: Any) -> str:
    """Return the name of a field; `a.b` is the field of that name."""
    if type(node).__name__ != "Column":
        raise _refused(node)
    return ".".join(part.name for part in node.parts)


def _value(node: Any) -> Value:
    name = type(node).__name__
    if name == "Literal":
        return str(node.this) if node.is_string else _number(node.this)
    if name == "Boolean":
        return bool(node.this)
    if name == "Neg" and type(node.this).__name__ == "Literal" and not node.this.is_string:
        return -_number(node.this.this)
    if name == "Null":
        raise UsageError("nothing equals null; use `is null` or `is not null`")
    if name == "Column":
        raise UsageError(
            f"{node.sql(dialect='duckdb')!r} is compared, but is not a value; texts have single quotes: "
            f"'{'.'.join(part.name for part in node.parts)}'"
        )
    raise _refused(node)


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


_MAKERS: dict[str, Callable[[Any], Expression]] = {
    "And": _joined(And),
    "Or": _joined(Or),
    "Not": lambda node: Not(_expression(node.this)),
    "Paren": lambda node: _expression(node.this),
    "Column": lambda node: Comparison(_field(node), "=", True),
    "EQ": _comparison("="),
    "NEQ": _comparison("!="),
    "LT": _comparison("<"),
    "LTE": _comparison("<="),
    "GT": _comparison(">"),
    "GTE": _comparison(">="),
    "Like": _comparison("like"),
    "ILike": _comparison("ilike"),
    "Between": _between,
    "In": _one_of,
    "Is": _is,
}
