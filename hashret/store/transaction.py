"""Transaction: the one way to change a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hashret.codes import Codes
from hashret.features import Vectors, joined
from hashret.store import deletions as bitmaps
from hashret.store import segment as segments
from hashret.store.files import sha256, sync, write_atomically
from hashret.store.manifest import FileEntry, Manifest, SegmentEntry, segment_path
from hashret.store.segment import Record

if TYPE_CHECKING:
    from hashret.store.store import Store

SEGMENT_ROWS = 1 << 17
SEGMENT_BYTES = 64 << 20  # of contents and vectors; what a writer holds at once

Attach = Callable[[Path, Codes, int], None]
"""Writes another program's file of a segment's codes: attach(path, codes, bits)."""


class Transaction:
    """Changes gathered, files written under their final names; nothing counts before `commit`."""

    def __init__(self, store: Store, attach: Attach) -> None:
        self.store, self.attach = store, attach
        old: Manifest | None = getattr(store, "manifest", None)
        self.bits = old.bits if old else 0
        self.hasher, self.fingerprint = (old.hasher, old.fingerprint) if old else ("", "")
        self.about: Mapping[str, Any] = old.about if old else {}
        self.generation, self.counter = (old.generation, old.counter) if old else (0, 0)
        self.entries = list(old.segments) if old else []
        self.files = dict(old.files) if old else {}
        self.deleted = store.deleted.copy()
        self.started_over = old is None
        self.codes: list[Codes] = []
        self.vectors: list[Vectors] = []
        self.pending: list[Record] = []
        self.pending_bytes = 0

    def start_over(self, bits: int, fingerprint: str, about: Mapping[str, Any], save: Callable[[Path], None]) -> None:
        """Drop all that there is; `save` writes the new hasher's files into the folder it is given."""
        self.entries, self.files, self.deleted, self.started_over = [], {}, np.zeros(0, bool), True
        self.bits, self.fingerprint, self.about = bits, fingerprint, dict(about)
        self.hasher = f"hasher/{self._number():06d}"
        folder = self.store.path / self.hasher
        save(folder)
        for file in sorted(folder.iterdir()):
            sync(file)
            self._name(file)
        sync(folder)
        sync(folder.parent)

    def add(self, codes: Codes, records: Sequence[Record], vectors: Vectors | None = None) -> None:
        """Append documents: codes [n, bytes], n records, whose ids the caller has checked, and where kept n vectors."""
        self.codes.append(codes)
        if vectors is not None:
            self.vectors.append(vectors)
            self.pending_bytes += vectors.values.nbytes
        self.pending += records
        self.pending_bytes += sum(len(record.content) + len(record.thumbnail) for record in records)
        if len(self.pending) >= SEGMENT_ROWS or self.pending_bytes >= SEGMENT_BYTES:
            self._flush()

    def row_of(self, id: str) -> int | None:
        """The row of the generation before that has this id and stays, or None."""
        row = None if self.started_over else self.store.find(id)
        return None if row is None or self.deleted[row] else row

    def delete(self, rows: Sequence[int]) -> None:
        """Mark rows of the generation before as deleted."""
        self.deleted[list(rows)] = True

    def compact(self) -> None:
        """Write what is not deleted anew, in order, in as few segments as may be."""
        store = self.store
        self.files = {name: entry for name, entry in self.files.items() if name.startswith("hasher/")}
        self.entries, gone, self.deleted = [], self.deleted, np.zeros(0, bool)
        for segment, start in zip(store.segments, store.starts, strict=False):
            kept = ~gone[start : start + segment.rows]
            codes = segment.codes()
            for first in range(0, segment.rows, 1000):
                rows = np.flatnonzero(kept[first : first + 1000]) + first
                records = [segment.record(int(row)) for row in rows]
                self.add(codes[rows], records, segment.vectors(rows) if segment.dim else None)

    def commit(self) -> None:
        """Make it count."""
        self._flush()
        number = self._number()
        deletions = ""
        if self.deleted.any():
            deletions = f"deletions/{number:06d}.npy"
            write_atomically(self.store.path / deletions, lambda path: bitmaps.write(path, self.deleted))
            self._name(self.store.path / deletions)
        for name in [name for name in self.files if name.startswith("deletions/") and name != deletions]:
            del self.files[name]
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
        number, codes, records = self._number(), np.concatenate(self.codes), self.pending
        path, beside = self.store.path / segment_path(number), self.store.path / f"faiss/{number:06d}.faiss"
        vectors = joined(self.vectors) if self.vectors else None
        write_atomically(path, lambda temporary: segments.write(temporary, codes, records, vectors))
        write_atomically(beside, lambda temporary: self.attach(temporary, codes, self.bits))
        self._name(path)
        self._name(beside)
        self.entries.append(SegmentEntry(number, len(records)))
        self.deleted = np.concatenate([self.deleted, np.zeros(len(records), bool)])
        self.codes, self.vectors, self.pending, self.pending_bytes = [], [], [], 0

    def _number(self) -> int:
        self.counter += 1
        return self.counter

    def _name(self, path: Path) -> None:
        """Have the manifest name a file."""
        self.files[path.relative_to(self.store.path).as_posix()] = FileEntry(path.stat().st_size, sha256(path))
