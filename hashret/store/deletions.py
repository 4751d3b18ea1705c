"""Deletions: which rows are gone, as an immutable file of bits. It lies there twice: nothing else tells it."""

from __future__ import annotations

import io
from pathlib import Path
from tokenize import TokenError

import numpy as np
import numpy.typing as npt

from hashret.errors import StoreError
from hashret.store import files
from hashret.store.manifest import SPARES

Mask = npt.NDArray[np.bool_]


def path(number: int) -> str:
    """Where the deletions of a number lie, relative to the index."""
    return f"deletions/{number:06d}.npy"


def spare_path(name: str) -> str:
    """Where their second copy lies."""
    return name.replace("deletions/", f"{SPARES}/")


def write(path: Path, deleted: Mask) -> None:
    """Write which rows are deleted, bool [rows]."""
    data = io.BytesIO()
    np.save(data, np.packbits(deleted, bitorder="little"), allow_pickle=False)
    files.write(path, data.getvalue())


def read(path: Path, rows: int) -> Mask:
    """Which of so many rows are deleted, bool [rows]; StoreError where the file does not say that."""
    try:
        if path.stat().st_size > rows + 4096:
            raise ValueError(f"{path.stat().st_size} bytes for {rows} rows")
        with path.open("rb") as file:
            bitmap = np.lib.format.read_array(file, allow_pickle=False)
        if bitmap.dtype != np.uint8 or bitmap.shape != ((rows + 7) // 8,):
            raise ValueError(f"{bitmap.dtype} {bitmap.shape}")
    except (ValueError, TypeError, SyntaxError, EOFError, MemoryError, TokenError) as error:  # numpy's header is Python
        raise StoreError(f"{path} is damaged ({error}); hashret repair takes its spare") from error
    return np.unpackbits(bitmap, count=rows, bitorder="little").astype(bool)
