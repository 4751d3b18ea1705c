"""Repair: bring back all that can be known, isolate what is lost, guess nothing.

A bit that flipped is flipped back: the checksum of its block tells which it was, that of the file that it was the right
one. What is more than that costs the documents that it touched. Files that can be made of others are made anew. What
was damaged is kept in the folder `damaged`, which nothing reads.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hashret.codes import Codes, width
from hashret.errors import StoreError, UsageError
from hashret.store import deletions, files, spare
from hashret.store.check import Problem, changed, problems, spare_manifest
from hashret.store.lock import locked
from hashret.store.manifest import (
    NAME,
    SPARE,
    FileEntry,
    Manifest,
    SegmentEntry,
    faiss_path,
    segment_path,
    spare_path,
)
from hashret.store.segment import DTYPES, PIECE, Segment
from hashret.store.spare import Spare
from hashret.store.store import DAMAGED, Store
from hashret.store.transaction import Attach, Part, Transaction

Mask = npt.NDArray[np.bool_]
MOST_BLOCKS = 64  # in which a flipped bit is looked for; more damage is no flipped bit


@dataclass
class Repaired:
    """What was done, which documents are lost, what is still wrong."""

    done: list[tuple[str, str]] = field(default_factory=list)  # file, what was done
    lost: list[tuple[str, str]] = field(default_factory=list)  # file, id
    nameless: list[tuple[str, int]] = field(default_factory=list)  # file, number of documents whose ids nothing tells
    left: list[Problem] = field(default_factory=list)


def repair(folder: Path, attach: Attach) -> Repaired:
    """Mend the index in a folder; UsageError where there is none, StoreError where nothing tells what belongs to it."""
    if not any((folder / name).exists() for name in (NAME, SPARE)):
        raise UsageError(f"no index at {str(folder)!r}; hashret index SOURCE -i {folder} makes one")
    report = Repaired()
    with locked(folder):
        try:
            manifest = _manifest(folder, report)
            wrong = {problem.file for problem in changed(folder, manifest)}
            if any(not name.startswith("hasher/") for name in wrong):
                _mend(folder, manifest, wrong, attach, report)
            report.done += [(problem.file, "was written anew") for problem in spare_manifest(folder, manifest)]
            Store(folder, None).sweep()  # which does it
        except OSError as error:
            raise StoreError(f"index {str(folder)!r} cannot be repaired: {error.strerror or error}") from error
    report.left = problems(folder)
    return report


def _manifest(folder: Path, report: Repaired) -> Manifest:
    """The manifest, or where it is lost or damaged its spare, put in its place."""
    try:
        return Manifest.read(folder)
    except (FileNotFoundError, StoreError) as error:
        try:
            manifest = Manifest.read(folder, SPARE)
        except (FileNotFoundError, StoreError):
            if isinstance(error, StoreError):
                raise error from None
            raise StoreError(
                f"{folder / NAME} is lost and {SPARE} is damaged: nothing tells which files count"
            ) from None
        files.replace(folder / NAME, (folder / SPARE).read_bytes())
        files.sync(folder)
        report.done.append((NAME, "was put back from its spare"))
        return manifest


def _mend(folder: Path, manifest: Manifest, wrong: set[str], attach: Attach, report: Repaired) -> None:
    """Put the files right that are wrong, as a change like any other: one new generation, or none."""
    store = Store(folder, None)
    store.manifest, store.deleted = manifest, _deleted(folder, manifest, wrong)
    change = Transaction(store, attach)
    kept: list[str] = []
    for entry in manifest.segments:
        name, beside = segment_path(entry.number), spare_path(entry.number)
        known = _spare(folder, manifest, entry, wrong)
        if name in wrong and _flip_back(folder, name, manifest.files[name], known):
            report.done.append((name, "has its flipped bits back"))
        elif name in wrong:
            _save(change, entry, known, faiss_path(entry.number) not in wrong, report)
            kept.append(name)
            continue
        if {beside, faiss_path(entry.number)} & wrong:
            change.write_beside(entry, wrong)
            report.done.append((name, "has the files beside it written anew"))
    if any(name.startswith("deletions/") or name == deletions.spare_path(manifest.deletions) for name in wrong):
        report.done.append((manifest.deletions, "and its spare were written anew"))
    change.commit()
    _put_aside(folder, kept)


def _put_aside(folder: Path, names: Sequence[str]) -> None:
    """Keep damaged files where nothing reads them: others may get more out of them."""
    for name in names:
        if (folder / name).exists():
            files.make_folder(folder / DAMAGED)
            (folder / name).rename(folder / DAMAGED / Path(name).name)


def _deleted(folder: Path, manifest: Manifest, wrong: set[str]) -> Mask:
    """Which rows are deleted; StoreError where neither copy tells."""
    if not manifest.deletions:
        return np.zeros(manifest.rows, bool)
    for name in (manifest.deletions, deletions.spare_path(manifest.deletions)):
        if name in manifest.files and name not in wrong:
            return deletions.read(folder / name, manifest.rows)
    raise StoreError(
        f"{folder / manifest.deletions} is damaged and so is its spare: nothing else tells what is deleted; "
        "restore one of the two from a copy, or index the source again"
    )


def _spare(folder: Path, manifest: Manifest, entry: SegmentEntry, wrong: set[str]) -> Spare | None:
    name = spare_path(entry.number)
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        if name in manifest.files and name not in wrong:
            return spare.read(folder / name, entry.rows)
    return None


def _flip_back(folder: Path, name: str, entry: FileEntry, known: Spare | None) -> bool:
    """Undo single flipped bits of a file, each in a block of its own; whether that made it what it was."""
    data = _bytes(folder, name)
    if known is None or data is None or len(data) != entry.bytes:
        return False
    bad = _bad_blocks(data, known)
    if len(bad) > MOST_BLOCKS:
        return False
    mended = bytearray(data)
    for number in bad:
        start = number * files.BLOCK
        block = mended[start : start + files.BLOCK]
        if (bit := _flipped(bytes(block), known.blocks[number])) is None:
            return False
        mended[start + bit // 8] ^= 1 << bit % 8
    if files.sha256_of(mended) != entry.sha256:
        return False
    files.replace(folder / name, bytes(mended))
    files.sync((folder / name).parent)
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


def _bytes(folder: Path, name: str) -> bytes | None:
    """A file of the index, None where it is lost."""
    with suppress(OSError, StoreError):
        files.own(folder, name)
        return (folder / name).read_bytes()
    return None


def _bad_blocks(data: bytes, known: Spare) -> list[int]:
    found = files.block_checksums(data)
    return [n for n, right in enumerate(known.blocks) if n >= len(found) or found[n] != right]


def _save(change: Transaction, entry: SegmentEntry, known: Spare | None, codes_beside: bool, report: Repaired) -> None:
    """Put the rows of a damaged segment that are whole in its place, and name the others."""
    folder, name = change.store.path, segment_path(entry.number)
    living = change.living(entry)
    whole = np.zeros(entry.rows, bool)
    data, file = _bytes(folder, name), change.files[name]
    saved = None
    if known and data is not None and len(data) == file.bytes and file.arrays:
        with suppress(StoreError):
            saved = Saved(folder, entry, change.bits, file, known, data, codes_beside)
            whole = saved.whole & living
    change.put(entry, saved.parts(whole) if saved else ())
    lost = living & ~whole
    if known:
        report.lost += [(name, id) for id, gone in zip(known.ids, lost.tolist(), strict=True) if gone]
    elif lost.any():
        report.nameless.append((name, int(lost.sum())))
    report.done.append((name, f"was isolated; {int(whole.sum()):,} of its {int(living.sum()):,} documents are saved"))


class Saved:
    """What of a damaged segment is as it was written."""

    def __init__(
        self,
        folder: Path,
        entry: SegmentEntry,
        bits: int,
        file: FileEntry,
        known: Spare,
        data: bytes,
        codes_beside: bool,
    ) -> None:
        self.known, self.rows, self.arrays = known, entry.rows, file.arrays
        self.segment = Segment(folder / segment_path(entry.number), entry.rows, bits, file.arrays)
        self.bad = np.array(_bad_blocks(data, known), np.int64) * files.BLOCK
        touched = np.zeros(entry.rows, bool)
        for name in ("contents", "thumbnails", "metadata"):
            touched |= self._strings(name)
        touched |= self._ranges("labels", self._items("labels/rows"))
        if self.segment.dim:
            touched |= self._items("vectors").reshape(self.rows, -1).any(axis=1) | self._items("scales")
        codes = self._items("codes").reshape(self.rows, -1).any(axis=1)
        self.codes = self.segment.array("codes").reshape(self.rows, -1)
        if codes_beside and codes.any():
            self.codes, codes = self._from_faiss(folder / faiss_path(entry.number), width(bits)), np.zeros_like(codes)
        self.whole = ~(touched | codes)

    def parts(self, rows: Mask) -> Iterator[Part]:
        """Codes, records and vectors of these rows, run after run of neighbours."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], rows, [False]]).astype(np.int8)))
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            for start in range(first, last, 1000):
                stop = min(start + 1000, last)
                records = self.segment.between(start, stop, self.known.ids[start:stop], self.known.names)
                vectors = self.segment.vectors(np.arange(start, stop)) if self.segment.dim else None
                yield self.codes[start:stop], records, vectors

    def _items(self, name: str) -> Mask:
        """Which numbers of an array lie in a damaged block."""
        offset, items = self.arrays[name]
        return self._bytes_touched(offset, items, np.dtype(DTYPES[name]).itemsize)

    def _bytes_touched(self, offset: int, items: int, size: int) -> Mask:
        touched = np.zeros(items, bool)
        for start in (self.bad - offset).tolist():
            touched[max(0, start // size) : max(0, -(-(start + files.BLOCK) // size))] = True
        return touched

    def _strings(self, name: str) -> Mask:
        """Which rows have a string of this name that is touched."""
        if f"{name}/pieces" not in self.arrays:
            return self._ranges(name, self._items(f"{name}/bytes"))
        table = self.segment.array(f"{name}/pieces").reshape(-1, 2).tolist()
        entries = self._items(f"{name}/pieces").tolist()
        pieces = [
            entries[2 * number] or entries[2 * number + 1] or bool(self._bytes_touched(offset, length, 1).any())
            for number, (offset, length) in enumerate(table)
        ]
        return self._ranges(name, np.array(pieces, bool), PIECE)

    def _ranges(self, name: str, bad: Mask, size: int = 1) -> Mask:
        """Which rows lie, by their offsets, in what is bad; `size`: offsets for each element of `bad`."""
        offsets, broken = self.segment.array(f"{name}/offsets"), self._items(f"{name}/offsets")
        before = np.concatenate([[0], np.cumsum(bad)])
        starts, stops = offsets[:-1] // size, -(-offsets[1:] // size)
        starts, stops = starts.clip(0, len(bad)), stops.clip(0, len(bad))
        found = (before[stops] > before[starts]) & (offsets[1:] > offsets[:-1])
        return np.asarray(found | broken[:-1] | broken[1:])

    def _from_faiss(self, path: Path, bytes_: int) -> Codes:
        """The codes at the end of the file beside the segment, whose checksum fits."""
        data = path.read_bytes()[-self.rows * bytes_ :]
        return np.frombuffer(data, np.uint8).reshape(self.rows, bytes_)
