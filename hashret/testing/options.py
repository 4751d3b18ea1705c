"""`OptionsSuite`, the contract of all classes with options."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from hashret.errors import UsageError
from hashret.options import Options


def another_value(kind: type[Options], key: str) -> Any:
    """Return a valid value of an option other than its default."""
    [field] = (field for field in fields(kind) if field.name == key)
    wanted: Any = get_type_hints(kind)[key]
    default: Any = field.default
    low, high, choices = (field.metadata[name] for name in ("low", "high", "choices"))
    if choices:
        return next(choice for choice in choices if choice != default)
    if wanted is bool:
        return not default
    if wanted is str:
        return f"{default}x"
    if get_origin(wanted) is tuple:
        return (*(default or ()), get_args(wanted)[0](3))
    if low is not None and high is not None:
        quarter, half = (wanted(low + (high - low) * share) for share in (0.25, 0.5))
        return quarter if quarter != default else half
    if default is None:
        return wanted((low or 0) + 1)
    return default + 1 if high is None else default - 1


class OptionsSuite:
    """Contract tests of options, inherited by the suites of encoders and vectorizers."""

    def subject(self) -> type[Options]:
        """Return the class under test."""
        raise NotImplementedError

    def test_options_survive(self) -> None:
        kind = self.subject()
        assert kind().params() == kind.options()
        for key, default in kind.options().items():
            other = another_value(kind, key)
            assert other != default
            text = ",".join(map(str, other)) if isinstance(other, tuple) else str(other)
            wanted = kind.options() | {key: other}
            assert kind.from_params({key: text}).params() == wanted
            assert kind.from_params(json.loads(json.dumps(wanted))).params() == wanted

    def test_options_have_help(self) -> None:
        assert all(self.subject().help_of(key) for key in self.subject().options())

    def test_an_unknown_option_is_refused(self) -> None:
        with pytest.raises(UsageError, match="unknown option 'nonsense'"):
            self.subject().from_params({"nonsense": 1})
