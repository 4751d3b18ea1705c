"""Check: all that can be wrong with an index on disk, each with what it means."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hashret.errors import DataError, StoreError, UsageError
from hashret.store import deletions, files, hdf5, spare
from hashret.store.manifest import (
    NAME,
    SPARE,
    Manifest,
    SegmentEntry,
    faiss_path,
    segment_path,
    spare_path,
)
from hashret.store.segment import Segment, hash_id

TRIES = 5


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the file, what is the matter with it, and what that means."""

    file: str
    what: str
    means: str

    def __str__(self) -> str:
        return f"{self.file} {self.what}: {self.means}"


def problems(folder: Path) -> list[Problem]:
    """All that is wrong with the index in a folder, even where it cannot be opened; UsageError where there is none."""
    for _ in range(TRIES):
        try:
            manifest = Manifest.read(folder)
        except FileNotFoundError:
            if not (folder / SPARE).exists():
                raise UsageError(f"no index at {str(folder)!r}; hashret index SOURCE -i {folder} makes one") from None
            return [Problem(NAME, "is missing", "the index cannot be opened; hashret repair takes its spare")]
        except StoreError as error:
            return [Problem(NAME, "cannot be read", str(error))]
        found = [*spare_manifest(folder, manifest), *changed(folder, manifest)]
        found += [] if found else _contents(folder, manifest)
        with suppress(FileNotFoundError, StoreError):
            if found and Manifest.read(folder) != manifest:
                continue  # somebody wrote meanwhile, and swept what was looked at
        break
    return found


def spare_manifest(folder: Path, manifest: Manifest) -> Iterator[Problem]:
    """Whether the manifest's second copy is one."""
    try:
        files.own(folder, SPARE)
        other = Manifest.read(folder, SPARE)
        # a killed writer leaves one of a generation that never came to be
        if other == manifest or other.generation == manifest.generation + 1:
            return
        what = "is of another generation"
    except FileNotFoundError:
        if not any(name.startswith("spares/") for name in manifest.files):
            return  # format 1 had none
        what = "is missing"
    except StoreError:
        what = "is damaged"
    yield Problem(SPARE, what, "nothing is lost, it is a second copy; hashret repair writes it anew")


def changed(folder: Path, manifest: Manifest) -> Iterator[Problem]:
    """The files that are not as the manifest says."""
    for name, entry in manifest.files.items():
        try:
            size = files.own(folder, name).st_size
            if size != entry.bytes:
                what = f"has {size:,} bytes, not {entry.bytes:,}"
            elif files.sha256(folder / name) != entry.sha256:
                what = "has changed: its checksum does not fit"
            else:
                continue
        except (FileNotFoundError, NotADirectoryError):
            what = "is missing"
        except OSError as error:
            what = f"cannot be read: {error.strerror or error}"
        except StoreError as error:
            what = f"cannot be read: {error}"
        yield Problem(name, what, meaning(name, manifest))


def meaning(name: str, manifest: Manifest) -> str:
    """What it means that a file is lost or damaged."""
    for segment in manifest.segments:
        if name == segment_path(segment.number):
            return f"it holds {segment.rows:,} documents; hashret repair saves those that the damage did not touch"
    if name.startswith("faiss/"):
        return "other programs read it, no answer here depends on it; hashret repair writes it anew"
    if name.startswith("spares/"):
        return "nothing is lost, it is a second copy; hashret repair writes it anew"
    if name.startswith("deletions/"):
        return "it tells which documents are deleted; hashret repair takes its second copy"
    if name.endswith("encoder.safetensors"):
        return "what the encoder can do beside codes is lost, queries are answered; restore it from a copy"
    if name.startswith("hasher/"):
        return "queries cannot be trusted, the documents are safe; restore it from a copy, or index the source again"
    return "nothing depends on it"


def _contents(folder: Path, manifest: Manifest) -> Iterator[Problem]:
    """What does not hang together in files that are as they were written."""
    means = "it was not written by hashret, or by one with a fault; index the source again, or restore a copy"
    gone = np.zeros(manifest.rows, bool)
    name = manifest.deletions
    try:
        if name:
            gone = deletions.read(folder / name, manifest.rows)
        if int(gone.sum()) != manifest.deleted:
            yield Problem(NAME, f"counts {manifest.deleted} deleted rows, {gone.sum()} are marked", means)
        seen: set[str] = set()
        start = 0
        for entry in manifest.segments:
            name = segment_path(entry.number)
            segment = Segment(folder / name, entry.rows, manifest.bits, manifest.files[name].arrays)
            for what in _segment(folder, manifest, entry, segment):
                yield Problem(name, what, means)
            living = [id for id, own in zip(segment.ids(), gone[start : start + entry.rows], strict=True) if not own]
            twice = [id for id in living if id in seen] or ([] if len(set(living)) == len(living) else living[:1])
            if twice:
                yield Problem(name, f"holds ids that occur twice, such as {twice[0]!r}", means)
            seen.update(living)
            start += entry.rows
    except (StoreError, DataError) as error:
        yield Problem(name, f"cannot be read: {error}", means)


def _segment(folder: Path, manifest: Manifest, entry: SegmentEntry, segment: Segment) -> Iterator[str]:
    codes, ids, arrays = segment.codes(), segment.ids(), manifest.files[segment_path(entry.number)].arrays
    try:
        if arrays and dict(hdf5.places(segment.path)) != dict(arrays):
            yield "has its arrays in other places than the manifest says"
    except (OSError, ValueError, RuntimeError) as error:
        yield f"is no HDF5 file of ours ({error})"
    if sum(1 for _ in segment.records()) != entry.rows:
        yield "holds another number of documents"
    hashes = np.array([hash_id(id) for id in ids], np.uint64)
    known, rows = segment.array("lookup/hashes"), segment.array("lookup/rows")
    if (np.sort(hashes) != known).any() or (hashes[rows.clip(0, max(0, len(ids) - 1))] != known).any():
        yield "does not find all its ids"
    faiss, beside = folder / faiss_path(entry.number), folder / spare_path(entry.number)
    if faiss_path(entry.number) in manifest.files and not faiss.read_bytes().endswith(codes.tobytes()):
        yield f"holds other codes than {faiss_path(entry.number)}"
    if spare_path(entry.number) not in manifest.files:
        return  # format 1
    try:
        other = spare.read(beside, entry.rows)
        if other.ids != ids or other.blocks != files.block_checksums(segment.path.read_bytes()):
            yield f"is not what {spare_path(entry.number)} tells of"
    except (ValueError, KeyError, TypeError, RecursionError, zlib.error) as error:
        yield f"has a spare that cannot be read ({error!r})"
