"""Read the vectors of FAISS indexes. Runs in a worker, because FAISS ends the process for some indexes and files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import faiss
import numpy as np

from hashret.worker.frames import Refused

EXACT = (faiss.IndexFlat, faiss.IndexIVFFlat, faiss.IndexHNSWFlat, faiss.IndexNSGFlat)


def rows(raw: bytes, path: str, block: int) -> Iterator[tuple[Any, bytes]]:
    """Yield `block` vectors at a time: [dim, ids or None, whether they are what was added], and their float32 values.

    The ids are those of an id map or of inverted lists; None if they only count the vectors. Without an id map, the
    vectors of inverted lists come in the order of their ids.
    """
    whole = _loaded(path)
    inner, ids = _unmapped(whole)
    if inner.ntotal and isinstance(inner, faiss.IndexIVF):
        stored = _listed(inner)
        if not np.array_equal(stored, np.arange(len(stored))):
            if ids is not None or len(np.unique(stored)) < len(stored):
                raise Refused("holds an id twice")
            ids = stored
        inner.set_direct_map_type(inner.direct_map.Hashtable)
    else:
        stored = np.arange(inner.ntotal)
    if ids is not None and len(ids) != len(stored):
        raise Refused(f"has {len(ids)} ids for {len(stored)} vectors")
    for first in range(0, len(stored), block):
        keys = stored[first : first + block]
        values = np.ascontiguousarray(_restored(inner, keys), "<f4")
        own = None if ids is None else ids[first : first + block].tolist()
        yield [inner.d, own, isinstance(inner, EXACT)], values.tobytes()


def _loaded(path: str) -> Any:
    data = np.fromfile(path, np.uint8)  # FAISS cannot open file names that are not UTF-8
    try:
        return faiss.deserialize_index(data, faiss.IO_FLAG_READ_ONLY)
    except RuntimeError as error:
        reason = str(error).splitlines()[0].rsplit(": ", 1)[-1]
        raise Refused(f"damaged, or of a kind that this version of FAISS does not read ({reason})") from None


def _unmapped(index: Any) -> tuple[Any, Any]:
    """Return the index inside an id map, and the ids; None if there is no id map."""
    if not isinstance(index, faiss.IndexIDMap):
        return index, None
    inner = faiss.downcast_index(index.index)
    if isinstance(inner, faiss.IndexIDMap):
        raise Refused("has an id map inside an id map")
    return inner, faiss.vector_to_array(index.id_map)


def _listed(index: Any) -> Any:
    """Return the ids in inverted lists, sorted."""
    lists = faiss.downcast_InvertedLists(index.invlists)
    if not isinstance(lists, faiss.ArrayInvertedLists):
        raise Refused("keeps its vectors in other files; copy them into it")
    sizes = [(number, lists.list_size(number)) for number in range(lists.nlist)]
    parts = [faiss.rev_swig_ptr(lists.get_ids(number), size) for number, size in sizes if size]
    return np.sort(np.concatenate(parts)) if parts else np.zeros(0, np.int64)


def _restored(index: Any, keys: Any) -> Any:
    """Return the vectors with these keys, float32 [n, dim]."""
    try:
        index.reconstruct(int(keys[0]))  # reports an index that cannot do it; the calls for several end the process
    except RuntimeError as error:
        if "not implemented" not in str(error):
            raise
        kind = type(index).__name__
        raise Refused(f"is of the kind {kind}, which does not give its vectors back") from None
    if isinstance(index, faiss.IndexIVF):
        return index.reconstruct_batch(keys)
    return index.reconstruct_n(int(keys[0]), len(keys))
