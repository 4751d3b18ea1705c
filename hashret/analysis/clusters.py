"""Clusters: groups of documents to browse, with the words that make each."""

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
from hashret.features import CSRMatrix
from hashret.index import Index
from hashret.options import MAX_SEED
from hashret.progress import track

VOCABULARY = 20_000  # words that clusters are told apart by
PRIOR = 0.01  # of the corpus's own counts, to which each cluster's are drawn


@dataclass(frozen=True)
class Cluster:
    """Documents that are alike."""

    number: int
    ids: list[str]  # the nearest to the middle first
    words: list[str]  # of texts, those that tell it from the rest, the most telling first


def clusters(
    index: Index,
    count: int = 10,
    *,
    encoder: str | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    top: int = 10,
) -> list[Cluster]:
    """The documents in so many groups, the largest first, by k-means over the codes or an encoder that has `assign`.

    No more groups come out than there are different codes. Raises UsageError where more are asked for than there are
    documents; an index of no documents has no groups.
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
    """Words that tell each group of documents from the others.

    By the log odds of a word in the group against the rest, each drawn to the corpus's own, in standard deviations
    (Monroe, Colaresi & Quinn 2008).
    """
    texts = [str(document.content) for document in track(index.documents(), "reading", len(index))]
    kept, _ = tokens.vocabulary(texts, VOCABULARY, 2, 0.5)
    counts = tokens.count(texts, {word: column for column, word in enumerate(kept)})
    inside = np.stack([summed(counts.take(rows)) for rows in members])  # [groups, words]
    everywhere = inside.sum(axis=0)
    prior = PRIOR * everywhere + 1e-9
    found = []
    for own in inside:
        a, b = own + prior, everywhere - own + prior
        odds = np.log(a / (a.sum() - a + 1)) - np.log(b / (b.sum() - b + 1))
        score = odds / np.sqrt(1 / a + 1 / b)
        found.append([kept[column] for column in np.argsort(-score, kind="stable")[:top] if own[column]])
    return found


def summed(counts: CSRMatrix) -> np.ndarray:
    """How often each word occurs in all documents together, at most three times in one, float64 [words]."""
    return np.bincount(counts.indices, np.minimum(counts.data, 3), counts.width)


def write(found: Sequence[Cluster], index: Index, folder: Path) -> None:
    """A folder for each cluster, its documents in it, the nearest to the middle first; UsageError where it is there."""
    if index.hasher.document_type == "vector":
        raise UsageError("vectors have no content to write")
    if folder.exists():
        raise UsageError(f"{str(folder)!r} is there already; name a folder that is not")
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
    """The end of a name, at most so many bytes of UTF-8, that any file system takes behind a number and a space.

    Letters, digits, _ and - of it, and dots inside.
    """
    kept = re.sub(r"[^\w.-]+", "_", name).encode()[-most:]
    return kept.decode(errors="ignore").strip(".") or "_"  # a character that was cut is left out
