"""Options: the parameters of an encoder, a vectorizer or a schedule, declared once.

A class declares its options as dataclass fields with `option`. Its constructor, its repr, its saved form, the help text
and `-o key=value` of the command line are all derived from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any, Self, get_args, get_origin, get_type_hints

from hashret.errors import UsageError, shown, unknown

MAX_SEED = 2**32 - 1  # limit shared by NumPy, torch, scikit-learn and openTSNE

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def option(
    default: Any, help: str, *, low: float | None = None, high: float | None = None, choices: tuple[str, ...] = ()
) -> Any:
    """Return a dataclass field with a help text, allowed choices and inclusive bounds.

    A default of None means that the value is chosen automatically; it can be written as "auto" or "none".
    """
    return field(default=default, metadata={"help": help, "low": low, "high": high, "choices": choices})


@dataclass(kw_only=True, repr=False, eq=False)
class Options:
    """Base class of encoders, vectorizers and schedules. Checks the option values when an instance is created."""

    def __post_init__(self) -> None:
        for name, value in self.params().items():
            setattr(self, name, self.check(name, value))

    def params(self) -> dict[str, Any]:
        """Return the value of each option, JSON-serializable; `from_params` accepts it."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.params().items())})"

    @classmethod
    def options(cls) -> dict[str, Any]:
        """Return the name and default of each option."""
        return {f.name: f.default for f in fields(cls)}

    @classmethod
    def help_of(cls, name: str) -> str:
        """Return the help text of an option."""
        return next(str(f.metadata["help"]) for f in fields(cls) if f.name == name)

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Create an instance from values or their texts. Raises UsageError for unknown names or invalid values."""
        for name in params:
            if name not in cls.options():
                raise unknown("option", name, cls.options())
        return cls(**params)

    @classmethod
    def check(cls, name: str, value: Any) -> Any:
        """Return the value converted to the type of the option. Raises UsageError if it is invalid."""
        metadata, default = next((f.metadata, f.default) for f in fields(cls) if f.name == name)
        wanted = get_type_hints(cls)[name]
        if default is None and str(value).lower() in ("auto", "none"):
            return None
        try:
            value = convert(value, wanted)
        except (ValueError, TypeError, OverflowError):
            allowed = describe(wanted) + (" or auto" if default is None else "")
            raise UsageError(f"{name} must be {allowed}, got {shown(value)}") from None
        choices, low, high = metadata["choices"], metadata["low"], metadata["high"]
        if choices and value not in choices:
            raise unknown(name, str(value), choices)
        for number in value if isinstance(value, tuple) else (value,):
            if (low is not None and number < low) or (high is not None and number > high):
                raise UsageError(f"{name} must be {bounds(low, high)}, got {shown(number)}")
        return value


def convert(value: Any, wanted: Any) -> Any:
    """Convert a value or its text to `wanted`: bool, int, float, str or a tuple. Raises ValueError if not possible."""
    if get_origin(wanted) is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, Iterable):
            raise ValueError(value)
        return tuple(convert(part, get_args(wanted)[0]) for part in parts if part != "")
    if wanted is bool:
        if isinstance(value, bool):
            return value
        if str(value).lower() in _TRUE + _FALSE:
            return str(value).lower() in _TRUE
        raise ValueError(value)
    if isinstance(value, bool) or (wanted is int and isinstance(value, float) and value != int(value)):
        raise ValueError(value)
    converted = wanted(value)
    if isinstance(converted, float) and not isfinite(converted):
        raise ValueError(value)
    return converted


def describe(wanted: Any) -> str:
    """Return a type in words, for messages."""
    if get_origin(wanted) is tuple:
        of_whole = get_args(wanted)[0] is int
        return "whole numbers separated by commas, such as 512,256" if of_whole else "numbers separated by commas"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}[wanted]


def bounds(low: float | None, high: float | None) -> str:
    """Return bounds in words, for messages."""
    if low is None:
        return f"at most {high}"
    return f"at least {low}" if high is None else f"{low} to {high}"
