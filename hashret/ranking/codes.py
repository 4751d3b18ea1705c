"""Codes: the asymmetric distance between a question's logits and the codes of the documents.

With the margins logit_j - threshold_j of the question, and the bits in which a document's code differs from its signs,

    d = bits * sum of |margin_j| over those bits / sum of |margin_j| over all bits

so a bit counts as much as the question is sure of it, and d is a number of bits (Dong, Charikar and Li, SIGIR 2008;
Gordo, Perronnin, Gong and Lazebnik, PAMI 2014). With equal margins d is the Hamming distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashret import codes, loops
from hashret.features import Floats
from hashret.loops import Doubles
from hashret.ranking.tables import signed_table


@dataclass(frozen=True)
class Codes:
    """The part `codes`: stored codes uint8 [n, ceil(bits / 8)]."""

    codes: codes.Codes
    bits: int

    def distances(self, margins: Floats) -> Doubles:
        """The asymmetric distances in bits [n] of a question with these margins [bits]."""
        exact = np.nan_to_num(margins).astype(np.float64)
        table, step, total = signed_table(exact, self.codes.shape[1])
        half = self.bits / 2
        return loops.table_scores(self.codes, table, -half * step / (total or 1.0), half if total else 0.0)
