"""Words that distinguish groups of documents.

Words are ranked by the z-score of their log odds in the group against the rest, with the counts of the corpus as prior
(Monroe, Colaresi & Quinn 2008).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hashret.features import CSRMatrix
from hashret.loops import Doubles

PRIOR = 0.01  # strength of the prior, as a share of the word counts of the corpus
MOST = 3  # occurrences in a document that count


def distinctive(inside: Doubles, words: Sequence[str], top: int, everywhere: Doubles | None = None) -> list[list[str]]:
    """The `top` words of groups, given counts [groups, words]; the corpus is all groups, or `everywhere` [words]."""
    total = inside.sum(axis=0) if everywhere is None else everywhere
    prior = PRIOR * total + 1e-9
    found = []
    for own in inside:
        a, b = own + prior, total - own + prior
        odds = np.log(a / (a.sum() - a + 1)) - np.log(b / (b.sum() - b + 1))
        score = odds / np.sqrt(1 / a + 1 / b)
        best = np.argsort(-score, kind="stable")[:top]
        found.append([words[column] for column in best if own[column] and (everywhere is None or score[column] > 0)])
    return found


def summed(counts: CSRMatrix) -> Doubles:
    """The total count of each word, with at most three per document, float64 [words]."""
    return np.asarray(np.bincount(counts.indices, np.minimum(counts.data, MOST), counts.width), np.float64)
