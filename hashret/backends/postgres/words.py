"""BM25 in SQL: the scores of `hashret.ranking.words`, computed from the table of postings.

Each sum is taken in the order of the question's terms, then its pairs of neighbouring terms, then the terms in
titles, and each product in the order of `hashret.ranking.words`. PostgreSQL adds and multiplies 64-bit floats as the
processor does, so the same bits come out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import log, sqrt
from typing import Any

import numpy as np

from hashret.backends.base import WordScores
from hashret.postings import NO_POSITION, Occurrences
from hashret.ranking.words import K1, PAIRS, TITLES, B
from hashret.store import Derived

WORDS, TITLE = 0, 1  # values of the column field

DF = """
select field, term, count(*) from {postings} where term = any(%(terms)s) group by field, term
"""
SCORES = """
with asked as (
    select * from unnest(%(seq)s::int[], %(field)s::smallint[], %(term)s::text[], %(weight)s::float8[])
        as asked(seq, field, term, weight)),
neighbours as (
    select asked.seq, first.position, asked.weight, (
        select count(distinct own.place) from unnest(first.places) as own(place)
        where own.place + 1 = any(second.places))::float8 as count
    from unnest(%(pair_seq)s::int[], %(first)s::text[], %(second)s::text[], %(pair_weight)s::float8[])
        as asked(seq, first, second, weight)
    join {postings} as first on first.term = asked.first and first.field = 0
    join {postings} as second on second.term = asked.second and second.field = 0 and second.position = first.position),
pairs as (
    select *, count(*) over (partition by seq) as df from neighbours where count > 0),
parts as (
    select own.position, asked.seq, asked.weight * (own.count / (own.count + %(k1)s::float8 * (
        (1::float8 - %(b)s::float8)
        + %(b)s::float8 * (case own.field when 0 then document.words else document.titles end)
        / (case own.field when 0 then %(words)s::float8 else %(titles)s::float8 end)))) as part
    from asked join {postings} as own on own.term = asked.term and own.field = asked.field
    join {documents} as document on document.position = own.position
    union all
    select pairs.position, pairs.seq, (pairs.weight * ln(1::float8 + (%(documents)s::float8 - pairs.df + 0.5::float8)
        / (pairs.df + 0.5::float8))) * (pairs.count / (pairs.count + %(k1)s::float8 * ((1::float8 - %(b)s::float8)
        + %(b)s::float8 * document.pairs / %(pairs)s::float8)))
    from pairs join {documents} as document on document.position = pairs.position),
scored as (
    select position, sum(part order by seq) as score from parts group by position),
described as (
    select count(*) as found, avg(score) as mean, var_pop(score) as variance, max(score) as largest from scored),
allowed as (
    select scored.*, count(*) over (partition by score) as ties,
        row_number() over (order by score desc, position) as rank
    from scored where position in (select position from {documents} where WHERE))
select allowed.position, allowed.score, ties, rank, found, mean, variance, largest from described left join allowed
    on %(limit)s::bigint is null or rank <= %(limit)s or position = any(%(among)s::bigint[])
order by score desc, position
"""


def scores(
    execute: Callable[..., Any],
    totals: Mapping[str, int],
    terms: Sequence[str],
    stop_terms: frozenset[str],
    limit: int | None,
    where: str,
    values: Mapping[str, Any],
    among: Sequence[int],
) -> WordScores:
    """Return the `limit` best documents that meet the condition `where`, and those at the positions `among`."""
    documents = totals["documents"]
    counted = Counter(terms)
    df = {(field, term): n for field, term, n in execute(DF, {"terms": list(counted)})}
    known = {term for _, term in df}
    asked = [
        (field, term, (weight * count) * _idf(documents, df[field, term]))
        for field, weight in ((WORDS, 1.0), (TITLE, TITLES))
        for term, count in counted.items()
        if (field, term) in df
    ]
    words = sum(field == WORDS for field, *_ in asked)
    neighbours = Counter(pairwise([term for term in terms if term not in stop_terms]))
    order = [*range(words), *range(words + len(neighbours), len(asked) + len(neighbours))]
    fields, names, weights = ([row[column] for row in asked] for column in range(3))
    rows = execute(
        SCORES.replace("WHERE", where),
        {
            **values,
            "seq": order,
            "field": fields,
            "term": names,
            "weight": weights,
            "pair_seq": list(range(words, words + len(neighbours))),
            "first": [first for first, _ in neighbours],
            "second": [second for _, second in neighbours],
            "pair_weight": [1.0 * PAIRS * count for count in neighbours.values()],
            "k1": K1,
            "b": B,
            "documents": documents,
            "limit": limit,
            "among": [int(own) for own in among],
            **{name: totals[name] / documents if totals[name] else 1.0 for name in ("words", "pairs", "titles")},
        },
    ).fetchall()
    return _collected(rows, documents, len(known), limit)


def _collected(rows: Sequence[tuple[Any, ...]], documents: int, known: int, limit: int | None) -> WordScores:
    """Mean and deviation are those of all documents; documents without the terms have 0."""
    *_, found, mean_found, variance, largest = rows[0]
    rows = [row for row in rows if row[0] is not None]
    positions = np.array([row[0] for row in rows], np.int64)
    scores = np.array([row[1] for row in rows], np.float64)
    last = [row[2] for row in rows if limit is None or row[3] <= limit]
    if not found:
        return WordScores(positions, scores, 0, known, 0.0, 0.0, 0.0)
    mean = mean_found * found / documents
    spread = found * (variance + (mean_found - mean) ** 2) + (documents - found) * mean**2
    return WordScores(positions, scores, last[-1] if last else 0, known, mean, sqrt(spread / documents), largest)


def _idf(documents: int, df: int) -> float:
    return log(1 + (documents - df + 0.5) / (df + 0.5))


class Terms:
    """The rows of the table of postings, and the numbers of words, pairs and title words of each document."""

    def __init__(self, derived: Derived, first: int, documents: int) -> None:
        self.lengths = np.zeros((documents, 3), np.int64).tolist()
        self.postings: list[tuple[str, int, int, int, list[int]]] = []
        for field, found in ((WORDS, derived.words), (TITLE, derived.titles)):
            if found is not None:
                self._take_in(field, found, first)

    def _take_in(self, field: int, found: Occurrences, first: int) -> None:
        terms, positions, edges = found.terms.tolist(), found.positions.tolist(), found.offsets.tolist()
        for number, (start, stop) in enumerate(pairwise(edges)):
            places: dict[int, list[int]] = {}
            counts: Counter[int] = Counter(terms[start:stop])
            for term, place in zip(terms[start:stop], positions[start:stop], strict=True):
                if place != NO_POSITION:
                    places.setdefault(term, []).append(place)
            for term, count in counts.items():
                name = found.vocabulary[term]
                self.postings.append((name, field, first + number, count, places.get(term, [])))
            if field == WORDS:
                self.lengths[number][:2] = stop - start, int(found.pairs[number])
            else:
                self.lengths[number][2] = stop - start
