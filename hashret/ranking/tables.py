"""Sums over the bits of many codes, by tables with an entry for each value of a byte.

The weights of the bits are rounded to whole multiples of a step, 2^30 of which are the sum of all weights. So sums are
exact, in whatever order they are taken, and documents with equal codes get equal sums.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hashret import codes, loops
from hashret.loops import Doubles

STEPS = 1 << 30
_SIGNS = (
    2 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").astype(np.int64) - 1
)  # [256, 8]


def signed_sums(weights: npt.NDArray[np.floating], of: codes.Codes) -> tuple[Doubles, float]:
    """The sum of weight_j b_j over the bits b in {-1, 1} of each code uint8 [n, bytes], and the largest possible sum.

    weights [bits], of which all sums are made as they are rounded.
    """
    exact = np.zeros(8 * of.shape[1])
    exact[: len(weights)] = weights
    step = float(np.abs(exact).sum()) / STEPS or 1.0
    whole = np.rint(exact / step).astype(np.int64).reshape(-1, 8)
    table = (whole @ _SIGNS.T).astype(np.int32)  # [bytes, 256]
    return np.asarray(loops.table_sums(of, table) * step), float(np.abs(whole).sum()) * step
