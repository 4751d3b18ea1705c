"""Length: how many bits the codes of a corpus need, found without labels.

Codes of the LENGTHS are learned in turn. Each is judged by the share of a document's K nearest, by the views of the
features, that are among its K nearest by code, equal distances in expectation, in the mean of a sample of documents.
The first that a code of twice its length beats by less than GAIN of that share is long enough.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np

from hashret.codes import Codes, hamming
from hashret.errors import UsageError
from hashret.features import Features
from hashret.graph import KNNGraph, Numbers, View, nearest
from hashret.runtime import Program

LENGTHS = (16, 32, 64, 128)
GAIN = 0.1
K = 100  # at most, and at most a tenth of the documents
SAMPLE = 1000  # documents judged by
ROWS = 100  # of them at once

log = logging.getLogger("hashret")


def long_enough(fit: Callable[[int], Program], features: Features, seed: int) -> Program:
    """The program that `fit` gives for the shortest length that is long enough; the reason goes to the log.

    Longer lengths that the encoder refuses with UsageError are not considered.
    """
    n = len(features)
    views: Sequence[View] = features.views or (features.input,)
    rows = np.sort(np.random.default_rng(seed).permutation(n)[:SAMPLE])
    wanted = nearest(views, rows, min(K, max(1, n // 10)))
    best, said = fit(LENGTHS[0]), ""
    share = kept(best.encode(features.input), rows, wanted)
    told = [f"{LENGTHS[0]} bits keep {share:.1%}"]
    for length in LENGTHS[1:]:
        try:
            longer = fit(length)
        except UsageError as error:
            said = f"the encoder has no more ({error})"
            break
        gained = kept(longer.encode(features.input), rows, wanted)
        told.append(f"{length} bits {gained:.1%}")
        if gained < (1 + GAIN) * share:
            said = f"{length} gain less than {GAIN:.0%} of that"
            break
        best, share = longer, gained
    what = f"{', '.join(told)} of the {wanted.shape[1]} nearest documents"
    log.info(f"bits auto: {best.bits}; {what}{said and '; '}{said}")
    return best


def kept(codes: Codes, rows: Numbers, wanted: KNNGraph) -> float:
    """Of the documents wanted [r, k] for each of the rows [r], the share among its k nearest others by code."""
    k, total = wanted.shape[1], 0.0
    for start in range(0, len(rows), ROWS):
        own, others = rows[start : start + ROWS], wanted[start : start + ROWS]
        far = hamming(codes[own], codes).astype(np.int32)  # [rows, n]
        theirs = np.take_along_axis(far, others, 1)
        far[np.arange(len(own)), own] = np.iinfo(np.int32).max
        edge = np.partition(far, k - 1, axis=1)[:, k - 1 : k]
        nearer, level = (far < edge).sum(axis=1), (far == edge).sum(axis=1)
        chance = (k - nearer) / level  # that one at the edge is among the k
        total += float(((theirs < edge).sum(axis=1) + chance * (theirs == edge).sum(axis=1)).sum())
    return total / wanted.size
