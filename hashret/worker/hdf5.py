"""Read the arrays of HDF5 files with h5py. Runs in a worker, because libhdf5 loops forever on some damaged files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

MAX_PACKING = 2000  # largest allowed compression ratio of an array; deflate reaches 1032
CACHE = 32 << 20  # bytes; a chunk that does not fit is decompressed again for every block of rows


def arrays(raw: bytes, path: str) -> tuple[Any, bytes]:
    """Return [name, shape, dtype, problem] of each array; `problem` is the reason why it cannot be read, or None."""
    with h5py.File(path, "r") as file:
        return [[name, *_described(item)] for name, item in _items(file)], b""


def rows(raw: bytes, path: str, names: list[str], block: int) -> Iterator[tuple[Any, bytes]]:
    """Yield `block` rows at a time of the named arrays, which must have equal lengths: one frame per array, in turn.

    A frame of numbers is [dtype, shape] with their bytes, one of texts is a list.
    """
    with h5py.File(path, "r", rdcc_nbytes=CACHE) as file:
        datasets = [file[name] for name in names]
        texts = [h5py.check_string_dtype(dataset.dtype) is not None for dataset in datasets]
        both = list(zip(datasets, texts, strict=True))
        views = [dataset.asstr(errors="replace") if text else dataset for dataset, text in both]
        for first in range(0, datasets[0].shape[0], block):
            for view, text in zip(views, texts, strict=True):
                found = np.asarray(view[first : first + block])
                yield (found.tolist(), b"") if text else ([found.dtype.str, found.shape], found.tobytes())


def _items(file: Any) -> list[tuple[str, Any]]:
    links: dict[str, Any] = {}

    def visit(name: str, link: Any) -> None:
        links[name] = link  # do nothing else here: h5py crashes if the callback raises

    file.visititems_links(visit)
    found = []
    for name, link in links.items():
        if isinstance(link, h5py.ExternalLink):
            found.append((name, None))
        elif isinstance(link, h5py.HardLink) and isinstance(item := file[name], h5py.Dataset):
            found.append((name, item))
    return found


def _described(dataset: Any) -> tuple[tuple[int, ...], str, str | None]:
    if dataset is None:
        return (0, 0), "<f4", "is a link to another file; copy it into this one"
    shape: tuple[int, ...] = dataset.shape or ()
    dtype = dataset.dtype
    if h5py.check_string_dtype(dtype) is not None:
        kind = "<U1"
    elif dtype.hasobject:
        return shape, "<f4", f"holds {dtype}; save plain numbers or texts"
    else:
        kind = dtype.str
    if dataset.is_virtual or dataset.external:
        return shape, kind, "reads its data from other files; copy it into this one"
    if math.prod(shape) * dtype.itemsize > MAX_PACKING * (dataset.id.get_storage_size() + 1024):
        return shape, kind, f"claims {shape} of {dtype} but the file has almost no data of it"
    return shape, kind, None
