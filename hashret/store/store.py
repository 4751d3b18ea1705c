"""Store: an index's files as a whole, for reading; changed by a Transaction alone.

    with store.write(attach) as change:
        change.delete(rows)
        change.add(codes, records)
    # committed: the manifest names the new generation, the folder is forced to disk

A transaction that raises leaves the generation before it, and sweeps what it wrote.
"""

from __future__ import annotations

import errno
import shutil
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from hashret.codes import Codes, width
from hashret.errors import StoreError, UsageError
from hashret.features import Vectors, joined
from hashret.store import deletions, files
from hashret.store.deletions import Mask
from hashret.store.files import unfinished
from hashret.store.lock import HOLDER, LOCK, locked
from hashret.store.manifest import NAME, SPARE, SPARES, Manifest, SegmentEntry, segment_path
from hashret.store.segment import Record, Segment, hash_id
from hashret.store.transaction import Attach, Transaction

if TYPE_CHECKING:
    from hashret.store.check import Problem

FOLDERS = ("segments", "faiss", "deletions", "hasher", "cache", SPARES)
DAMAGED = "damaged"  # the folder of what `repair` took out; nothing reads it
TRIES = 10  # a reader that always loses the race with writers has another trouble
REPAIR = "hashret verify says more, hashret repair mends what can be mended"


