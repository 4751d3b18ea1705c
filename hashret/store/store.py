"""The store of an index. Reading needs no lock, and all changes are made in a transaction.

    with store.write() as change:
        change.delete(rows)
        change.add(codes, records)
    # committed: the manifest lists the new generation, and the folder is synced to disk

If the block raises, the previous generation stays current and the files of the transaction are removed.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hashret import files
from hashret.errors import CorruptIndex, HashretError, IndexExists, IndexNotFound, StoreError, UsageError
from hashret.files import Root
from hashret.store.lock import HOLDER, LOCK, locked
from hashret.store.manifest import NAME, RECOVERY, SECOND, Manifest, is_ours
from hashret.store.reader import Generation
from hashret.store.transaction import Transaction, own_files

if TYPE_CHECKING:
    from hashret.store.check import Problem

FOLDERS = ("segments", "faiss", "deletions", "hasher", RECOVERY)
DAMAGED = "damaged"  # folder of damaged files that `repair` replaced
TRIES = 10  # attempts to open a generation before a writer replaces it


class Store(Generation):
    """The current generation of an index, for reading and writing."""

    def __init__(self, path: str | Path, force: bool = False) -> None:
        super().__init__(path)
        self.force = force  # whether an existing index may be replaced
        self.created = False  # whether the first `write` creates the index

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open the current generation.

        Raises IndexNotFound if the path holds no index, CorruptIndex if it is damaged, StoreError if it cannot be read.
        """
        store = cls(path)
        lost: tuple[Manifest, OSError] | None = None
        for _ in range(TRIES):
            try:
                with Root(store.path) as root:
                    manifest = Manifest.read(root)
                    if lost and lost[0] == manifest:
                        break
                    try:
                        store.load(root, manifest)
                        return store
                    except (FileNotFoundError, NotADirectoryError) as error:  # replaced by a writer, or lost
                        lost = manifest, error
            except (FileNotFoundError, NotADirectoryError):
                raise IndexNotFound(f"no index at {str(path)!r}", path=str(path)) from None
            except OSError as error:
                raise StoreError(f"index {str(path)!r} cannot be read: {files.reason(error)}") from error
        raise CorruptIndex(f"a file of index {str(path)!r} is missing ({lost and lost[1]})", path=str(path))

    @classmethod
    def new(cls, path: str | Path, force: bool = False) -> Self:
        """Return a store whose first `write` creates the index. Nothing is written before that.

        Raises IndexExists if the path holds an index and `force` is not set, and UsageError if it is a file or a folder
        with other files. `write` repeats the check when it holds the lock.
        """
        store = cls(path, force)
        store.created = True
        if store.path.exists() and not store.path.is_dir():
            raise UsageError(f"{str(path)!r} is a file; choose a folder for the index")
        with suppress(FileNotFoundError), Root(store.path) as root:
            store._check_vacant(root)
        return store

    def _check_vacant(self, root: Root) -> None:
        """Raise an error if the folder holds other files, or an index that `force` does not allow to replace."""
        path = self.name
        if is_ours(root):
            if not self.force and not root.exists(NAME):
                raise CorruptIndex(f"{NAME} of index {path!r} is missing; its second copy exists", path=path)
            if not self.force:
                raise IndexExists(f"index {path!r} already exists", path=path)
            return
        if strange := [name for name in root.names() if name not in (LOCK, HOLDER, *FOLDERS)]:
            strange = [name for name in strange if not _is_temporary(name)]
        ours = set(own_files(root))
        for folder in FOLDERS:
            for name in root.names(folder):
                inner = [f"{folder}/{name}/{own}" for own in root.names(f"{folder}/{name}")] or [f"{folder}/{name}"]
                strange += [own for own in inner if own not in ours and not _is_number(name, folder)]
        if strange:
            raise UsageError(
                f"folder {path!r} contains other files, such as {strange[0]!r}; choose a new folder for the index"
            )

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Change the index in a transaction. Afterwards this store is at the new generation.

        Raises IndexLocked if another process is writing, and StoreError if the change cannot be written.
        """
        made: list[Path] = []
        try:
            with self._alone(made) as root:
                change, before = Transaction(self, root), _read(root, NAME)
                try:
                    yield change
                    change.commit()
                except BaseException as error:
                    done = _read(root, NAME) != before  # committed, but the final sync failed
                    if done:  # keep the files of both generations, as the disk may have either manifest
                        with suppress(StoreError):
                            self._renew(root, committed=True)
                    else:
                        change.undo()
                        self._remove_lock(root, made)
                    if isinstance(error, OSError) and not isinstance(error, HashretError):
                        raise self._unwritten(error, done) from error
                    raise
                sweep(root)
                self.created = False
                self._renew(root, committed=True)
        finally:
            for folder in reversed(made):
                with suppress(OSError):  # not empty: it holds an index, or files of other programs
                    folder.rmdir()

    @contextmanager
    def _alone(self, made: list[Path]) -> Iterator[Root]:
        """Hold the write lock, with the current generation loaded."""
        if self.closed:
            raise StoreError(f"index {self.name!r} is closed; open it again")
        try:
            with locked(self.path, made if self.created else None) as root:
                if self.created and not hasattr(self, "manifest"):
                    self._check_vacant(root)
                else:
                    self._renew(root)
                yield root
        except HashretError:  # some are also OSErrors, such as IndexExists
            raise
        except FileNotFoundError as error:
            if self.created or self.path.exists():
                raise self._unwritten(error) from error
            raise StoreError(f"index {self.name!r} no longer exists; create it again") from error
        except OSError as error:
            raise self._unwritten(error) from error

    def _remove_lock(self, root: Root, made: list[Path]) -> None:
        """Remove the lock file if this failed creation made it. It is still locked, so no other process holds it."""
        if self.path / LOCK in made:
            for name in (HOLDER, LOCK):
                with suppress(OSError, StoreError):
                    root.remove(name)

    def _unwritten(self, error: OSError, done: bool = False) -> StoreError:
        """Return the error for a failed write. `done`: the manifest was replaced, but not synced to disk."""
        why = files.reason(error)
        if done:
            return StoreError(f"index {self.name!r} was changed, but the disk did not confirm it: {why}")
        hint = "; free some and try again" if error.errno == errno.ENOSPC else ""
        return StoreError(f"index {self.name!r} was not changed: {why}{hint}")

    def _renew(self, root: Root, committed: bool = False) -> None:
        """Load the current generation. `committed`: this store has just written it."""
        try:
            manifest = Manifest.read(root)
            known: Manifest | None = getattr(self, "manifest", None)
            if known is not None and not committed and known.identity != manifest.identity:
                raise StoreError(f"index {self.name!r} was replaced by another index; open it again")
            if known != manifest:
                self.load(root, manifest)
        except FileNotFoundError as error:
            raise CorruptIndex(f"a file of index {self.name!r} is missing ({error})", path=self.name) from error
        except (OSError, StoreError) as error:
            if not committed:
                raise
            why = files.reason(error) if isinstance(error, OSError) else str(error)
            raise StoreError(f"index {self.name!r} was changed, but cannot be read again: {why}") from error

    def verify(self) -> list[Problem]:
        """Check all files of the index. Returns the problems found, or [] if there are none."""
        from hashret.store.check import problems

        return problems(self.path)


def _read(root: Root, name: str) -> bytes | None:
    """Return the bytes of a manifest, or None if it is missing or unreadable."""
    with suppress(OSError, EOFError, StoreError):
        return root.read(name)
    return None


def sweep(root: Root) -> None:
    """Remove hashret files that the manifest does not list: those of older generations and of killed writers.

    Only files with names that hashret uses are removed. Files that cannot be removed are left to the next writer.
    """
    try:
        listed = Manifest.read(root).files
        root.sync()  # the manifest must be on disk before files of older generations are removed
        _level_manifests(root)
    except (StoreError, OSError):
        return  # without a manifest, no file can be called unused
    for name in own_files(root):
        if name not in listed:
            with suppress(OSError, StoreError):
                root.remove(name)
    for name in (f"{place}{own}" for place in ("", f"{RECOVERY}/") for own in root.names(place.rstrip("/"))):
        if _is_temporary(name.rpartition("/")[2]):
            with suppress(OSError, StoreError):
                root.remove(name)
    for name in root.names("hasher"):
        if _is_number(name, "hasher"):
            root.remove_folder(f"hasher/{name}")


def _level_manifests(root: Root) -> None:
    """Update the second copy of the manifest, in case a writer was killed between the two writes."""
    data = root.read(NAME)
    if not root.exists(SECOND) or root.read(SECOND) != data:
        root.make_folder(RECOVERY)
        root.replace(SECOND, data)
        root.sync(RECOVERY)


def _is_temporary(name: str) -> bool:
    """Whether this is a temporary file of a writer that was killed while it replaced the manifest."""
    before, _, number = name.removesuffix(".tmp").rpartition(".")
    return before == f".{NAME}" and name.endswith(".tmp") and number.isdecimal()


def _is_number(name: str, folder: str) -> bool:
    """Whether this is the folder of a hasher. Their names are numbers."""
    return folder == "hasher" and name.isdecimal() and len(name) >= 6
