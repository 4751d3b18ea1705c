"""Repair a damaged index: restore what checksums can confirm, remove lost documents, never guess.

A flipped bit is corrected. The checksum of its block locates the bit, and the checksum of the file confirms the result.
Other damage, such as unreadable blocks or a file of the wrong length, loses the documents in the affected blocks. Files
that can be derived from others are rewritten. Damaged files are moved to the folder `damaged`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hashret import files
from hashret.codes import Codes, width
from hashret.errors import CorruptIndex, IndexNotFound, StoreError
from hashret.files import BLOCK, Memory, Root
from hashret.store import deletions, recovery
from hashret.store.check import Problem, changed, problems, second_manifest
from hashret.store.derived import FIELDS, SKETCHES, Derived
from hashret.store.lock import locked
from hashret.store.manifest import (
    NAME,
    SECOND,
    FileEntry,
    Manifest,
    SegmentEntry,
    faiss_path,
    recovery_path,
    segment_path,
)
from hashret.store.recovery import RecoveryFile
from hashret.store.segment import DTYPES, PIECE, Record, Segment
from hashret.store.store import DAMAGED, Store, sweep
from hashret.store.transaction import Part, Transaction

Mask = npt.NDArray[np.bool_]
MOST_BLOCKS = 64  # with more damaged blocks than this, flipped bits are not the likely cause


@dataclass
class Repaired:
    """The result of a repair: actions, lost documents and remaining problems."""

    done: list[tuple[str, str]] = field(default_factory=list)  # (file, action)
    lost: list[tuple[str, str]] = field(default_factory=list)  # (file, id)
    nameless: list[tuple[str, int]] = field(default_factory=list)  # (file, number of lost documents with unknown ids)
    left: list[Problem] = field(default_factory=list)  # remaining problems


Make = Callable[[Sequence[Record]], Derived]
"""Computes words, titles and, if possible, vectors from records."""

Derive = Callable[[Manifest, Callable[[str], bytes]], Make]
"""Returns the `Make` of an index, given its manifest and a function that reads its hasher's files."""


def repair(folder: Path, derive: Derive) -> Repaired:
    """Repair the index in a folder.

    Raises IndexNotFound if the folder holds no index, and CorruptIndex if both manifests are unreadable.
    """
    if not any((folder / name).exists() for name in (NAME, SECOND)):
        raise IndexNotFound(f"no index at {str(folder)!r}", path=str(folder))
    report = Repaired()
    try:
        with locked(folder) as root:
            manifest = _manifest(root, report)
            wrong = {problem.file for problem in changed(root, manifest)}
            if any(not name.startswith("hasher/") for name in wrong):
                _mend(root, manifest, wrong, derive, report)
            report.done += [(problem.file, "was rewritten") for problem in second_manifest(root, manifest)]
            sweep(root)  # rewrites the second manifest
    except OSError as error:
        raise StoreError(f"index {str(folder)!r} cannot be repaired: {files.reason(error)}") from error
    report.left = problems(folder)
    return report


def _manifest(root: Root, report: Repaired) -> Manifest:
    """Read the manifest. If it is missing or damaged, restore it from its second copy first."""
    try:
        return Manifest.read(root)
    except (FileNotFoundError, StoreError) as error:
        try:
            manifest = Manifest.read(root, SECOND)
        except (FileNotFoundError, StoreError):
            if isinstance(error, StoreError):
                raise error from None
            raise CorruptIndex(
                f"{root.path / NAME} is missing and {SECOND} is damaged; restore one of them from a backup"
            ) from None
        root.replace(NAME, root.read(SECOND))
        root.sync()
        report.done.append((NAME, "was restored from its second copy"))
        return manifest


