"""Relevance: which documents are relevant to a query, by shared labels or by judgements (qrels)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from numbers import Number
from typing import Protocol

import numpy as np

from hashret.errors import DataError, shown
from hashret.evaluation.ties import Ints

Labels = Sequence[Collection[str] | str]
"""The labels of each document; a plain string is one label."""
Qrels = Mapping[str, Mapping[str, int]]  # grade of each judged document, by query and document; below 1 is not relevant


class Relevance(Protocol):
    """Relevant documents of a list of queries."""

    grades: Ints  # [l], the grades above zero, highest first
    queries: Ints  # the queries that can be measured

    def relevant(self, query: int) -> tuple[Ints, Ints]:
        """Return positions of the relevant documents [m], -1 outside the corpus, and their indices in `grades` [m]."""


class SharedLabels:
    """A document is relevant to a query if they share a label; queries with a label can be measured."""

    def __init__(self, labels: Labels, query_labels: Labels) -> None:
        self.grades = np.ones(1, np.int64)
        self.documents = len(labels)
        self._numbers: dict[str, int] = {}
        rows, numbers = [], []
        for row, each in enumerate(_one_a_document(labels)):
            for label in _each(each):
                rows.append(row)
                numbers.append(self._numbers.setdefault(label, len(self._numbers)))
        order = np.argsort(np.array(numbers, np.int64), kind="stable")
        self._rows = np.array(rows, np.int64)[order]  # the documents of label 0, then those of label 1, ...
        self._offsets = np.append(0, np.cumsum(np.bincount(numbers, minlength=len(self._numbers)))) if rows else _NONE
        self._wanted = [_each(each) for each in _one_a_document(query_labels)]
        self.queries = np.flatnonzero([len(each) > 0 for each in self._wanted])

    def relevant(self, query: int) -> tuple[Ints, Ints]:
        """Return the positions of documents that share a label with the query [m], and zeros [m]."""
        numbers = [self._numbers[label] for label in self._wanted[query] if label in self._numbers]
        if not numbers:
            return _NONE, _NONE
        lists = [self._rows[self._offsets[number] : self._offsets[number + 1]] for number in numbers]
        if len(lists) == 1:
            return lists[0], np.zeros(len(lists[0]), np.int64)
        shared = np.zeros(self.documents, np.bool_)
        for positions in lists:
            shared[positions] = True
        union = np.flatnonzero(shared)
        return union, np.zeros(len(union), np.int64)


class Judgements:
    """A document is relevant to a query if its grade is above zero; queries with any judgement can be measured."""

    def __init__(self, qrels: Qrels, ids: Sequence[str], query_ids: Sequence[str]) -> None:
        grades = {grade for query in query_ids for grade in qrels.get(query, {}).values() if grade > 0}
        self.grades = np.array(sorted(grades, reverse=True) or [1], np.int64)
        self._levels = {grade: level for level, grade in enumerate(self.grades.tolist())}
        self._positions = {document: position for position, document in enumerate(ids)}
        self._judged = [qrels.get(query, {}) for query in query_ids]
        self.queries = np.flatnonzero([len(judged) > 0 for judged in self._judged])

    def relevant(self, query: int) -> tuple[Ints, Ints]:
        """Return the positions of documents graded above zero [m], and their indices into `grades` [m]."""
        judged = [(document, grade) for document, grade in self._judged[query].items() if grade > 0]
        positions = [self._positions.get(document, -1) for document, _ in judged]
        return np.array(positions, np.int64), np.array([self._levels[grade] for _, grade in judged], np.int64)


_NONE = np.zeros(0, np.int64)


def _one_a_document(labels: Labels) -> Labels:
    """Return the labels. Raises DataError for a single string, which would be split into characters."""
    if isinstance(labels, str | bytes | Mapping):
        raise DataError(f"labels must be one collection of str per document, got {shown(labels)}; give a list")
    return labels


def _each(labels: Collection[str] | str) -> set[str]:
    """Return the labels of one document as texts; a plain string or number is one label. Raises DataError otherwise."""
    each = [labels] if isinstance(labels, str | Number | np.generic) else labels
    if isinstance(each, bytes | Mapping) or not isinstance(each, Iterable):
        raise DataError(f"labels must be one collection of str per document, got {shown(each)}; give a list of texts")
    found = set()
    for label in each:
        if not isinstance(label, str | Number | np.generic):
            raise DataError(f"a label must be a text, got {shown(label)}")
        found.add(str(label))
    return found
