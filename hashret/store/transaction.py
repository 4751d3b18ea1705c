"""Transactions, through which all changes to a store are made."""

from __future__ import annotations

import re
import uuid
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from hashret import files
from hashret.codes import Codes
from hashret.errors import DataError, StoreError
from hashret.files import Root
from hashret.store import deletions as bitmaps
from hashret.store import faiss_file, merging, recovery
from hashret.store.derived import Derived, concatenate_derived
from hashret.store.manifest import (
    RECOVERY,
    SECOND,
    FileEntry,
    Manifest,
    Place,
    SegmentEntry,
    faiss_path,
    recovery_path,
    segment_path,
)
from hashret.store.reader import Generation
from hashret.store.segment import DOCUMENT_BYTES, Record, Segment

SEGMENT_ROWS = 1 << 17
SEGMENT_BYTES = 64 << 20  # contents, metadata and vectors of a segment, which a writer buffers in memory
ID_BYTES = 4096
HASHER_FILES = r"config\.json|(vocabulary|weights|encoder|vectors)-[0-9a-f]{16}\.(json|safetensors)"
OWN = re.compile(
    r"segments/(\d{6,15})\.h5|faiss/(\d{6,15})\.faiss|deletions/(\d{6,15})\.npy|recovery/(\d{6,15})\.(?:json|npy)"
    rf"|hasher/(\d{{6,15}})/(?:{HASHER_FILES})"
)
"""Names of the files that a transaction writes. Files with other names are never removed."""


Part = tuple[Codes, list[Record], Derived]


