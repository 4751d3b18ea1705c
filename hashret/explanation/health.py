"""Health: whether the codes of an index use their bits, and whether its hasher still fits its documents and queries.

Each check gives a value, a threshold and, past the threshold, advice. Thresholds are those of `LIMITS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hashret.codes import Codes, group, hamming, unpack
from hashret.explanation.bits import CODES, correlations, spread
from hashret.loops import Doubles

DEAD = 0.001  # share of documents; a bit with fewer ones, or fewer zeros, is dead
SAMPLE = 1000  # documents whose distance to the nearest other one is computed
FAR = 0.99  # quantile of these distances; a query that is further from all documents is far
FEW = 100  # documents or queries; with fewer, a share says little
REFIT = "refit the index"

LIMITS: Mapping[str, float] = {
    "balance": 0.1,
    "dead bits": 0.0,
    "correlation": 0.8,
    "largest bucket": 0.05,
    "unseen words": 0.1,
    "drift": 0.1,
    "far queries": 0.1,
}
"""Limits of the checks: smallest share of the rarer value of a bit; number of dead bits; largest correlation of bits;
largest share of documents with one code; increase of the share of unseen words in added documents; mean change of the
balance of bits from the documents of the fit to those added; share of far queries."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its value, None if it cannot be measured, the limit, and what to do past the limit."""

    check: str
    value: float | None
    limit: float
    ok: bool
    what: str
    advice: str = ""

    def row(self) -> dict[str, Any]:
        """The check as a row of the command line."""
        value = None if self.value is None else round(self.value, 4)
        row = {"check": self.check, "value": value, "limit": self.limit, "ok": self.ok, "what": self.what}
        return row | {"advice": self.advice}


@dataclass(frozen=True, slots=True)
class Health:
    """The findings about an index, and what plots are drawn from.

    `ok` is whether all checks passed.
    """

    findings: Sequence[Finding]
    documents: int = 0
    balances: Sequence[float] = ()  # [bits], share of documents with a 1
    correlations: Doubles = field(default_factory=lambda: np.zeros((0, 0)))  # [bits, bits]
    buckets: Sequence[int] = ()  # documents with the same code, largest first
    distances: Sequence[int] = ()  # from documents to the nearest other one
    query_distances: Sequence[int] = ()  # from queries to the nearest document

    @property
    def ok(self) -> bool:
        """Whether all checks passed."""
        return all(finding.ok for finding in self.findings)


@dataclass(frozen=True)
class Facts:
    """What the checks are made from, in addition to the codes."""

    unseen: tuple[float | None, float | None]  # share of unseen words in the fit, and in documents added since
    ones: Mapping[str, Sequence[int]]  # "fitted" and "added": number of documents, and ones of each bit
    query_codes: Codes | None = None
    unknown_queries: int = 0  # queries without any known word, which have no code


def check_health(codes: Codes, bits: int, facts: Facts, limits: Mapping[str, float] = LIMITS) -> Health:
    """Run all checks. `codes` [n, bytes] are those of the index."""
    limits = {**LIMITS, **limits}
    values = unpack(codes[spread(len(codes), CODES)], bits)
    balances = values.mean(axis=0) if len(values) else np.full(bits, 0.5)
    related = correlations(values)
    sizes = np.sort(np.bincount(group(codes)[1]))[::-1] if len(codes) else np.zeros(0, np.int64)
    near = nearest_other(codes)
    asked = np.zeros(0, np.int64) if facts.query_codes is None else nearest(facts.query_codes, codes)
    findings = [
        _balance(balances, limits["balance"]),
        _dead(balances, limits["dead bits"]),
        _correlation(related, limits["correlation"]),
        _bucket(sizes, limits["largest bucket"]),
        _unseen(facts.unseen, limits["unseen words"]),
        _drift(facts.ones, limits["drift"]),
    ]
    if facts.query_codes is not None:
        findings.append(_far(near, asked, facts.unknown_queries, limits["far queries"]))
    lists = (balances.tolist(), related, sizes[:1000].tolist(), near.tolist(), asked.tolist())
    return Health(findings, len(codes), *lists)


