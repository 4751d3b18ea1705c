"""Check the files of an index for damage, and explain the consequences of each problem."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hashret import files, worker
from hashret.errors import DataError, IndexNotFound, StoreError
from hashret.files import Root
from hashret.store import deletions, recovery
from hashret.store.derived import FIELDS
from hashret.store.lock import HOLDER, LOCK
from hashret.store.manifest import (
    NAME,
    RECOVERY,
    SECOND,
    FileEntry,
    Manifest,
    SegmentEntry,
    faiss_path,
    recovery_path,
    segment_path,
)
from hashret.store.segment import Segment, hash_id

TRIES = 10  # attempts to check one generation before a writer replaces it


@dataclass(frozen=True)
class Problem:
    """A problem with a file of an index."""

    file: str
    what: str  # the problem, such as "is missing"
    means: str  # its consequences

    def __str__(self) -> str:
        return f"{self.file} {self.what}: {self.means}"


def problems(folder: Path) -> list[Problem]:
    """Return all problems of the index in a folder, even if the index cannot be opened.

    If a writer commits during the check, the new generation is checked instead. Raises IndexNotFound if the folder
    holds no index, and StoreError if it cannot be read.
    """
    sound: dict[str, FileEntry] = {}  # files that were already verified
    try:
        for _ in range(TRIES):
            with Root(folder) as root:
                try:
                    found, manifest = _problems(root, sound)
                except IndexNotFound:
                    raise
                except FileNotFoundError:  # a writer was faster
                    continue
                with suppress(FileNotFoundError, StoreError):
                    if found and manifest and Manifest.read(root) != manifest:
                        continue
                return found
    except (FileNotFoundError, NotADirectoryError):  # IndexNotFound too
        raise _no_index(folder) from None
    except OSError as error:
        raise StoreError(f"index {str(folder)!r} cannot be read: {files.reason(error)}") from error
    raise StoreError(f"index {str(folder)!r} changed {TRIES} times while it was verified; try again later")


def _no_index(folder: Path) -> IndexNotFound:
    return IndexNotFound(f"no index at {str(folder)!r}", path=str(folder))


def _problems(root: Root, sound: dict[str, FileEntry]) -> tuple[list[Problem], Manifest | None]:
    """Return the problems found, and the manifest of the generation checked (None if it cannot be read)."""
    try:
        manifest = Manifest.read(root)
    except FileNotFoundError:
        if not root.exists(SECOND):
            raise _no_index(root.path) from None
        what = "the index cannot be opened; it can be restored from its second copy"
        return [Problem(NAME, "is missing", what)], None
    except StoreError as error:
        return [Problem(NAME, "cannot be read", str(error))], None
    found = [*_links(root, manifest), *second_manifest(root, manifest), *changed(root, manifest, sound)]
    return found or [*_contents(root, manifest)], manifest


def _links(root: Root, manifest: Manifest) -> Iterator[Problem]:
    """Yield symbolic links at paths that hashret may write to. `changed` reports those that replace listed files."""
    folders = ["segments", "faiss", "deletions", "hasher", RECOVERY]
    inside = [f"{folder}/{name}" for folder in folders for name in root.names(folder)]
    inside += [f"{place}/{name}" for place in inside if place.startswith("hasher/") for name in root.names(place)]
    for name in [LOCK, HOLDER, *folders, *inside]:
        if name not in manifest.files and root.is_link(name):
            yield Problem(name, "is a link", "nothing is read or written through it, so changes may fail; remove it")


def second_manifest(root: Root, manifest: Manifest) -> Iterator[Problem]:
    """Yield a problem if the second copy of the manifest is missing, damaged or out of date."""
    try:
        other = Manifest.read(root, SECOND)
        # a writer killed before its commit leaves the copy one generation ahead
        if other == manifest or other.generation == manifest.generation + 1:
            return
        what = "is of another generation"
    except FileNotFoundError:
        what = "is missing"
    except StoreError:
        what = "is damaged"
    yield Problem(SECOND, what, "nothing is lost, it is a second copy; it can be rewritten")


def changed(root: Root, manifest: Manifest, sound: dict[str, FileEntry] | None = None) -> Iterator[Problem]:
    """Yield the files whose size or checksum differs from the manifest.

    Files in `sound` are not read again. Files that pass are added to it.
    """
    sound = {} if sound is None else sound
    for name, entry in manifest.files.items():
        if sound.get(name) == entry:
            continue
        try:
            size = root.stat(name).st_size
            if size != entry.bytes:
                what = f"has {size:,} bytes, not {entry.bytes:,}"
            elif root.sha256(name) != entry.sha256:
                what = "has changed: its checksum does not match"
            else:
                sound[name] = entry
                continue
        except (FileNotFoundError, NotADirectoryError):
            what = "is missing"
        except OSError as error:
            if error.errno in files.BUSY:
                raise
            what = f"cannot be read: {files.reason(error)}"
        except StoreError as error:
            what = f"cannot be read: {error}"
        yield Problem(name, what, meaning(name, manifest))


def meaning(name: str, manifest: Manifest) -> str:
    """Describe the consequences of losing a file."""
    for segment in manifest.segments:
        if name == segment_path(segment.number):
            return f"it holds {segment.rows:,} documents; those outside the damaged blocks can be recovered"
    if name.startswith("faiss/"):
        return "only other programs read it, search does not depend on it; it can be rewritten"
    if name.startswith("recovery/"):
        return "nothing is lost, it is a second copy; it can be rewritten"
    if name.startswith("deletions/"):
        return "it records which documents are deleted; it can be restored from its second copy"
    if "/encoder-" in name:
        return "queries still work, but other functions of the encoder do not; restore it from a backup"
    if name.startswith("hasher/"):
        return "queries cannot be trusted, the documents are safe; restore it from a backup, or index the source again"
    return "nothing depends on it"


def _contents(root: Root, manifest: Manifest) -> Iterator[Problem]:
    """Yield inconsistencies within and between files whose checksums match."""
    means = "it was not written by hashret, or by a faulty version; index the source again, or restore a backup"
    gone = np.zeros(manifest.rows, bool)
    name = manifest.deletions
    try:
        if name:
            gone = deletions.read(root, name, manifest.rows)
        if int(gone.sum()) != manifest.deleted:
            yield Problem(NAME, f"counts {manifest.deleted} deleted rows, {gone.sum()} are marked", means)
        seen: set[str] = set()
        start = 0
        for entry in manifest.segments:
            name = segment_path(entry.number)
            arrays = manifest.files[name].arrays
            segment = Segment(root.open(name), root.path / name, entry.rows, manifest.bits, arrays)
            for what in _segment(root, manifest, entry, segment):
                yield Problem(name, what, means)
            living = [id for id, own in zip(segment.ids(), gone[start : start + entry.rows], strict=True) if not own]
            times = Counter(living)
            if twice := [id for id in living if id in seen or times[id] > 1]:
                yield Problem(name, f"holds duplicate ids, such as {twice[0]!r}", means)
            seen.update(living)
            start += entry.rows
    except (StoreError, DataError) as error:
        yield Problem(name, f"cannot be read: {error}", means)


def _segment(root: Root, manifest: Manifest, entry: SegmentEntry, segment: Segment) -> Iterator[str]:
    codes, ids, arrays = segment.codes(), segment.ids(), manifest.files[segment_path(entry.number)].arrays
    image = root.read(segment_path(entry.number))
    try:
        listed, _ = worker.call("hashret.store.hdf5:places", len(image), image)
        if {name: tuple(place) for name, place in listed.items()} != dict(arrays):
            yield "has array offsets that differ from the manifest"
    except worker.Unreadable as error:
        yield f"is not an HDF5 file as hashret writes it ({error})"
    if sum(1 for _ in segment.records()) != entry.rows:
        yield "has the wrong number of documents"
    for field in map(segment.field, FIELDS):
        if field is not None:
            try:
                field.check()
            except ValueError as error:
                yield f"has damaged postings ({error})"
    hashes = np.array([hash_id(id) for id in ids], np.uint64)
    known, rows = segment.array("lookup/hashes"), segment.array("lookup/rows")
    if (np.sort(hashes) != known).any() or (hashes[rows.clip(0, max(0, len(ids) - 1))] != known).any():
        yield "has a wrong id lookup table"
    faiss, beside = faiss_path(entry.number), recovery_path(entry.number)
    if faiss not in manifest.files or not root.read(faiss).endswith(codes.tobytes()):
        yield f"has codes that differ from {faiss}"
    if beside not in manifest.files:
        yield f"has no {beside}"
        return
    try:
        if recovery.read(root, beside, entry.rows) != recovery.of(list(segment.records()), image, arrays):
            yield f"does not match {beside}"
    except (ValueError, KeyError, TypeError, RecursionError, zlib.error) as error:
        yield f"has a recovery file that cannot be read ({error!r})"
