"""The codes of a segment as a FAISS file, for other programs."""

from __future__ import annotations

import os

import numpy as np

from hashret.codes import Codes, width

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # see search/faiss.py


def image(codes: Codes, bits: int) -> bytes:
    """The bytes of a file that `faiss.read_index_binary` reads; vector i is row i of the codes [n, bytes]."""
    import faiss

    index = faiss.IndexBinaryFlat(8 * width(bits))
    index.add(np.ascontiguousarray(codes))
    return bytes(faiss.serialize_index_binary(index).tobytes())
