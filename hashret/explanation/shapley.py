"""Shares of words in a value that a text has: Shapley values (Shapley 1953; Strumbelj & Kononenko 2010).

The share of a word is what it adds to the value on average over the orders in which the words may come. Shares add up
to the value of the text less that of a text without words. With more than four words, some orders are drawn, each with
its reverse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations

import numpy as np

from hashret.loops import Doubles

EXACT = 4  # words, of which all orders are tried
VALUES = 256  # values computed for a longer text, about
LEAST = 4  # orders drawn, at least


def shapley(words: int, value: Callable[[Sequence[frozenset[int]]], Doubles]) -> Doubles:
    """The shares [words, values] of words; `value` returns the values [m, values] of m sets of words."""
    orders = _orders(words)
    sets = {frozenset(order[:size]) for order in orders for size in range(words + 1)}
    listed = sorted(sets, key=sorted)
    values = dict(zip(listed, value(listed), strict=True))
    shares = np.zeros((words, len(next(iter(values.values())))))
    for order in orders:
        for place, word in enumerate(order):
            shares[word] += values[frozenset(order[: place + 1])] - values[frozenset(order[:place])]
    return np.asarray(shares / len(orders))


def _orders(words: int) -> list[tuple[int, ...]]:
    if words <= EXACT:
        return list(permutations(range(words)))
    rng = np.random.default_rng(0)
    drawn = [tuple(rng.permutation(words).tolist()) for _ in range(max(LEAST, VALUES // words) // 2)]
    return [*drawn, *(order[::-1] for order in drawn)]