def nearest(queries: Codes, codes: Codes) -> npt.NDArray[np.int64]:
    """The distance of each query to the nearest code."""
    if not len(codes):
        return np.zeros(0, np.int64)
    return np.array([int(hamming(one[None], codes)[0].min()) for one in queries], np.int64)


def nearest_other(codes: Codes) -> npt.NDArray[np.int64]:
    """The distance of documents, evenly spread over the index, to the nearest other one."""
    if len(codes) < 2:
        return np.zeros(0, np.int64)
    found = []
    for place in spread(len(codes), SAMPLE).tolist():
        distances = hamming(codes[place : place + 1], codes)[0].astype(np.int64)
        distances[place] = np.iinfo(np.int64).max
        found.append(int(distances.min()))
    return np.array(found, np.int64)


def _balance(balances: Doubles, limit: float) -> Finding:
    rarer = np.minimum(balances, 1 - balances)
    worst = int(rarer.argmin())
    what = f"the rarer value of bit {worst} is in {rarer[worst]:.1%} of the documents, fewer than of any other bit"
    return _finding("balance", float(rarer[worst]), limit, float(rarer[worst]) >= limit, what, REFIT)


def _dead(balances: Doubles, limit: float) -> Finding:
    dead = np.flatnonzero(np.minimum(balances, 1 - balances) < DEAD)
    listed = f": {', '.join(map(str, dead[:8]))}" + (", ..." if len(dead) > 8 else "") if len(dead) else ""
    what = f"{len(dead)} bits have the same value in nearly all documents{listed}"
    return _finding("dead bits", float(len(dead)), limit, len(dead) <= limit, what, "refit the index with fewer bits")


def _correlation(related: Doubles, limit: float) -> Finding:
    first, second = divmod(int(np.abs(related).argmax()), related.shape[1])
    value = float(np.abs(related[first, second]))
    what = f"bits {first} and {second} have a correlation of {related[first, second]:.2f}, the strongest of all pairs"
    return _finding("correlation", value, limit, value <= limit, what, "refit the index with fewer bits")


def _bucket(sizes: npt.NDArray[np.int64], limit: float) -> Finding:
    largest, documents = int(sizes.max(initial=0)), int(sizes.sum())
    share = largest / max(1, documents)
    ok = share <= limit or largest <= 10
    what = f"{largest:,} of {documents:,} documents have the same code"
    return _finding("largest bucket", share, limit, ok, what, "refit the index with more bits, or look for duplicates")


def _unseen(unseen: tuple[float | None, float | None], limit: float) -> Finding:
    fitted, added = unseen
    if added is None:
        return _finding("unseen words", None, limit, True, "too few words were added since the fit to compare", "")
    more = added - (fitted or 0.0)
    what = f"{added:.1%} of the words added since the fit are unknown to it, {fitted or 0:.1%} of those in the fit"
    return _finding("unseen words", more, limit, more <= limit, what, REFIT)


def _drift(ones: Mapping[str, Sequence[int]], limit: float) -> Finding:
    fitted, added = ones.get("fitted") or [0], ones.get("added") or [0]
    if not fitted[0] or added[0] < FEW:
        what = f"{added[0]:,} documents were added since the fit, too few to compare (at least {FEW})"
        return _finding("drift", None, limit, True, what, "")
    change = np.abs(np.array(added[1:]) / added[0] - np.array(fitted[1:]) / fitted[0])
    value = float(change.mean())
    what = f"bits are 1 in a share of added documents that differs by {value:.2f} from that of the fit, on average"
    return _finding("drift", value, limit, value <= limit, what, REFIT)


def _far(near: npt.NDArray[np.int64], asked: npt.NDArray[np.int64], unknown: int, limit: float) -> Finding:
    total = len(asked) + unknown
    if not total or not len(near):
        return _finding("far queries", None, limit, True, "there are no queries or no documents to compare with", "")
    edge = float(np.quantile(near, FAR))
    share = (int((asked > edge).sum()) + unknown) / total
    what = f"{share:.1%} of {total:,} queries are further than {edge:.0f} bits from all documents, or unknown"
    return _finding("far queries", share, limit, share <= limit, what, "add documents on these subjects, or refit")


def _finding(check: str, value: float | None, limit: float, ok: bool, what: str, advice: str) -> Finding:
    return Finding(check, value, limit, bool(ok), what, "" if ok else advice)
