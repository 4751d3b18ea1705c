"""Repair: restore everything that can be known, isolate what is lost, guess nothing.

A bit that flipped is flipped back: the checksum of its block says which bit it was, and the checksum of the file proves
it. Other damage, also blocks that the disk cannot read and a file that is too short or too long, costs the documents
that it touched. Files that follow from others are rewritten. Damaged files are kept in the folder `damaged`, which
nothing reads.
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
from hashret.store.derived import FIELDS, Derived
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
MOST_BLOCKS = 64  # in which a flipped bit is looked for; more damage is not a flipped bit


@dataclass
class Repaired:
    """What was done, which documents are lost, what is still wrong."""

    done: list[tuple[str, str]] = field(default_factory=list)  # file, what was done
    lost: list[tuple[str, str]] = field(default_factory=list)  # file, id
    nameless: list[tuple[str, int]] = field(default_factory=list)  # file, number of lost documents of unknown id
    left: list[Problem] = field(default_factory=list)


Make = Callable[[Sequence[Record]], Derived]
"""Makes words and titles, and vectors if it can, from the records of documents."""

Derive = Callable[[Manifest, Callable[[str], bytes]], Make]
"""The Make of an index, from its manifest and a reader of its hasher's files."""


def repair(folder: Path, derive: Derive) -> Repaired:
    """Mend the index in a folder; IndexNotFound where there is none, CorruptIndex where no manifest can be read."""
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
            sweep(root)  # which does it
    except OSError as error:
        raise StoreError(f"index {str(folder)!r} cannot be repaired: {files.reason(error)}") from error
    report.left = problems(folder)
    return report


def _manifest(root: Root, report: Repaired) -> Manifest:
    """The manifest, or where it is lost or damaged its second copy, put in its place."""
    try:
        return Manifest.read(root)
    except (FileNotFoundError, StoreError) as error:
        try:
            manifest = Manifest.read(root, SECOND)
        except (FileNotFoundError, StoreError):
            if isinstance(error, StoreError):
                raise error from None
            raise CorruptIndex(
                f"{root.path / NAME} is lost and {SECOND} is damaged: nothing else says which files count"
            ) from None
        root.replace(NAME, root.read(SECOND))
        root.sync()
        report.done.append((NAME, "was restored from its second copy"))
        return manifest


def _mend(root: Root, manifest: Manifest, wrong: set[str], derive: Derive, report: Repaired) -> None:
    """Mend the files that are wrong, as a change like any other: one new generation, or none."""
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
                report.done.append((name, "has its flipped bits back"))
            elif name in wrong:
                saved = Saved.of(change, manifest, entry, known, data, faiss_path(entry.number) not in wrong, derive)
                _save(change, entry, known, saved, report)
                kept.append(name)
                continue
            if {beside, faiss_path(entry.number)} & wrong:
                change.write_beside(entry, wrong)
                report.done.append((name, "has the files that belong to it rewritten"))
        if any(name.startswith("deletions/") or name == deletions.recovery_path(manifest.deletions) for name in wrong):
            report.done.append((manifest.deletions, "and its second copy were rewritten"))
        change.commit()
    except BaseException:
        if Manifest.read(root) == manifest:
            change.undo()
        raise
    _put_aside(root, kept)


def _put_aside(root: Root, names: Sequence[str]) -> None:
    """Keep damaged files where nothing reads them: other tools may get more out of them."""
    for name in names:
        if root.exists(name):
            root.make_folder(DAMAGED)
            root.rename(name, f"{DAMAGED}/{Path(name).name}")


def _deleted(root: Root, manifest: Manifest, wrong: set[str]) -> Mask:
    """Which rows are deleted; CorruptIndex where neither copy can be read."""
    if not manifest.deletions:
        return np.zeros(manifest.rows, bool)
    for name in (manifest.deletions, deletions.recovery_path(manifest.deletions)):
        if name in manifest.files and name not in wrong:
            return deletions.read(root, name, manifest.rows)
    raise CorruptIndex(
        f"{root.path / manifest.deletions} is damaged and so is its second copy: nothing else says what is deleted; "
        "restore one of the two from a copy, or index the source again"
    )


def _recovery(root: Root, manifest: Manifest, entry: SegmentEntry, wrong: set[str]) -> RecoveryFile | None:
    name = recovery_path(entry.number)
    with suppress(OSError, EOFError, ValueError, KeyError, TypeError, RecursionError):
        if name in manifest.files and name not in wrong:
            return recovery.read(root, name, entry.rows)
    return None


