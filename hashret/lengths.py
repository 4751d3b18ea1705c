"""Choose the code length of a corpus without labels.

Codes of the lengths in LENGTHS are learned in turn. The quality of a length is the share of a document's K nearest
neighbours by features that are also among its K nearest by code (in expectation over ties), averaged over a sample of
documents. The chosen length is the first for which doubling it improves this share by less than a factor of 1 + GAIN.
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
K = 100  # neighbours, but at most a tenth of the documents
SAMPLE = 1000  # documents to measure with
ROWS = 100  # documents of the sample per chunk

log = logging.getLogger("hashret")


def long_enough(fit: Callable[[int], Program], features: Features, seed: int) -> Program:
    """Return the program that `fit` returns for the shortest sufficient length, and log the reason.

    If the encoder rejects a length with UsageError, the previous one is used.
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
            said = f"longer codes are not possible ({error})"
            break
        gained = kept(longer.encode(features.input), rows, wanted)
        told.append(f"{length} bits {gained:.1%}")
        if gained < (1 + GAIN) * share:
            said = f"{length} bits gain less than {GAIN:.0%}"
            break
        best, share = longer, gained
    what = f"{', '.join(told)} of the {wanted.shape[1]} nearest documents"
    log.info(f"bits auto: {best.bits}; {what}{said and '; '}{said}")
    return best


def kept(codes: Codes, rows: Numbers, wanted: KNNGraph) -> float:
    """Return the share of the neighbours `wanted` [r, k] of documents `rows` [r] among their k nearest by code."""
    k, total = wanted.shape[1], 0.0
    for start in range(0, len(rows), ROWS):
        own, others = rows[start : start + ROWS], wanted[start : start + ROWS]
        far = hamming(codes[own], codes).astype(np.int32)  # [rows, n]
        theirs = np.take_along_axis(far, others, 1)
        far[np.arange(len(own)), own] = np.iinfo(np.int32).max
        edge = np.partition(far, k - 1, axis=1)[:, k - 1 : k]
        nearer, level = (far < edge).sum(axis=1), (far == edge).sum(axis=1)
        chance = (k - nearer) / level  # probability that a document at the k-th distance is among the k nearest
        total += float(((theirs < edge).sum(axis=1) + chance * (theirs == edge).sum(axis=1)).sum())
    return total / wanted.size
