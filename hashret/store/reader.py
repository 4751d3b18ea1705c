"""Read one generation of an index."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hashret.codes import Codes, width
from hashret.columns import KINDS, Column, column, texts_of
from hashret.errors import CorruptIndex, UsageError
from hashret.features import Vectors, concatenate_vectors
from hashret.files import Root
from hashret.store import deletions
from hashret.store.deletions import Mask
from hashret.store.derived import Postings
from hashret.store.manifest import Manifest, SegmentEntry, segment_path
from hashret.store.segment import Record, Segment, hash_id

OWN = {"id": "text", "label": "texts"}  # fields of every document, whatever its metadata


class Generation:
    """One generation of an index, with all its segments open."""

    manifest: Manifest  # not set until the index is created
    starts: list[int]  # first row of each segment

    def __init__(self, path: str | Path) -> None:
        self.path = resolved(path)
        self.name = str(path)  # unresolved, for error messages
        self.closed = False
        self.segments: list[Segment] = []
        self.deleted: Mask = np.zeros(0, bool)

    def load(self, root: Root, manifest: Manifest) -> None:
        """Switch to this generation. Segments shared with the previous generation stay open."""
        opened = [self._open(root, manifest, entry) for entry in manifest.segments]
        deleted = np.zeros(manifest.rows, bool)
        if manifest.deletions:
            deleted = deletions.read(root, manifest.deletions, manifest.rows)
        starts = [0, *accumulate(s.rows for s in manifest.segments)]
        # one update, so that a copy made in another thread never mixes two generations
        self.__dict__.update(manifest=manifest, segments=opened, deleted=deleted, starts=starts)

    def _open(self, root: Root, manifest: Manifest, entry: SegmentEntry) -> Segment:
        """Open a segment, or return the open one if the file is the same."""
        name = segment_path(entry.number)
        entry_of = manifest.files[name]
        if self.segments and self.manifest.identity == manifest.identity and self.manifest.files.get(name) == entry_of:
            for segment in self.segments:
                if segment.path == self.path / name and segment.rows == entry.rows:
                    return segment
        file = root.open(name)
        if file.size != entry_of.bytes:
            words = f"{self.path / name} is damaged: it has {file.size} bytes, not {entry_of.bytes}"
            raise CorruptIndex(words, path=self.name)
        return Segment(file, self.path / name, entry.rows, manifest.bits, entry_of.arrays)

    def hasher_reader(self) -> Callable[[str], bytes]:
        """Return a function that reads a file of this generation's hasher by name."""
        path, folder = self.path, self.manifest.hasher

        def read(name: str) -> bytes:
            with Root(path) as root:
                return root.read(f"{folder}/{name}")

        return read

    def codes(self) -> Codes:
        """Return the codes of all rows, including deleted rows, uint8 [rows, bytes]."""
        parts = [segment.codes() for segment in self.segments]
        return np.concatenate(parts) if parts else np.zeros((0, width(self.manifest.bits)), np.uint8)

    def vectors(self) -> Vectors | None:
        """Return the vectors of all rows, including deleted rows, or None if the index has no vectors."""
        parts = [segment.vectors() for segment in self.segments]
        there = [part for part in parts if part is not None]
        if there and (len(there) < len(parts) or len({(own.values.shape[1], own.values.dtype) for own in there}) > 1):
            raise CorruptIndex(f"index {self.name!r} is damaged: its vectors differ in type or size", path=self.name)
        return concatenate_vectors(there) if there else None

    def originals(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Read the original features [len(rows), dim] of these rows, in this order; only these are read."""
        numbers = np.searchsorted(self.starts, rows, "right") - 1
        found: dict[int, npt.NDArray[Any]] = {}
        for number in np.unique(numbers).tolist():
            here = np.flatnonzero(numbers == number)
            part = self.segments[number].originals(rows[here] - self.starts[number])
            found |= dict(zip(here.tolist(), part, strict=True))
        try:
            return np.stack([found[place] for place in range(len(rows))])
        except ValueError as error:
            words = f"index {self.name!r} is damaged: its original features differ in size"
            raise CorruptIndex(words, path=self.name) from error

    def sketches(self) -> Codes | None:
        """Return the sketches of all rows, including deleted rows, uint8 [rows, 16], or None if a segment has none."""
        parts = [own for segment in self.segments if (own := segment.sketches()) is not None]
        return np.concatenate(parts) if parts and len(parts) == len(self.segments) else None

    def fields(self, name: str) -> list[Postings]:
        """Return the postings of "words" or "titles", one item per segment, or [] if the index has none."""
        parts = [segment.field(name) for segment in self.segments]
        there = [part for part in parts if part is not None]
        if there and len(there) < len(parts):
            raise CorruptIndex(f"index {self.name!r} is damaged: some segments have no {name}", path=self.name)
        return there

    def ids(self) -> list[str]:
        """Return the ids of all rows, including deleted rows."""
        return [id for segment in self.segments for id in segment.ids()]

    def record(self, row: int) -> Record:
        """Return the record of a row."""
        place = bisect_right(self.starts, row) - 1
        return self.segments[place].record(row - self.starts[place])

    def labels(self) -> list[tuple[str, ...]]:
        """Return the labels of all rows, including deleted rows."""
        return [labels for segment in self.segments for labels in segment.labels()]

    def kinds(self) -> dict[str, list[str]]:
        """Return the kinds of values of each field that a filter can use: the metadata's fields, `id` and `label`."""
        found = {key for segment in self.segments for key in segment.kinds()}
        found = {(field, kind) for field, kind in found if field not in OWN} | set(OWN.items())
        fields = {field: [kind for kind in KINDS if (field, kind) in found] for field, _ in found}
        return dict(sorted(fields.items()))

    def columns(self, field: str, kind: str) -> list[Column]:
        """Return the values of a kind that a field has, for each segment."""
        return [self.column(number, field, kind) for number in range(len(self.segments))]

    def column(self, number: int, field: str, kind: str) -> Column:
        """Return the values of a kind that a field has in one segment."""
        segment = self.segments[number]
        if field == "label":
            return texts_of(segment.labels())
        if field == "id":
            return column(("id", "text"), [{"id": id} for id in segment.ids()])
        return segment.column(field, kind)

    def records(self) -> Iterator[Record]:
        """Iterate over the records that are not deleted, in row order."""
        rows = (record for segment in self.segments for record in segment.records())
        return (record for record, gone in zip(rows, self.deleted, strict=True) if not gone)

    def find(self, id: str) -> int | None:
        """Return the row of the document with this id, or None if not found."""
        return self.find_all([id])[0]

    def find_all(self, ids: Sequence[str]) -> list[int | None]:
        """Return the row of each id, or None for ids that are not found."""
        rows: list[int | None] = [None] * len(ids)
        hashes = np.array([hash_id(id) for id in ids], np.uint64)
        for segment, start in zip(self.segments, self.starts, strict=False):
            for place, row in segment.find(hashes, ids):
                if not 0 <= row < segment.rows:
                    raise CorruptIndex(f"{segment.path} is damaged (id lookup returned row {row})", path=self.name)
                if not self.deleted[start + row]:
                    rows[place] = start + row
        return rows

    def close(self) -> None:
        """Close all files. Can be called more than once."""
        self.closed = True
        for segment in self.segments:
            segment.close()


def resolved(path: str | Path) -> Path:
    """Return the absolute path of an index, with links and `..` resolved, so that it stays valid after `chdir`."""
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a link to itself, a null byte
        raise UsageError(f"{str(path)!r} is not a valid path: {error}") from error
