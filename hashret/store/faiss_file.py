"""Write the codes of a segment as a FAISS index, for use by other programs."""

from __future__ import annotations

import os

import numpy as np

from hashret.codes import Codes, width

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # see search/faiss.py


def image(codes: Codes, bits: int) -> bytes:
    """Return a file for `faiss.read_index_binary`. Vector i is row i of `codes`, uint8 [n, bytes]."""
    import faiss

    index = faiss.IndexBinaryFlat(8 * width(bits))
    index.add(np.ascontiguousarray(codes))
    return bytes(faiss.serialize_index_binary(index).tobytes())
