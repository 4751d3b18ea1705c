"""Near-duplicates among documents that are in no index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hashret.deduplication.collection import Read
from hashret.deduplication.finding import Settings, find
from hashret.deduplication.results import Duplicates
from hashret.documents import Documents, Records
from hashret.readers import as_source

if TYPE_CHECKING:
    from hashret.readers.base import Source


def duplicates(
    documents: Source | Documents | Records,
    *,
    threshold: str | float = "near",
    keep: str = "first",
    radius: int | None = None,
    verify: bool = True,
    threads: int | None = None,
    id: str | None = None,
    text: str | Sequence[str] | None = None,
    label: str | None = None,
) -> Duplicates:
    """Find the groups of near-duplicates among documents.

    All pairs whose sketches differ in few bits are found, and each is then verified: texts by their words, images by
    their pixels, vectors by the cosine. `Index.duplicates` does the same for the documents of an index.

    Args:
        documents: A path of files, a source, texts, images, vectors, mappings, a data frame or a dataset.
        threshold: "exact" (equal words, pixels or values), "near" (up to a fifth of the words changed; an image saved
            anew), "similar" (up to 30 % of the words changed; a part cut off), or the least similarity, above 0 and
            at most 1.
        keep: Which document of a group to keep: "first", "last", the "longest" text, the "largest" file, or the first
            with a "label".
        radius: Bits of 128 in which the sketches of a pair may differ; by default, it follows from the threshold.
        verify: Compare the contents of each pair. If not set, the sketches decide.
        threads: Number of threads; by default, one per core.
        id, text, label: Names of the fields of records, if they differ from the defaults.

    Raises:
        UsageError: An argument is invalid, or the radius has too many pairs.
        DataError: The documents cannot be read.

    Example:
        >>> texts = ["wheat was dear that year", "a ship sailed north", "Wheat was dear, that year."]
        >>> [group.drop for group in hashret.duplicates(texts)]
        [['2']]
    """
    settings = Settings(threshold, keep, radius, verify, threads)
    named: dict[str, Any] = {"id": id, "text": text, "label": label}
    source = as_source(documents, **named)
    return find(Read(source, source.count()), settings)
