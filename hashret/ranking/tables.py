"""Sums over the bits or halves of the bytes of many codes, by tables with an entry for each value of a byte.

Weights are rounded to whole multiples of a step, 2^30 of which are the largest sum. So sums are exact, in whatever
order they are taken, and documents with equal codes get equal sums.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

STEPS = 1 << 30
_SIGNS = (
    2 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").astype(np.int64) - 1
)  # [256, 8]


def signed_table(weights: npt.NDArray[np.floating], width: int) -> tuple[npt.NDArray[np.int32], float, float]:
    """The table of the sums of weight_j b_j over the bits b in {-1, 1} of a code of `width` bytes; weights [bits].

    Also the step that its whole numbers are multiples of, and the largest possible sum, of the weights as rounded.
    """
    exact = np.zeros(8 * width)
    exact[: len(weights)] = weights
    step = float(np.abs(exact).sum()) / STEPS or 1.0
    whole = np.rint(exact / step).astype(np.int64).reshape(-1, 8)
    return (whole @ _SIGNS.T).astype(np.int32), step, float(np.abs(whole).sum()) * step  # [bytes, 256]


def nibble_table(weights: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.int32], float]:
    """The table of the sums of the weights of the two halves of a byte, low half first; weights [2 bytes, 16].

    Also the step that its whole numbers are multiples of.
    """
    exact = weights.astype(np.float64)
    step = float(np.abs(exact).max(axis=1).sum()) / STEPS or 1.0
    whole = np.rint(exact / step).astype(np.int64)
    low, high = whole[::2, None, :], whole[1::2, :, None]
    return (high + low).reshape(len(whole) // 2, 256).astype(np.int32), step  # [bytes, 256]
