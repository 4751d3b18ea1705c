"""Deletions: which rows are deleted, as an immutable file of bits. There are two copies, since nothing else says it."""

from __future__ import annotations

import io
from tokenize import TokenError

import numpy as np
import numpy.typing as npt

from hashret.errors import CorruptIndex
from hashret.files import Root
from hashret.store.manifest import RECOVERY

Mask = npt.NDArray[np.bool_]


def path(number: int) -> str:
    """Path of the file of this number, relative to the index."""
    return f"deletions/{number:06d}.npy"


def recovery_path(name: str) -> str:
    """Path of the second copy."""
    return name.replace("deletions/", f"{RECOVERY}/")


def image(deleted: Mask) -> bytes:
    """The file that says which rows are deleted, bool [rows]."""
    data = io.BytesIO()
    np.save(data, np.packbits(deleted, bitorder="little"), allow_pickle=False)
    return data.getvalue()


def read(root: Root, name: str, rows: int) -> Mask:
    """Which of the rows are deleted, bool [rows]; CorruptIndex where the file is damaged."""
    place = root.path / name
    try:
        if (size := root.stat(name).st_size) > rows + 4096:
            raise ValueError(f"{size} bytes for {rows} rows")
        bitmap = np.lib.format.read_array(io.BytesIO(root.read(name)), allow_pickle=False)
        if bitmap.dtype != np.uint8 or bitmap.shape != ((rows + 7) // 8,):
            raise ValueError(f"{bitmap.dtype} {bitmap.shape}")
    except (ValueError, TypeError, SyntaxError, EOFError, MemoryError, TokenError) as error:  # numpy's header is Python
        raise CorruptIndex(f"{place} is damaged ({error})", path=str(root.path)) from error
    return np.unpackbits(bitmap, count=rows, bitorder="little").astype(bool)
