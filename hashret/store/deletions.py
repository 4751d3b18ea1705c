"""The file of deleted rows: an immutable bitmap, stored twice because it cannot be derived from other files."""

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
    """Return the path of the file with this number, relative to the index."""
    return f"deletions/{number:06d}.npy"


def recovery_path(name: str) -> str:
    """Return the path of the second copy."""
    return name.replace("deletions/", f"{RECOVERY}/")


def image(deleted: Mask) -> bytes:
    """Return the content of the file for `deleted`, bool [rows]."""
    data = io.BytesIO()
    np.save(data, np.packbits(deleted, bitorder="little"), allow_pickle=False)
    return data.getvalue()


def read(root: Root, name: str, rows: int) -> Mask:
    """Return the mask of deleted rows, bool [rows]. Raises CorruptIndex if the file is damaged."""
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
