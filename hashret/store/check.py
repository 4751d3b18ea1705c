"""Check: everything that can be wrong with an index on disk, and what it means."""

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

TRIES = 10  # a check that loses the race with writers more often is given up


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the file, what is wrong with it, and what that means."""

    file: str
    what: str
    means: str

    def __str__(self) -> str:
        return f"{self.file} {self.what}: {self.means}"


def problems(folder: Path) -> list[Problem]:
    """Everything wrong with the index in a folder, even one that cannot be opened; IndexNotFound where there is none.

    Files that a writer replaces meanwhile are not wrong: then the new generation is checked instead.
    """
    sound: dict[str, FileEntry] = {}  # files that need not be read again
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
    """What is wrong, and the generation that was looked at where its manifest can be read."""
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
    """Links where hashret may write a file or a folder some day; those in place of listed files are found anyway."""
    folders = ["segments", "faiss", "deletions", "hasher", RECOVERY]
    inside = [f"{folder}/{name}" for folder in folders for name in root.names(folder)]
    inside += [f"{place}/{name}" for place in inside if place.startswith("hasher/") for name in root.names(place)]
    for name in [LOCK, HOLDER, *folders, *inside]:
        if name not in manifest.files and root.is_link(name):
            yield Problem(name, "is a link", "nothing is read or written through it, so changes may fail; remove it")


def second_manifest(root: Root, manifest: Manifest) -> Iterator[Problem]:
    """Whether the manifest's second copy is one."""
    try:
        other = Manifest.read(root, SECOND)
        # a killed writer leaves one of a generation that was never committed
        if other == manifest or other.generation == manifest.generation + 1:
            return
        what = "is of another generation"
    except FileNotFoundError:
        what = "is missing"
    except StoreError:
        what = "is damaged"
    yield Problem(SECOND, what, "nothing is lost, it is a second copy; it can be rewritten")


def changed(root: Root, manifest: Manifest, sound: dict[str, FileEntry] | None = None) -> Iterator[Problem]:
    """The files that are not as the manifest lists them; those in `sound` are not read again, and others enter it."""
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
    """What the loss of a file means."""
    for segment in manifest.segments:
        if name == segment_path(segment.number):
            return f"it holds {segment.rows:,} documents; those that the damage did not touch can be saved"
    if name.startswith("faiss/"):
        return "other programs read it, no answer here depends on it; it can be rewritten"
    if name.startswith("recovery/"):
        return "nothing is lost, it is a second copy; it can be rewritten"
    if name.startswith("deletions/"):
        return "it says which documents are deleted; it can be restored from its second copy"
    if "/encoder-" in name:
        return "what the encoder can do beyond codes is lost, queries are answered; restore it from a copy"
    if name.startswith("hasher/"):
        return "queries cannot be trusted, the documents are safe; restore it from a copy, or index the source again"
    return "nothing depends on it"


def _contents(root: Root, manifest: Manifest) -> Iterator[Problem]:
    """What is inconsistent in files that are as they were written."""
    means = "it was not written by hashret, or by one with a fault; index the source again, or restore a copy"
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
                yield Problem(name, f"holds ids that occur twice, such as {twice[0]!r}", means)
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
            yield "has its arrays in other places than the manifest says"
    except worker.Unreadable as error:
        yield f"is not an HDF5 file as hashret writes it ({error})"
    if sum(1 for _ in segment.records()) != entry.rows:
        yield "holds another number of documents"
    for field in map(segment.field, FIELDS):
        if field is not None:
            try:
                field.check()
            except ValueError as error:
                yield f"has damaged postings ({error})"
    hashes = np.array([hash_id(id) for id in ids], np.uint64)
    known, rows = segment.array("lookup/hashes"), segment.array("lookup/rows")
    if (np.sort(hashes) != known).any() or (hashes[rows.clip(0, max(0, len(ids) - 1))] != known).any():
        yield "does not find all its ids"
    faiss, beside = faiss_path(entry.number), recovery_path(entry.number)
    if faiss not in manifest.files or not root.read(faiss).endswith(codes.tobytes()):
        yield f"holds other codes than {faiss}"
    if beside not in manifest.files:
        yield f"has no {beside}"
        return
    try:
        if recovery.read(root, beside, entry.rows) != recovery.of(list(segment.records()), image, arrays):
            yield f"does not belong to {beside}"
    except (ValueError, KeyError, TypeError, RecursionError, zlib.error) as error:
        yield f"has a second copy that cannot be read ({error!r})"
