"""Generation: the files of an index at one moment, open for reading."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np

from hashret.codes import Codes, width
from hashret.errors import CorruptIndex, UsageError
from hashret.features import Vectors, concatenate_vectors
from hashret.files import Root
from hashret.store import deletions
from hashret.store.deletions import Mask
from hashret.store.derived import Postings
from hashret.store.manifest import Manifest, SegmentEntry, segment_path
from hashret.store.segment import Record, Segment, hash_id


class Generation:
    """One generation of an index, all its files open."""

    manifest: Manifest  # not there before an index is created
    starts: list[int]  # the row at which each segment begins

    def __init__(self, path: str | Path) -> None:
        self.path = resolved(path)
        self.name = str(path)  # as it was given, for messages
        self.closed = False
        self.segments: list[Segment] = []
        self.deleted: Mask = np.zeros(0, bool)

    def load(self, root: Root, manifest: Manifest) -> None:
        """Become this generation; segments that it shares with the previous one stay open."""
        opened = [self._open(root, manifest, entry) for entry in manifest.segments]
        deleted = np.zeros(manifest.rows, bool)
        if manifest.deletions:
            deleted = deletions.read(root, manifest.deletions, manifest.rows)
        starts = [0, *accumulate(s.rows for s in manifest.segments)]
        # all at once, so that a copy made by another thread is of one generation
        self.__dict__.update(manifest=manifest, segments=opened, deleted=deleted, starts=starts)

    def _open(self, root: Root, manifest: Manifest, entry: SegmentEntry) -> Segment:
        """A segment of a generation, the one that is open already if it is the same file."""
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
        """What reads the files of this generation's hasher, by name."""
        path, folder = self.path, self.manifest.hasher

        def read(name: str) -> bytes:
            with Root(path) as root:
                return root.read(f"{folder}/{name}")

        return read

    def codes(self) -> Codes:
        """Codes of all rows, deleted ones included, uint8 [rows, bytes]."""
        parts = [segment.codes() for segment in self.segments]
        return np.concatenate(parts) if parts else np.zeros((0, width(self.manifest.bits)), np.uint8)

    def vectors(self) -> Vectors | None:
        """Vectors of all rows, deleted ones included; None if the index has none."""
        parts = [segment.vectors() for segment in self.segments]
        there = [part for part in parts if part is not None]
        if there and (len(there) < len(parts) or len({(own.values.shape[1], own.values.dtype) for own in there}) > 1):
            raise CorruptIndex(f"index {self.name!r} is damaged: its segments hold different vectors", path=self.name)
        return concatenate_vectors(there) if there else None

    def fields(self, name: str) -> list[Postings]:
        """The postings of "words" or "titles" of each segment; none if the index has none."""
        parts = [segment.field(name) for segment in self.segments]
        there = [part for part in parts if part is not None]
        if there and len(there) < len(parts):
            raise CorruptIndex(f"index {self.name!r} is damaged: some segments hold no {name}", path=self.name)
        return there

    def ids(self) -> list[str]:
        """Ids of all rows, deleted ones included."""
        return [id for segment in self.segments for id in segment.ids()]

    def record(self, row: int) -> Record:
        """All that is stored of a row."""
        place = bisect_right(self.starts, row) - 1
        return self.segments[place].record(row - self.starts[place])

    def labels(self) -> list[tuple[str, ...]]:
        """Labels of all rows, deleted ones included."""
        return [labels for segment in self.segments for labels in segment.labels()]

    def records(self) -> Iterator[Record]:
        """Everything that is not deleted, in order."""
        rows = (record for segment in self.segments for record in segment.records())
        return (record for record, gone in zip(rows, self.deleted, strict=True) if not gone)

    def find(self, id: str) -> int | None:
        """The row of the document with this id, or None."""
        return self.find_all([id])[0]

    def find_all(self, ids: Sequence[str]) -> list[int | None]:
        """The rows of the documents with these ids, or None."""
        rows: list[int | None] = [None] * len(ids)
        hashes = np.array([hash_id(id) for id in ids], np.uint64)
        for segment, start in zip(self.segments, self.starts, strict=False):
            for place, row in segment.find(hashes, ids):
                if not 0 <= row < segment.rows:
                    raise CorruptIndex(f"{segment.path} is damaged (a look-up gives row {row})", path=self.name)
                if not self.deleted[start + row]:
                    rows[place] = start + row
        return rows

    def close(self) -> None:
        """Close all files; closing twice is fine."""
        self.closed = True
        for segment in self.segments:
            segment.close()


def resolved(path: str | Path) -> Path:
    """The absolute path of an index, with links and `..` resolved, so that it keeps its meaning after `chdir`."""
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a link to itself, a zero byte
        raise UsageError(f"{str(path)!r} is not a path that can be used: {error}") from error