class Store:
    """One generation of an index, all its files open."""

    manifest: Manifest  # not there before an index is made
    starts: list[int]  # the row at which each segment begins

    def __init__(self, path: Path, manifest: Manifest | None, force: bool = False) -> None:
        self.path = path
        self.force = force  # whether a manifest that cannot be read may be replaced
        self.segments: list[Segment] = []
        self.deleted: Mask = np.zeros(0, bool)
        if manifest is not None:
            self._load(manifest)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """The newest generation; UsageError where no index is, StoreError where it is damaged."""
        folder = Path(path)
        lost: tuple[int, FileNotFoundError] | None = None
        for _ in range(TRIES):
            try:
                manifest = Manifest.read(folder)
            except (FileNotFoundError, NotADirectoryError):
                raise UsageError(f"no index at {str(path)!r}; hashret index SOURCE -i {path} makes one") from None
            if lost and lost[0] == manifest.generation:
                break
            try:
                return cls(folder, manifest)
            except FileNotFoundError as error:  # a writer was faster than we; or the file is lost
                lost = manifest.generation, error
        raise StoreError(f"index {str(path)!r} lacks a file ({lost and lost[1]}); {REPAIR}")

    @classmethod
    def new(cls, path: str | Path, force: bool = False) -> Self:
        """The store at a path where an index shall be made; UsageError where something else is in the way."""
        folder = Path(path)
        if (folder / NAME).exists():
            if not force:
                raise UsageError(f"index {str(path)!r} exists already; --force replaces it, hashret add adds to it")
            return cls(folder, None, force)
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{str(path)!r} is a file; name a folder for the index")
        if (folder / SPARE).exists() and not force:
            raise UsageError(
                f"index {str(path)!r} has lost its {NAME}; hashret repair -i {path} brings it back, --force replaces it"
            )
        ours = {*FOLDERS, LOCK, HOLDER, DAMAGED, *(file.name for file in unfinished(folder / NAME))}
        if folder.is_dir() and any(entry.name not in ours for entry in folder.iterdir()):
            raise UsageError(f"folder {str(path)!r} holds other things; name a new folder for the index")
        return cls(folder, None, force)

    def _load(self, manifest: Manifest) -> None:
        """Be this generation; what it shares with the one before stays open, the rest is let go by its last user."""
        opened = [self._open(manifest, entry) for entry in manifest.segments]
        deleted = np.zeros(manifest.rows, bool)
        if manifest.deletions:
            files.own(self.path, manifest.deletions)
            deleted = deletions.read(self.path / manifest.deletions, manifest.rows)
        starts = [0, *accumulate(s.rows for s in manifest.segments)]
        # all at once, so that a copy made by another thread is of one generation
        self.__dict__.update(manifest=manifest, segments=opened, deleted=deleted, starts=starts)

    def _open(self, manifest: Manifest, entry: SegmentEntry) -> Segment:
        """A segment of a generation, the one that is open already if it is the same file."""
        name = segment_path(entry.number)
        file = manifest.files[name]
        if self.segments and self.manifest.files.get(name) == file:
            for segment in self.segments:
                if segment.path == self.path / name and segment.rows == entry.rows:
                    return segment
        if (size := files.own(self.path, name).st_size) != file.bytes:
            raise StoreError(f"{self.path / name} is damaged: it has {size} bytes, not {file.bytes}; {REPAIR}")
        return Segment(self.path / name, entry.rows, manifest.bits, file.arrays)

    @property
    def hasher_path(self) -> Path:
        """The folder that holds the hasher; StoreError where a link in it leads elsewhere."""
        folder = self.path / self.manifest.hasher
        with suppress(FileNotFoundError):  # which the hasher itself tells better
            for file in folder.iterdir():
                files.own(self.path, f"{self.manifest.hasher}/{file.name}")
        return folder

    def codes(self) -> Codes:
        """Codes of all rows, deleted ones included, uint8 [rows, bytes]."""
        parts = [segment.codes() for segment in self.segments]
        return np.concatenate(parts) if parts else np.zeros((0, width(self.manifest.bits)), np.uint8)

    @property
    def dims(self) -> set[int]:
        """The lengths of the vectors that the segments keep, 0 for one that keeps none."""
        return {segment.dim for segment in self.segments}

    def vectors(self, rows: npt.NDArray[np.int64]) -> Vectors:
        """The vectors kept of these rows; StoreError where there are none."""
        place = np.searchsorted(self.starts, rows, "right") - 1
        order = np.argsort(place, kind="stable")
        parts = [segment.vectors(rows[place == i] - self.starts[i]) for i, segment in enumerate(self.segments)]
        return joined(parts).take(np.argsort(order))

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
                    raise StoreError(f"{segment.path} is damaged (it looks up a row that is none); {REPAIR}")
                if not self.deleted[start + row]:
                    rows[place] = start + row
        return rows

    def close(self) -> None:
        """Let go of all files."""
        for segment in self.segments:
            segment.close()

    @contextmanager
    def write(self, attach: Attach) -> Iterator[Transaction]:
        """Change the index; StoreError where another process does. Afterwards this store is the new generation."""
        made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        fresh = not any((self.path / name).exists() for name in (NAME, SPARE))
        try:
            with self._alone():
                change = Transaction(self, attach)
                try:
                    yield change
                    change.commit()
                except BaseException as error:
                    done = self._replaced()
                    if not done:  # else nobody knows which generation the disk will have, and both need their files
                        self.sweep(fresh)
                    if isinstance(error, OSError):
                        raise self._unwritten(error, done) from error
                    raise
                else:
                    self.sweep()
                finally:
                    self._renew()
        finally:
            if not (self.path / NAME).exists() and made:
                shutil.rmtree(self.path, ignore_errors=True)
                for folder in made[1:]:
                    with suppress(OSError):
                        folder.rmdir()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the one writer, on the newest generation."""
        try:
            files.make_folder(self.path)
        except OSError as error:
            raise self._unwritten(error) from error
        with locked(self.path):
            self._renew()
            yield

    def _replaced(self) -> bool:
        """Whether the manifest is another than that which this store has read: only the last step can have failed."""
        try:
            return Manifest.read(self.path) != getattr(self, "manifest", None)
        except (OSError, StoreError):
            return False

    def _unwritten(self, error: OSError, done: bool = False) -> StoreError:
        """What a failed write means: nothing, unless it was the very last step that failed."""
        reason = error.strerror or str(error)
        if done:
            return StoreError(
                f"index {str(self.path)!r} was changed, but the disk does not say that it keeps it: {reason}"
            )
        hint = "; free some and run it again" if error.errno == errno.ENOSPC else ""
        return StoreError(f"index {str(self.path)!r} was not changed: {reason}{hint}")

    def _renew(self) -> None:
        """Take up what other writers have done since."""
        if (self.path / NAME).exists():
            try:
                manifest = Manifest.read(self.path)
            except StoreError:
                if self.force:  # what cannot be read can still be replaced
                    return
                raise
            if not hasattr(self, "manifest") or self.manifest != manifest:
                self._load(manifest)

    def sweep(self, fresh: bool = False) -> None:
        """Remove files that the manifest does not name: left by a killed writer, or of older generations.

        `fresh`: there was no index, so that without a manifest nothing here is of any. What cannot be removed is left
        for the next writer: it harms nobody.
        """
        try:
            named = {SPARE, *Manifest.read(self.path).files}
            files.sync(self.path)  # that it is the newest must be safe before those of older ones go
            self._level_spare()
        except (StoreError, OSError):
            if not fresh or (self.path / NAME).exists():
                return  # nobody knows what is an orphan
            named = set()
        for file in unfinished(self.path / NAME):
            with suppress(OSError):
                file.unlink(missing_ok=True)
        folders = [self.path / name for name in FOLDERS if not (self.path / name).is_symlink()]  # those are not ours
        for file in [file for folder in folders for file in folder.rglob("*") if file.is_symlink() or file.is_file()]:
            if file.relative_to(self.path).as_posix() not in named and file.parent.name != "cache":
                with suppress(OSError):
                    file.unlink(missing_ok=True)
        for folder in (self.path / "hasher").glob("*"):
            with suppress(OSError):
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()

    def _level_spare(self) -> None:
        """Have the manifest's spare be what the manifest is, where a change was left between the two."""
        data, spare = (self.path / NAME).read_bytes(), self.path / SPARE
        if not spare.exists() or spare.read_bytes() != data:
            files.make_folder(spare.parent)
            files.replace(spare, data)
            files.sync(spare.parent)

    def verify(self) -> list[Problem]:
        """Everything that is wrong with the files of the index; none where all is well."""
        from hashret.store.check import problems

        return problems(self.path)
