"""Registries: listing names does not import modules."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from hashret import encoders, registry
from hashret.encoders import ENCODERS
from hashret.errors import UsageError
from hashret.registry import Registry
from hashret.search import SEARCHERS, available
from hashret.vectorizers import DEFAULTS, VECTORIZERS


def test_every_listed_name_is_a_class_that_bears_it() -> None:
    for names in (ENCODERS, VECTORIZERS, SEARCHERS):
        for name in names.names():
            if names is not SEARCHERS or available(name):
                assert names.get(name).name == name


def test_the_defaults_are_listed() -> None:
    assert encoders.DEFAULT in ENCODERS.names()
    assert set(DEFAULTS.values()) <= set(VECTORIZERS.names())


def test_an_unknown_name_is_refused_with_the_nearest_and_where_to_look() -> None:
    with pytest.raises(UsageError, match=r"unknown encoder 'bernouli'; did you mean 'bernoulli'.*hashret encoders"):
        ENCODERS.get("bernouli")
    with pytest.raises(UsageError, match="unknown vectorizer 'tf-idf'; did you mean 'tfidf'"):
        VECTORIZERS.get("tf-idf")


def test_a_name_like_no_other_lists_all() -> None:
    with pytest.raises(UsageError, match=r"allowed: .*lsh"):
        ENCODERS.get("zzzzzzzz")


def test_listing_names_imports_no_library_that_trains_or_searches() -> None:
    script = (
        "import sys, json; from hashret.encoders import ENCODERS; from hashret.vectorizers import VECTORIZERS;"
        "from hashret.search import SEARCHERS; import hashret.hasher;"
        "ENCODERS.names(); VECTORIZERS.names(); SEARCHERS.names(); print(json.dumps(sorted(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"torch", "sklearn", "faiss", "h5py", "PIL"} & set(json.loads(found.stdout))


class TestOtherPackages:
    @pytest.fixture
    def colours(self, monkeypatch: pytest.MonkeyPatch) -> Registry[object]:
        points = EntryPoints(
            [
                EntryPoint("zebra", "json:JSONDecoder", "hashret.tests"),
                EntryPoint("decimal", "no_such_module:X", "hashret.tests"),
                EntryPoint("apple", "fractions:Fraction", "hashret.tests"),
            ]
        )
        monkeypatch.setattr(registry, "entry_points", lambda group: points.select(group=group))
        return Registry("colour", "hashret.tests", ("decimal = decimal:Decimal",))

    def test_their_names_come_after_ours_in_order(self, colours: Registry[object]) -> None:
        assert colours.names() == ["decimal", "apple", "zebra"]

    def test_their_classes_are_loaded_when_asked_for(self, colours: Registry[object]) -> None:
        from fractions import Fraction

        assert colours.get("apple") is Fraction

    def test_they_cannot_take_one_of_our_names(self, colours: Registry[object]) -> None:
        from decimal import Decimal

        assert colours.get("decimal") is Decimal