@dataclass
class _Salvaged:
    """What can be read of a damaged file, at its right place; the rest is zero bytes."""

    data: bytearray
    bad: list[int]  # numbers of the blocks that are not as they were written

    @classmethod
    def read(cls, root: Root, name: str, size: int, known: RecoveryFile | None) -> _Salvaged | None:
        """Read block by block what the disk gives; None where that is nothing, or nothing says what is right."""
        try:
            file = root.open(name)
        except (OSError, StoreError):
            return None
        if known is None or len(known.blocks) != -(-size // BLOCK):
            return None
        data, bad = bytearray(size), []
        moved = (0,) if file.size == size else (0, file.size - size)  # bytes lost or put in shift what follows them
        for number, checksum in enumerate(known.blocks):
            start, length = number * BLOCK, min(BLOCK, size - number * BLOCK)
            pieces = [_some(file, start + shift, length) for shift in moved]
            right = [piece for piece in pieces if zlib.crc32(piece) == checksum and len(piece) == length]
            data[start : start + length] = (right or pieces)[0].ljust(length, b"\0")
            bad += [] if right else [number]
        return cls(data, bad)


def _some(file: files.File, start: int, length: int) -> bytes:
    """Bytes of a file as far as it has them and the disk can read them."""
    with suppress(OSError, EOFError, OverflowError):
        length = min(length, file.size - start)
        return file.read(start, length) if start >= 0 and length > 0 else b""
    return b""


def _flip_back(root: Root, name: str, entry: FileEntry, known: RecoveryFile, found: _Salvaged) -> bool:
    """Undo single flipped bits of a file, each in a block of its own; whether that restored it."""
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
    """The one bit that has to be flipped for a block to have its checksum, or None."""
    zeros = bytes(len(block))
    sought, empty = zlib.crc32(block) ^ checksum, zlib.crc32(zeros)  # a CRC is linear: flips add up, data do not matter
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
    """Put the undamaged rows of a damaged segment in its place, and list the ids of the others."""
    name, living = segment_path(entry.number), change.living(entry)
    whole = saved.whole & living if saved else np.zeros(entry.rows, bool)
    change.put(entry, saved.parts(whole) if saved else ())
    lost = living & ~whole
    if known:
        report.lost += [(name, id) for id, gone in zip(known.ids, lost.tolist(), strict=True) if gone]
    elif lost.any():
        report.nameless.append((name, int(lost.sum())))
    report.done.append((name, f"was isolated; {int(whole.sum()):,} of its {int(living.sum()):,} documents are saved"))


class Saved:
    """What of a damaged segment is as it was written."""

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
        """What can be saved; None if nothing can be read."""
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
        codes = self._items("codes").reshape(self.rows, -1).any(axis=1)
        self.codes = self.segment.items("codes").reshape(self.rows, -1)
        if codes_beside and codes.any():
            image = change.root.read(faiss_path(entry.number))
            self.codes, codes = self._from_faiss(image, width(bits)), np.zeros_like(codes)
        self.whole = ~(touched | codes)

    def parts(self, rows: Mask) -> Iterator[Part]:
        """Codes, records and vectors of these rows, run after run of neighbours."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], rows, [False]]).astype(np.int8)))
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            for start in range(first, last, 1000):
                stop = min(start + 1000, last)
                records = self.segment.between(start, stop, self.known.ids[start:stop], self.known.names)
                yield self.codes[start:stop], records, self._derived(records, np.arange(start, stop))

    def _derived(self, records: Sequence[Record], rows: npt.NDArray[np.int64]) -> Derived:
        """The parts that the segment has, made again from the records; vectors are read where that cannot be done."""
        made, vectors = self.derive(records), self.segment.vectors()
        if vectors is not None:
            vectors = vectors.take(rows) if made.vectors is None else made.vectors
        words, titles = (self.segment.field(name) is not None for name in FIELDS)
        return Derived(vectors, made.words if words else None, made.titles if titles else None)

    def _items(self, name: str) -> Mask:
        """Which numbers of an array lie in a damaged block, and have no copy."""
        offset, items = self.arrays[name]
        if name in recovery.KEPT:
            return np.zeros(items, bool)
        size = np.dtype(DTYPES[name]).itemsize
        return self._bytes_touched(offset + size * np.arange(items), size)

    def _bytes_touched(
        self, starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64] | int
    ) -> npt.NDArray[np.bool_]:
        """Which of the ranges of bytes that begin at `starts` overlap a damaged block."""
        first = np.searchsorted(self.bad, starts - BLOCK, "right")
        return np.asarray(np.searchsorted(self.bad, starts + lengths, "left") > first)

    def _strings(self, name: str) -> Mask:
        """Which rows have a string of this name that the damage touches."""
        if f"{name}/pieces" not in self.arrays:
            return self._ranges(name, self._items(f"{name}/bytes"))
        table = self.segment.array(f"{name}/pieces").reshape(-1, 2)
        return self._ranges(name, self._bytes_touched(table[:, 0], table[:, 1]), PIECE)

    def _ranges(self, name: str, bad: Mask, size: int = 1) -> Mask:
        """Which rows lie, by their offsets, in what is bad; `size`: offsets for each element of `bad`."""
        offsets = self.segment.array(f"{name}/offsets")
        before = np.concatenate([[0], np.cumsum(bad)])
        starts, stops = offsets[:-1] // size, -(-offsets[1:] // size)
        starts, stops = starts.clip(0, len(bad)), stops.clip(0, len(bad))
        return np.asarray((before[stops] > before[starts]) & (offsets[1:] > offsets[:-1]))

    def _from_faiss(self, image: bytes, bytes_: int) -> Codes:
        """The codes at the end of the FAISS file of the segment, whose checksum matches."""
        return np.frombuffer(image[-self.rows * bytes_ :], np.uint8).reshape(self.rows, bytes_)
