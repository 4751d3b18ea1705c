"""The page."""

from __future__ import annotations

from questions.common import Row


def page(found: list[Row]) -> str:
    """The page."""
    return "# Questions\n"