def _mend(root: Root, manifest: Manifest, wrong: set[str], derive: Derive, report: Repaired) -> None:
    """Repair the files in `wrong` in one transaction."""
    store = Store(root.path)
    store.manifest, store.deleted = manifest, _deleted(root, manifest, wrong)
    change = Transaction(store, root)
    kept: list[str] = []
    try:
        for entry in manifest.segments:
            name, beside = segment_path(entry.number), recovery_path(entry.number)
            known = _recovery(root, manifest, entry, wrong)
            data = _Salvaged.read(root, name, manifest.files[name].bytes, known) if name in wrong else None
            if data and known and _flip_back(root, name, manifest.files[name], known, data):
                report.done.append((name, "had flipped bits, which were corrected"))
            elif name in wrong:
                saved = Saved.of(change, manifest, entry, known, data, faiss_path(entry.number) not in wrong, derive)
                _save(change, entry, known, saved, report)
                kept.append(name)
                continue
            if {beside, faiss_path(entry.number)} & wrong:
                change.write_beside(entry, wrong)
                report.done.append((name, "had damaged companion files, which were rewritten"))
        if any(name.startswith("deletions/") or name == deletions.recovery_path(manifest.deletions) for name in wrong):
            report.done.append((manifest.deletions, "and its second copy were rewritten"))
        change.commit()
    except BaseException:
        if Manifest.read(root) == manifest:
            change.undo()
        raise
    _put_aside(root, kept)


def _put_aside(root: Root, names: Sequence[str]) -> None:
    """Move files to the folder `damaged`, so that other tools can still try to recover data."""
    for name in names:
        if root.exists(name):
            root.make_folder(DAMAGED)
            root.rename(name, f"{DAMAGED}/{Path(name).name}")


def _deleted(root: Root, manifest: Manifest, wrong: set[str]) -> Mask:
    """Return the mask of deleted rows. Raises CorruptIndex if both copies are damaged."""
    if not manifest.deletions:
        return np.zeros(manifest.rows, bool)
    for name in (manifest.deletions, deletions.recovery_path(manifest.deletions)):
        if name in manifest.files and name not in wrong:
            return deletions.read(root, name, manifest.rows)
    raise CorruptIndex(
        f"{root.path / manifest.deletions} and its second copy are damaged, so deleted documents are unknown; "
        "restore one of the two from a backup, or index the source again"
    )


def _recovery(root: Root, manifest: Manifest, entry: SegmentEntry, wrong: set[str]) -> RecoveryFile | None:
    name = recovery_path(entry.number)
    with suppress(OSError, EOFError, ValueError, KeyError, TypeError, RecursionError):
        if name in manifest.files and name not in wrong:
            return recovery.read(root, name, entry.rows)
    return None


