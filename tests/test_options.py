"""Options: declared once, converted and checked for all inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashret.errors import UsageError
from hashret.options import Options, option


@dataclass(kw_only=True, repr=False, eq=False)
class Oven(Options):
    heat: float = option(0.5, "how hot", low=0.0, high=1.0)
    trays: int = option(2, "how many", low=1)
    fan: bool = option(False, "whether it blows")
    sizes: tuple[int, ...] = option((3, 4), "of the trays", low=1)
    fuel: str = option("gas", "what burns", choices=("gas", "wood"))


@pytest.mark.parametrize(
    ("name", "given", "wanted"),
    [
        ("heat", "0.25", 0.25),
        ("heat", 1, 1.0),
        ("trays", "7", 7),
        ("trays", 7.0, 7),
        ("fan", "yes", True),
        ("fan", "OFF", False),
        ("fan", 1, True),
        ("sizes", "5,6", (5, 6)),
        ("sizes", [5, "6"], (5, 6)),
        ("sizes", "5", (5,)),
        ("fuel", "wood", "wood"),
    ],
)
def test_values_and_their_texts_become_the_option_type(name: str, given: Any, wanted: Any) -> None:
    value = getattr(Oven.from_params({name: given}), name)
    assert value == wanted
    assert type(value) is type(wanted)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("heat", "warm"),
        ("heat", "nan"),
        ("heat", float("inf")),
        ("heat", None),
        ("heat", True),
        ("trays", "2.5"),
        ("trays", 2.5),
        ("trays", None),
        ("trays", []),
        ("trays", float("inf")),
        ("trays", float("nan")),
        ("trays", False),
        ("trays", "9" * 5000),
        ("fan", "perhaps"),
        ("fan", None),
        ("sizes", 5),
        ("sizes", "a,b"),
        ("sizes", [None]),
        ("sizes", None),
    ],
)
def test_what_is_no_value_of_the_type_is_refused_in_words(name: str, given: Any) -> None:
    with pytest.raises(UsageError, match=f"^{name} must be "):
        Oven.from_params({name: given})


@pytest.mark.parametrize(("name", "given"), [("heat", 1.01), ("heat", "-0.1"), ("trays", 0), ("sizes", "3,0")])
def test_a_value_out_of_bounds_is_refused_with_the_bounds(name: str, given: Any) -> None:
    with pytest.raises(UsageError, match=r"(0\.0 to 1\.0|at least 1), got "):
        Oven.from_params({name: given})


def test_bounds_are_inclusive() -> None:
    assert [Oven(heat=heat).heat for heat in (0, 1)] == [0.0, 1.0]
    assert Oven(trays=1).trays == 1


def test_a_choice_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'wood'"):
        Oven(fuel="wodo")


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown option 'tray'; did you mean 'trays'"):
        Oven.from_params({"tray": 1})


def test_an_option_like_no_other_lists_all() -> None:
    with pytest.raises(UsageError, match="allowed: heat, trays, fan, sizes, fuel"):
        Oven.from_params({"zzzz": 1})


@given(
    st.floats(0, 1), st.integers(1, 10**6), st.booleans(), st.lists(st.integers(1, 9)), st.sampled_from(["gas", "wood"])
)
def test_options_survive_being_saved(heat: float, trays: int, fan: bool, sizes: list[int], fuel: str) -> None:
    import json

    params = Oven(heat=heat, trays=trays, fan=fan, sizes=tuple(sizes), fuel=fuel).params()
    assert Oven.from_params(json.loads(json.dumps(params))).params() == params
    assert Oven.from_params({name: ",".join(map(str, value)) if name == "sizes" else str(value)
                             for name, value in params.items()}).params() == params  # fmt: skip


def test_repr_can_be_read_back() -> None:
    oven = Oven(trays=5, sizes=(1,))
    assert eval(repr(oven)).params() == oven.params()


def test_an_option_knows_its_default_and_its_help() -> None:
    assert Oven.options()["sizes"] == (3, 4)
    assert Oven.help_of("fan") == "whether it blows"
