"""The arrays of HDF5 files, by h5py; runs in a worker, for libhdf5 loops for ever on some damaged files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

MAX_PACKING = 2000  # how many times smaller HDF5 may store an array; deflate reaches 1032
CACHE = 32 << 20  # bytes; a chunk that does not fit is unpacked again for every block of rows


def arrays(raw: bytes, path: str) -> tuple[Any, bytes]:
    """[name, shape, dtype, problem] of each array; a problem says why it must not be read."""
    with h5py.File(path, "r") as file:
        return [[name, *_described(item)] for name, item in _items(file)], b""


def rows(raw: bytes, path: str, names: list[str], block: int) -> Iterator[tuple[Any, bytes]]:
    """The named arrays, which are equally long, `block` rows at a time: a frame an array, in turn.

    Numbers are [dtype, shape] and their bytes, texts a list.
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
        links[name] = link  # nothing more: h5py does not survive what is raised in here

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
        return shape, kind, "takes its numbers from other files; copy them into this one"
    if math.prod(shape) * dtype.itemsize > MAX_PACKING * (dataset.id.get_storage_size() + 1024):
        return shape, kind, f"claims {shape} of {dtype} but next to nothing is stored of it"
    return shape, kind, None
