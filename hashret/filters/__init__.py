"""Filters: expressions such as `year >= 1871 and author = 'Darwin'` over the metadata of documents."""

from hashret.filters.expression import Expression, parse
from hashret.filters.sql import check
from hashret.filters.table import matching

__all__ = ["Expression", "check", "matching", "parse"]
