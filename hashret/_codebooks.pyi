"""The types of the compiled loop of additive quantization; _codebooks.c says what it does."""

from typing import Any

import numpy as np

Buffer = np.ndarray[Any, Any] | bytes

def decode(codes: Buffer, entries: Buffer, books: int, dim: int, out: Buffer, /) -> None: ...
def meetings(codes: Buffer, books: int, out: Buffer, /) -> None: ...
def assign(
    products: Buffer, books: int, gram: Buffer, lengths: Buffer, codes: Buffer, given: bool, sweeps: int, /
) -> None: ...