@dataclass
class _Salvaged:
    """The readable bytes of a damaged file at their original offsets, with zeros in the gaps."""

    data: bytearray
    bad: list[int]  # numbers of the damaged blocks

    @classmethod
    def read(cls, root: Root, name: str, size: int, known: RecoveryFile | None) -> _Salvaged | None:
        """Read a file block by block. Returns None if it cannot be opened or has no block checksums."""
        try:
            file = root.open(name)
        except (OSError, StoreError):
            return None
        if known is None or len(known.blocks) != -(-size // BLOCK):
            return None
        data, bad = bytearray(size), []
        moved = (0,) if file.size == size else (0, file.size - size)  # missing or extra bytes shift later blocks
        for number, checksum in enumerate(known.blocks):
            start, length = number * BLOCK, min(BLOCK, size - number * BLOCK)
            pieces = [_some(file, start + shift, length) for shift in moved]
            right = [piece for piece in pieces if zlib.crc32(piece) == checksum and len(piece) == length]
            data[start : start + length] = (right or pieces)[0].ljust(length, b"\0")
            bad += [] if right else [number]
        return cls(data, bad)


def _some(file: files.File, start: int, length: int) -> bytes:
    """Read up to `length` bytes. Returns fewer at the end of the file, and none if the disk cannot read them."""
    with suppress(OSError, EOFError, OverflowError):
        length = min(length, file.size - start)
        return file.read(start, length) if start >= 0 and length > 0 else b""
    return b""


def _flip_back(root: Root, name: str, entry: FileEntry, known: RecoveryFile, found: _Salvaged) -> bool:
    """Correct one flipped bit in each damaged block. Returns whether this restored the file."""
    if len(found.bad) > MOST_BLOCKS:
        return False
    mended = bytearray(found.data)
    for number in found.bad:
        start = number * BLOCK
        block = mended[start : start + BLOCK]
        if (bit := _flipped(bytes(block), known.blocks[number])) is None:
            return False
        mended[start + bit // 8] ^= 1 << bit % 8
    if files.sha256_of(mended) != entry.sha256:
        return False
    root.replace(name, bytes(mended))
    root.sync(name.rpartition("/")[0])
    return True


def _flipped(block: bytes, checksum: int) -> int | None:
    """Return the bit whose flip gives the block its checksum, or None."""
    zeros = bytes(len(block))
    sought, empty = (
        zlib.crc32(block) ^ checksum,
        zlib.crc32(zeros),
    )  # CRC is linear: the data cancel out
    for bit in range(8 * len(block)):
        flip = bytearray(zeros)
        flip[bit // 8] = 1 << bit % 8
        if zlib.crc32(flip) ^ empty == sought:
            return bit
    return None


def _save(
    change: Transaction,
    entry: SegmentEntry,
    known: RecoveryFile | None,
    saved: Saved | None,
    report: Repaired,
) -> None:
    """Replace a damaged segment by its undamaged rows, and report the ids of the lost rows."""
    name, living = segment_path(entry.number), change.living(entry)
    whole = saved.whole & living if saved else np.zeros(entry.rows, bool)
    change.put(entry, saved.parts(whole) if saved else ())
    lost = living & ~whole
    if known:
        report.lost += [(name, id) for id, gone in zip(known.ids, lost.tolist(), strict=True) if gone]
    elif lost.any():
        report.nameless.append((name, int(lost.sum())))
    report.done.append((name, f"was replaced; {int(whole.sum()):,} of its {int(living.sum()):,} documents were saved"))


class Saved:
    """The undamaged rows of a damaged segment."""

    @classmethod
    def of(
        cls,
        change: Transaction,
        manifest: Manifest,
        entry: SegmentEntry,
        known: RecoveryFile | None,
        data: _Salvaged | None,
        codes_beside: bool,
        derive: Derive,
    ) -> Saved | None:
        """Return the rows that can be saved, or None if the file cannot be read."""
        if known and data and len(data.bad) < len(known.blocks):
            with suppress(StoreError, ValueError, KeyError, zlib.error):
                return cls(change, manifest, entry, known, data, codes_beside, derive)
        return None

    def __init__(
        self,
        change: Transaction,
        manifest: Manifest,
        entry: SegmentEntry,
        known: RecoveryFile,
        data: _Salvaged,
        codes_beside: bool,
        derive: Derive,
    ) -> None:
        name, bits = segment_path(entry.number), change.bits
        self.known, self.rows, self.arrays = known, entry.rows, change.files[name].arrays
        for kept in recovery.KEPT:
            offset, items = self.arrays[kept]
            copy = known.array(kept, items).tobytes()
            data.data[offset : offset + len(copy)] = copy
        self.segment = Segment(Memory(data.data), change.root.path / name, entry.rows, bits, self.arrays)
        self.bad = np.array(data.bad, np.int64) * BLOCK
        touched = np.zeros(entry.rows, bool)
        for part in ("contents", "thumbnails", "metadata"):
            touched |= self._strings(part)
        touched |= self._ranges("labels", self._items("labels/rows"))
        self.derive = derive(manifest, lambda name: change.root.read(f"{manifest.hasher}/{name}"))
        if (array := self.segment.vector_array) and self.derive([]).vectors is None:
            touched |= self._items(array).reshape(self.rows, -1).any(axis=1) | self._items("vectors/norms")
        if (array := self.segment.original_array) and self.derive([]).originals is None:
            touched |= self._items(array).reshape(self.rows, -1).any(axis=1)
        codes = self._items("codes").reshape(self.rows, -1).any(axis=1)
        self.codes = self.segment.items("codes").reshape(self.rows, -1)
        if codes_beside and codes.any():
            image = change.root.read(faiss_path(entry.number))
            self.codes, codes = self._from_faiss(image, width(bits)), np.zeros_like(codes)
        self.whole = ~(touched | codes)

    def parts(self, rows: Mask) -> Iterator[Part]:
        """Yield codes, records and derived parts of these rows, in runs of adjacent rows."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], rows, [False]]).astype(np.int8)))
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            for start in range(first, last, 1000):
                stop = min(start + 1000, last)
                records = self.segment.between(start, stop, self.known.ids[start:stop], self.known.names)
                yield self.codes[start:stop], records, self._derived(records, np.arange(start, stop))

    def _derived(self, records: Sequence[Record], rows: npt.NDArray[np.int64]) -> Derived:
        """Recompute the derived parts from the records. Vectors that cannot be recomputed are read from the segment."""
        made, vectors = self.derive(records), self.segment.vectors()
        if vectors is not None:
            vectors = vectors.take(rows) if made.vectors is None else made.vectors
        originals = made.originals
        if originals is None and self.segment.original_array:
            originals = self.segment.originals(rows)
        words, titles = (self.segment.field(name) is not None for name in FIELDS)
        sketches = made.sketches if SKETCHES in self.arrays else None
        if sketches is None and SKETCHES in self.arrays and not self._items(SKETCHES).any():
            sketches = self.segment.array(SKETCHES).reshape(self.rows, -1)[rows]
        return Derived(vectors, made.words if words else None, made.titles if titles else None, originals, sketches)

    def _items(self, name: str) -> Mask:
        """Return which items of an array are in damaged blocks. Arrays in `recovery.KEPT` have a copy, so none."""
        offset, items = self.arrays[name]
        if name in recovery.KEPT:
            return np.zeros(items, bool)
        size = np.dtype(DTYPES[name]).itemsize
        return self._bytes_touched(offset + size * np.arange(items), size)

    def _bytes_touched(
        self, starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64] | int
    ) -> npt.NDArray[np.bool_]:
        """Return which byte ranges overlap a damaged block."""
        first = np.searchsorted(self.bad, starts - BLOCK, "right")
        return np.asarray(np.searchsorted(self.bad, starts + lengths, "left") > first)

    def _strings(self, name: str) -> Mask:
        """Return the rows whose string in `name` overlaps a damaged block."""
        if f"{name}/pieces" not in self.arrays:
            return self._ranges(name, self._items(f"{name}/bytes"))
        table = self.segment.array(f"{name}/pieces").reshape(-1, 2)
        return self._ranges(name, self._bytes_touched(table[:, 0], table[:, 1]), PIECE)

    def _ranges(self, name: str, bad: Mask, size: int = 1) -> Mask:
        """Return the rows whose ranges contain bad elements. Each element of `bad` covers `size` offsets."""
        offsets = self.segment.array(f"{name}/offsets")
        before = np.concatenate([[0], np.cumsum(bad)])
        starts, stops = offsets[:-1] // size, -(-offsets[1:] // size)
        starts, stops = starts.clip(0, len(bad)), stops.clip(0, len(bad))
        return np.asarray((before[stops] > before[starts]) & (offsets[1:] > offsets[:-1]))

    def _from_faiss(self, image: bytes, bytes_: int) -> Codes:
        """Return the codes, which are the last bytes of a FAISS file."""
        return np.frombuffer(image[-self.rows * bytes_ :], np.uint8).reshape(self.rows, bytes_)
