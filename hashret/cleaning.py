"""The part of `Index` that finds near-duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hashret.documents import Documents, Records
from hashret.errors import DataError
from hashret.explaining import Explaining
from hashret.readers import as_source
from hashret.readers.base import Source
from hashret.snapshot import on_snapshot

if TYPE_CHECKING:  # imported in the functions, because a query does not need them
    from hashret.deduplication import Duplicates
    from hashret.deduplication.collection import Collection
    from hashret.deduplication.files import Done

DIFFERENT = "different"  # the name of the verdicts in the description of an index


class Cleaning(Explaining):
    """Base class of `hashret.Index`, for duplicates."""

    @on_snapshot
    def duplicates(
        self,
        documents: Source | Documents | Records | None = None,
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
        """Find the groups of near-duplicates in the index, or the documents that are in the index already.

        All pairs whose sketches differ in few bits are found, and each is then verified: texts by their words, images
        by their thumbnails, vectors by the cosine. What was compared in a large index is kept in hidden files beside
        it, so that the next call reads only new documents. Pairs given to `mark_different` are left out.

        Args:
            documents: Documents to compare with those of the index, such as a path or a list; each group then has one
                of the index, which is kept, and documents that are new. None compares the index with itself.
            threshold: "exact" (equal words, pixels or values), "near" (up to a fifth of the words changed; an image
                saved anew), "similar" (up to 30 % of the words changed; a part cut off), or the least similarity,
                above 0 and at most 1.
            keep: Which document of a group to keep: "first", "last", the "longest" text, the "largest" file, or the
                first with a "label".
            radius: Bits of 128 in which the sketches of a pair may differ; by default, it follows from the threshold.
            verify: Compare the contents of each pair. If not set, the sketches decide.
            threads: Number of threads; by default, one per core.
            id, text, label: Names of the fields of records, if they differ from the defaults.

        Raises:
            UsageError: An argument is invalid, or the radius has too many pairs.
            DataError: The documents have another type than the index, or the index stores nothing to compare.

        Example:
            >>> texts = ["wheat was dear that year", "a ship sailed north", "Wheat was dear, that year."]
            >>> index = hashret.Index.create("indexes/twice", texts, bits=16)
            >>> index.delete(index.duplicates().drop)
            1
        """
        from hashret.deduplication import Settings, find
        from hashret.deduplication.collection import Joined, Read

        settings, own, border = Settings(threshold, keep, radius, verify, threads), self._collection(), None
        if documents is not None:
            named: dict[str, Any] = {"id": id, "text": text, "label": label}
            source = self._without_index(as_source(documents, **named))
            new = Read(source, source.count(), self._parts.analyzer)
            if len(new) and new.kind != own.kind:
                raise DataError(f"the index holds documents of type {own.kind}, not {new.kind}; choose another source")
            own, border = Joined(own, new), len(own)
        return find(own, settings, different=self._different(), border=border, cache=self._pairs_file())

    def change_files(
        self,
        found: Duplicates,
        action: str,
        *,
        into: str | Path | None = None,
        documents: Source | str | Path | None = None,
        run: bool = False,
    ) -> list[Done]:
        """Delete, link or move the files of the duplicates that `duplicates` found.

        Each file is read again just before. It is left as it is if it, or the file to keep, changed since it was
        indexed, if it is a link, or if the document is only a part of a file. The index is not changed: `delete`
        removes documents from it.

        Args:
            found: The groups.
            action: "delete"; "link", which replaces a file by a hard link to the one to keep; or "move".
            into: The folder to which files are moved.
            documents: The source that was compared with the index, if there was one.
            run: Change the files. If not set, only the checks are made.

        Returns:
            What happened to each file, or would happen: `id`, `action` ("left" if it stays), `file`, `keep`, `reason`.

        Raises:
            UsageError: The action is unknown, or a folder is missing or superfluous.

        Example:
            >>> index = hashret.Index.open("indexes/mine")
            >>> index.change_files(index.duplicates(), "delete")
            []
        """
        from hashret.deduplication.files import change_files
        from hashret.deduplication.places import read_places, stored_places

        kept = stored_places(self.store, self._about, [group.keep for group in found])
        if documents is None:
            dropped = stored_places(self.store, self._about, found.drop)
        else:
            dropped = read_places(as_source(documents), found.drop)
        return list(change_files(found, dropped, kept, action, None if into is None else Path(into), run))

    def _collection(self) -> Collection:
        from hashret.deduplication.collection import Stored

        root = str(self._about.get("root") or ".")
        return Stored(self.store, self.hasher.document_type, self._parts.analyzer, self._parts.quantizer, root)

    def _without_index(self, source: Source) -> Source:
        """The source without the files of the index."""
        return source.without(self.path)

    def _different(self) -> frozenset[frozenset[str]]:
        """The pairs of ids that are not duplicates, as `mark_different` stores them."""
        return frozenset(frozenset(pair) for pair in self._about.get(DIFFERENT) or ())

    def _pairs_file(self) -> Path | None:
        """The file beside the index that keeps pairs of sketches. It is hidden, so it is not indexed."""
        return self.path.parent / f".{self.path.name}.pairs"
