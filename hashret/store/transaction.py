"""Transaction: the one way to change a store."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hashret.codes import Codes
from hashret.errors import DataError
from hashret.features import Vectors, joined
from hashret.store import deletions as bitmaps
from hashret.store import files, merging, spare
from hashret.store.files import sha256
from hashret.store.manifest import FileEntry, Manifest, Place, SegmentEntry, faiss_path, segment_path, spare_path
from hashret.store.segment import Record, Segment

if TYPE_CHECKING:
    from hashret.store.store import Store

SEGMENT_ROWS = 1 << 17
SEGMENT_BYTES = 64 << 20  # of contents and vectors; what a writer holds at once
ID_BYTES = 4096

Attach = Callable[[Path, Codes, int], None]
"""Writes another program's file of a segment's codes: attach(path, codes, bits)."""


Part = tuple[Codes, list[Record], Vectors | None]


class Transaction:
    """Changes gathered, files written under their final names; nothing counts before `commit`."""

    def __init__(self, store: Store, attach: Attach) -> None:
        self.store, self.attach = store, attach
        old: Manifest | None = getattr(store, "manifest", None)
        self.bits = old.bits if old else 0
        self.hasher, self.fingerprint = (old.hasher, old.fingerprint) if old else ("", "")
        self.about: Mapping[str, Any] = old.about if old else {}
        largest = 0 if old else _largest(store.path)
        self.generation, self.counter = (old.generation, old.counter) if old else (largest, largest)
        self.entries = list(old.segments) if old else []
        self.files = dict(old.files) if old else {}
        self.deleted = store.deleted.copy()
        self.started_over = old is None
        self.codes: list[Codes] = []
        self.vectors: list[Vectors] = []
        self.pending: list[Record] = []
        self.pending_bytes = 0
        self.folders: set[Path] = set()  # that got new files, and are to be forced to disk

    def start_over(self, bits: int, fingerprint: str, about: Mapping[str, Any], save: Callable[[Path], None]) -> None:
        """Drop all that there is; `save` writes the new hasher's files into the folder it is given."""
        self.entries, self.files, self.deleted, self.started_over = [], {}, np.zeros(0, bool), True
        self.bits, self.fingerprint, self.about = bits, fingerprint, dict(about)
        self.hasher = f"hasher/{self._number():06d}"
        folder = self.store.path / self.hasher
        files.make_folder(folder.parent)
        shutil.rmtree(folder, ignore_errors=True)  # a killed writer may have left some of one
        save(folder)
        for file in sorted(folder.iterdir()):
            files.sync(file)
            self._name(file)
        self.folders |= {folder, folder.parent}  # the new folder's own name has to be safe, too

    def add(self, codes: Codes, records: Sequence[Record], vectors: Vectors | None = None) -> None:
        """Append documents: codes [n, bytes], n records, whose ids the caller has checked, and where kept n vectors."""
        for record in records:
            if len(record.id) > ID_BYTES or len(record.id.encode("utf-8", "surrogatepass")) > ID_BYTES:
                raise DataError(f"ids have at most {ID_BYTES:,} bytes, that of {record.id[:40]!r}... has more")
        self.codes.append(codes)
        if vectors is not None:
            self.vectors.append(vectors)
            self.pending_bytes += vectors.values.nbytes
        self.pending += records
        self.pending_bytes += sum(len(record.content) + len(record.thumbnail) for record in records)
        if len(self.pending) >= SEGMENT_ROWS or self.pending_bytes >= SEGMENT_BYTES:
            self._flush()

    def rows_of(self, ids: Sequence[str]) -> list[int | None]:
        """The rows of the generation before that have these ids and stay, or None."""
        rows = [None] * len(ids) if self.started_over else self.store.find_all(ids)
        return [None if row is None or self.deleted[row] else row for row in rows]

    def row_of(self, id: str) -> int | None:
        """The same for one id."""
        return self.rows_of([id])[0]

    def delete(self, rows: Sequence[int]) -> None:
        """Mark rows of the generation before as deleted."""
        self.deleted[list(rows)] = True

    def compact(self) -> None:
        """Write what is not deleted anew, in order, in as few segments as may be."""
        self._flush()
        self._rewrite(0, len(self.entries))

    def commit(self) -> None:
        """Make it count."""
        self._flush()
        self._merge()
        deletions = ""
        old = self.store.manifest.deletions if not self.started_over else ""
        for name in (old, bitmaps.spare_path(old)):
            self.files.pop(name, None)
        if self.deleted.any():
            deletions = bitmaps.path(self._number())
            for name in (deletions, bitmaps.spare_path(deletions)):
                bitmaps.write(self._place(name), self.deleted)
                self._name(self.store.path / name)
        for folder in sorted(self.folders):
            files.sync(folder)
        Manifest(
            bits=self.bits,
            hasher=self.hasher,
            fingerprint=self.fingerprint,
            about=self.about,
            generation=self.generation + 1,
            counter=self.counter,
            segments=tuple(self.entries),
            deletions=deletions,
            deleted=int(self.deleted.sum()),
            files=self.files,
        ).write(self.store.path)

    def _flush(self) -> None:
        """Write what is gathered as a segment."""
        if not self.pending:
            return
        from hashret.store import hdf5

        number, codes, records = self._number(), np.concatenate(self.codes), self.pending
        image, arrays = hdf5.image(codes, records, joined(self.vectors) if self.vectors else None)
        segment, beside, faiss = map(self._place, (segment_path(number), spare_path(number), faiss_path(number)))
        files.write(segment, image)
        spare.write(beside, spare.of(records, image))
        files.write_by(faiss, lambda path: self.attach(path, codes, self.bits))
        self._name(segment, arrays)
        self._name(beside)
        self._name(faiss)
        self.entries.append(SegmentEntry(number, len(records)))
        self.deleted = np.concatenate([self.deleted, np.zeros(len(records), bool)])
        self.codes, self.vectors, self.pending, self.pending_bytes = [], [], [], 0

    def _merge(self) -> None:
        """Have few segments, by the policy of `merging`; neighbours only, so that the order stays."""
        while run := merging.choose(*self._loads()):
            self._rewrite(*run)

    def _loads(self) -> tuple[list[int], list[int], list[int]]:
        """Of each segment: rows that are not deleted, all rows, and how many rows its bytes would be worth."""
        living = [int(self.living(entry).sum()) for entry in self.entries]
        named = [self.files[segment_path(entry.number)] for entry in self.entries]
        return living, [entry.rows for entry in self.entries], [merging.worth(file) for file in named]

    def living(self, entry: SegmentEntry) -> bitmaps.Mask:
        """Which rows of a segment are not deleted."""
        start = sum(other.rows for other in self.entries[: self.entries.index(entry)])
        return np.asarray(~self.deleted[start : start + entry.rows])

    def put(self, entry: SegmentEntry, parts: Iterable[Part]) -> None:
        """Have these documents in the place of a segment: what was saved of it."""
        place = self.entries.index(entry)
        self._put(place, place + 1, parts)

    def write_beside(self, entry: SegmentEntry, names: Container[str]) -> None:
        """Write those of the files beside a segment anew that have one of these names."""
        segment, faiss, beside = self._open(entry), faiss_path(entry.number), spare_path(entry.number)
        if faiss in names:
            files.write_by(self._place(faiss), lambda path: self.attach(path, segment.codes(), self.bits))
            self._name(self.store.path / faiss)
        if beside in names:
            spare.write(self._place(beside), spare.of(list(segment.records()), segment.path.read_bytes()))
            self._name(self.store.path / beside)

    def _rewrite(self, first: int, stop: int) -> None:
        """Write the segments from the first to before the second number anew, without what is deleted."""
        chosen = [(self._open(entry), self.living(entry)) for entry in self.entries[first:stop]]
        self._put(first, stop, (part for segment, kept in chosen for part in _parts(segment, kept)))

    def _put(self, first: int, stop: int, parts: Iterable[Part]) -> None:
        """Have these documents in the place of the segments from the first to before the second number."""
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
            for name in (segment_path(entry.number), spare_path(entry.number), faiss_path(entry.number)):
                self.files.pop(name, None)

    def _open(self, entry: SegmentEntry) -> Segment:
        """A segment of the generation before, or one written since."""
        name = segment_path(entry.number)
        there = [segment for segment in self.store.segments if segment.path.name == Path(name).name]
        arrays = self.files[name].arrays if name in self.files else {}
        return there[0] if there else Segment(self.store.path / name, entry.rows, self.bits, arrays)

    def _number(self) -> int:
        self.counter += 1
        return self.counter

    def _place(self, name: str) -> Path:
        """Where a file of the index shall lie, its folder made."""
        path = self.store.path / name
        files.make_folder(path.parent)
        self.folders.add(path.parent)
        return path

    def _name(self, path: Path, arrays: Mapping[str, Place] = {}) -> None:
        """Have the manifest name a file."""
        name = path.relative_to(self.store.path).as_posix()
        self.files[name] = FileEntry(path.stat().st_size, sha256(path), arrays)


def _parts(segment: Segment, kept: bitmaps.Mask) -> Iterator[Part]:
    """The rows of a segment that are kept, a thousand at a time."""
    codes = segment.codes()
    for first in range(0, segment.rows, 1000):
        rows = np.flatnonzero(kept[first : first + 1000]) + first
        if len(rows):
            yield codes[rows], segment.some(rows), segment.vectors(rows) if segment.dim else None


def _largest(folder: Path) -> int:
    """The largest number in a file's name: where no manifest tells which was given last, none is given again."""
    return max((int(n) for path in folder.rglob("*") for n in re.findall(r"\A\d{6,18}", path.name)), default=0)
