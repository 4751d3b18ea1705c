"""Clusters: groups of similar documents, with their characteristic words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hashret import tokens
from hashret.analysis.base import grouped
from hashret.errors import UsageError, whole_number
from hashret.explanation.contrast import distinctive, summed
from hashret.index import Index
from hashret.options import MAX_SEED
from hashret.progress import track

VOCABULARY = 20_000  # words considered as characteristic words


@dataclass(frozen=True)
class Cluster:
    """A group of similar documents."""

    number: int
    ids: list[str]  # sorted by distance from the centre
    words: list[str]  # characteristic words of texts, strongest first; empty for other documents


def clusters(
    index: Index,
    count: int = 10,
    *,
    encoder: str | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    top: int = 10,
) -> list[Cluster]:
    """Group the documents into `count` clusters, largest first, by k-means over the codes or an encoder with `assign`.

    There are fewer clusters if there are fewer distinct codes, and none if the index is empty. Raises UsageError if
    `count` is larger than the number of documents.
    """
    count, seed = whole_number(count, "the number of clusters", 1), whole_number(seed, "seed", 0, MAX_SEED)
    top = whole_number(top, "top", 1)
    if not len(index):
        return []
    far = grouped(index, count, encoder, options, seed)
    of, near, ids = far.argmin(axis=1), far.min(axis=1), np.array(index.ids, object)
    groups = (np.flatnonzero(of == group) for group in range(far.shape[1]))
    members = [rows[np.argsort(near[rows], kind="stable")] for rows in groups if len(rows)]
    members.sort(key=len, reverse=True)
    told = telling(index, members, top) if index.hasher.document_type == "text" else [[] for _ in members]
    return [Cluster(g, ids[rows].tolist(), told[g]) for g, rows in enumerate(members)]


def telling(index: Index, members: list[np.ndarray], top: int) -> list[list[str]]:
    """Return the characteristic words of each group of documents, see `hashret/explanation/contrast.py`."""
    texts = [str(document.content) for document in track(index.documents(), "reading", len(index))]
    kept, _ = tokens.vocabulary(texts, VOCABULARY, 2, 0.5)
    counts = tokens.count(texts, {word: column for column, word in enumerate(kept)})
    inside = np.stack([summed(counts.take(rows)) for rows in members])  # [groups, words]
    return distinctive(inside, kept, top)


def write(found: Sequence[Cluster], index: Index, folder: Path) -> None:
    """Write each cluster to a subfolder of `folder`, its documents numbered by distance from the centre.

    Raises UsageError for an index of vectors, or if the folder exists.
    """
    if index.hasher.document_type == "vector":
        raise UsageError("vectors have no content to write")
    if folder.exists():
        raise UsageError(f"folder {str(folder)!r} exists; choose a new folder")
    for cluster in found:
        own = folder / " ".join([f"{cluster.number:03d}", *(safe(word, 50) for word in cluster.words[:4])])
        own.mkdir(parents=True)
        for place, id in enumerate(track(cluster.ids, "writing", len(cluster.ids))):
            name = f"{place:05d} {safe(id)}"
            if index.hasher.document_type == "image":
                (own / f"{name}.jpg").write_bytes(index.thumbnail(id))
            else:
                (own / f"{name}.txt").write_text(str(index.document(id).content), "utf-8", "surrogatepass")


def safe(name: str, most: int = 200) -> str:
    """Return the end of a name, at most `most` bytes of UTF-8, as part of a file name that any file system accepts.

    Characters other than letters, digits, _, - and inner dots are replaced or removed.
    """
    kept = re.sub(r"[^\w.-]+", "_", name).encode()[-most:]
    return kept.decode(errors="ignore").strip(".") or "_"  # drops a character that was cut