class Transaction:
    """A set of changes to a store. New files take effect when `commit` replaces the manifest."""

    def __init__(self, store: Generation, root: Root) -> None:
        self.store, self.root = store, root
        old: Manifest | None = getattr(store, "manifest", None)
        self.bits = old.bits if old else 0
        self.hasher, self.fingerprint = (old.hasher, old.fingerprint) if old else ("", "")
        self.identity = old.identity if old else ""
        self.about: Mapping[str, Any] = old.about if old else {}
        largest = 0 if old else _largest(root)
        self.generation, self.counter = (old.generation, old.counter) if old else (largest, largest)
        self.entries = list(old.segments) if old else []
        self.files = dict(old.files) if old else {}
        self.deleted = store.deleted.copy()
        self.started_over = old is None
        self.codes: list[Codes] = []
        self.derived: list[Derived] = []
        self.pending: list[Record] = []
        self.pending_bytes = 0
        self.written: list[str] = []  # files written, for `undo`
        self.made: list[str] = []  # folders created, for `undo`
        self.folders: set[str] = set()  # folders with new files, to sync
        self.second: bytes | None = None  # previous second copy of the manifest, for `undo`

    def start_over(
        self, bits: int, fingerprint: str, about: Mapping[str, Any], hasher: Mapping[str, bytes], new: bool = True
    ) -> None:
        """Drop all documents and set a new hasher, whose files are in `hasher`, by name.

        `new` gives the index a new identity, so that open stores of the old index raise instead of mixing the two.
        """
        self.entries, self.files, self.deleted, self.started_over = [], {}, np.zeros(0, bool), True
        self.bits, self.fingerprint, self.about = bits, fingerprint, dict(about)
        if new:
            self.identity = uuid.uuid4().hex
        self.hasher = f"hasher/{self._number():06d}"
        for name, data in sorted(hasher.items()):
            self._write(f"{self.hasher}/{name}", data)

    def add(self, codes: Codes, records: Sequence[Record], derived: Derived | None = None) -> None:
        """Append n documents with codes uint8 [n, bytes]. The caller ensures that the ids are unique."""
        start, derived = 0, derived or Derived()
        width = 0 if derived.vectors is None else derived.vectors.values[:1].nbytes
        width += 0 if derived.originals is None else derived.originals[:1].nbytes
        for stop, record in enumerate(records, 1):
            self.pending_bytes += _size_of(record) + width
            full = len(self.pending) + stop - start >= SEGMENT_ROWS or self.pending_bytes >= SEGMENT_BYTES
            if full or stop == len(records):
                self.codes.append(codes[start:stop])
                self.pending += records[start:stop]
                self.derived.append(derived if stop - start == len(records) else derived.take(np.arange(start, stop)))
                start = stop
            if full:
                self._flush()

    def rows_of(self, ids: Sequence[str]) -> list[int | None]:
        """Return the row of each id in the previous generation, or None if it is not found or deleted."""
        rows = [None] * len(ids) if self.started_over else self.store.find_all(ids)
        return [None if row is None or self.deleted[row] else row for row in rows]

    def row_of(self, id: str) -> int | None:
        """Return the row of one id, or None. See `rows_of`."""
        return self.rows_of([id])[0]

    def delete(self, rows: Sequence[int]) -> None:
        """Mark rows of the previous generation as deleted."""
        self.deleted[list(rows)] = True

    def compact(self) -> None:
        """Rewrite all documents in as few segments as possible, without deleted rows."""
        self._flush()
        self._rewrite(0, len(self.entries))

    def commit(self) -> None:
        """Write the pending files and the manifest, which makes the changes visible."""
        self._flush()
        self._merge()
        deletions = ""
        old = self.store.manifest.deletions if not self.started_over else ""
        for name in (old, bitmaps.recovery_path(old)):
            self.files.pop(name, None)
        if self.deleted.any():
            deletions = bitmaps.path(self._number())
            for name in (deletions, bitmaps.recovery_path(deletions)):
                self._write(name, bitmaps.image(self.deleted))
        self._make(RECOVERY)
        for folder in sorted(self.folders):
            self.root.sync(folder)
        self.second = self.root.read(SECOND) if self.root.exists(SECOND) else None
        self.written += [] if self.second else [SECOND]
        Manifest(
            bits=self.bits,
            hasher=self.hasher,
            fingerprint=self.fingerprint,
            identity=self.identity,
            about=self.about,
            generation=self.generation + 1,
            counter=self.counter,
            segments=tuple(self.entries),
            deletions=deletions,
            deleted=int(self.deleted.sum()),
            files=self.files,
        ).write(self.root)

    def undo(self) -> None:
        """Remove the files and folders that this transaction created."""
        with suppress(OSError, StoreError):
            if self.second and self.root.read(SECOND) != self.second:
                self.root.replace(SECOND, self.second)
        for name in self.written:
            with suppress(OSError, StoreError):
                self.root.remove(name)
        for folder in reversed(self.made):
            self.root.remove_folder(folder)

    def _flush(self) -> None:
        """Write the pending documents as a segment."""
        if not self.pending:
            return
        from hashret.store import hdf5

        number, codes, records = self._number(), np.concatenate(self.codes), self.pending
        image, arrays = hdf5.image(codes, records, concatenate_derived(self.derived))
        self._write(segment_path(number), image, arrays)
        self._write(recovery_path(number), recovery.of(records, image, arrays).image())
        self._write(faiss_path(number), faiss_file.image(codes, self.bits))
        self.entries.append(SegmentEntry(number, len(records)))
        self.deleted = np.concatenate([self.deleted, np.zeros(len(records), bool)])
        self.codes, self.derived, self.pending, self.pending_bytes = [], [], [], 0

    def _merge(self) -> None:
        """Merge segments as `merging` chooses. Only adjacent segments are merged, to keep the order of rows."""
        while run := merging.choose(*self._loads()):
            self._rewrite(*run)

    def _loads(self) -> tuple[list[int], list[int], list[int]]:
        """Return, per segment: rows that are not deleted, all rows, and its `merging.worth`."""
        living = [int(self.living(entry).sum()) for entry in self.entries]
        named = [self.files[segment_path(entry.number)] for entry in self.entries]
        return living, [entry.rows for entry in self.entries], [merging.worth(file) for file in named]

    def living(self, entry: SegmentEntry) -> bitmaps.Mask:
        """Return the mask of the rows of a segment that are not deleted."""
        start = sum(other.rows for other in self.entries[: self.entries.index(entry)])
        return np.asarray(~self.deleted[start : start + entry.rows])

    def put(self, entry: SegmentEntry, parts: Iterable[Part]) -> None:
        """Replace a segment by these documents."""
        place = self.entries.index(entry)
        self._put(place, place + 1, parts)

    def write_beside(self, entry: SegmentEntry, names: Container[str]) -> None:
        """Rewrite the FAISS file and the recovery file of a segment, if they are in `names`."""
        segment, faiss, beside = self._open(entry), faiss_path(entry.number), recovery_path(entry.number)
        if faiss in names:
            self._write(faiss, faiss_file.image(segment.codes(), self.bits))
        if beside in names:
            name = segment_path(entry.number)
            image, arrays = self.root.read(name), self.files[name].arrays
            self._write(beside, recovery.of(list(segment.records()), image, arrays).image())

    def _rewrite(self, first: int, stop: int) -> None:
        """Rewrite segments first to stop (exclusive), without deleted rows."""
        chosen = [(self._open(entry), self.living(entry)) for entry in self.entries[first:stop]]
        self._put(first, stop, (part for segment, kept in chosen for part in _parts(segment, kept)))

    def _put(self, first: int, stop: int, parts: Iterable[Part]) -> None:
        """Replace segments first to stop (exclusive) by these documents."""
        edges = np.cumsum([0, *(entry.rows for entry in self.entries)]).tolist()
        before, chosen, after = self.entries[:first], self.entries[first:stop], self.entries[stop:]
        gone = self.deleted
        self.entries, self.deleted = before, gone[: edges[first]]
        for part in parts:
            self.add(*part)
        self._flush()
        self.entries = self.entries + after
        self.deleted = np.concatenate([self.deleted, gone[edges[stop] :]])
        for entry in chosen:
            for name in (segment_path(entry.number), recovery_path(entry.number), faiss_path(entry.number)):
                self.files.pop(name, None)

    def _open(self, entry: SegmentEntry) -> Segment:
        """Return a segment of the previous generation, or open one that this transaction wrote."""
        name = segment_path(entry.number)
        there = [segment for segment in self.store.segments if segment.path == self.root.path / name]
        if there:
            return there[0]
        return Segment(self.root.open(name), self.root.path / name, entry.rows, self.bits, self.files[name].arrays)

    def _number(self) -> int:
        self.counter += 1
        return self.counter

    def _make(self, folder: str) -> None:
        """Create a folder if it is missing, and sync it at commit."""
        if self.root.make_folder(folder):
            self.made.append(folder)
        self.folders.add(folder)

    def _write(self, name: str, data: bytes, arrays: Mapping[str, Place] = {}) -> None:
        """Write a file and add it to the manifest."""
        *folders, _ = name.split("/")
        for depth in range(1, len(folders) + 1):
            self._make("/".join(folders[:depth]))
        self.written.append(name)
        self.root.write(name, data)
        self.files[name] = FileEntry(len(data), files.sha256_of(data), arrays)


def own_files(root: Root) -> Iterator[str]:
    """Yield all files of an index with names that a transaction uses, including those of failed transactions."""
    for folder in ("segments", "faiss", "deletions", RECOVERY, *(f"hasher/{name}" for name in root.names("hasher"))):
        for name in root.names(folder):
            final = re.sub(r"\A\.(.+)\.\d+\.tmp\Z", r"\1", name)
            if OWN.fullmatch(f"{folder}/{final}"):
                yield f"{folder}/{name}"


def _size_of(record: Record) -> int:
    """Return the approximate size of a record in bytes. Raises DataError if the id, text or metadata is too large."""
    if len(record.id) > ID_BYTES or len(record.id.encode("utf-8", "surrogatepass")) > ID_BYTES:
        raise DataError(f"the id {record.id[:40]!r}... is too long; ids have at most {ID_BYTES:,} bytes")
    content = len(record.content)
    if 4 * content > DOCUMENT_BYTES:  # else UTF-8 cannot exceed the limit
        content = len(record.content.encode("utf-8", "surrogatepass"))
    if content > DOCUMENT_BYTES:
        raise DataError(
            f"the text of {record.id!r} has {content:,} bytes; the limit is {DOCUMENT_BYTES:,}, so split the document"
        )
    metadata = sum(len(str(key)) + _weight(value) for key, value in record.metadata.items())
    if metadata > DOCUMENT_BYTES:
        raise DataError(f"metadata of {record.id!r} has more than {DOCUMENT_BYTES:,} bytes; omit some fields")
    return content + metadata + len(record.thumbnail) + len(record.id) + sum(map(len, record.labels))


def _weight(value: Any) -> int:
    """Return the approximate size of a value as JSON, in bytes."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(len(str(key)) + _weight(own) for key, own in value.items())
    return sum(map(_weight, value)) if isinstance(value, list | tuple) else 8


def _parts(segment: Segment, kept: bitmaps.Mask) -> Iterator[Part]:
    """Yield the rows of a segment that are kept, from 1000 rows at a time."""
    codes, derived = segment.codes(), segment.derived()
    for first in range(0, segment.rows, 1000):
        rows = np.flatnonzero(kept[first : first + 1000]) + first
        if len(rows):
            yield codes[rows], segment.some(rows), derived.take(rows)


def _largest(root: Root) -> int:
    """Return the largest number in file names, so that no number is reused after the manifest is lost."""
    numbers = [match for name in own_files(root) for match in re.findall(r"(?<!\d)\d{6,15}(?!\d)", name)]
    return max(map(int, numbers), default=0)
