"""Store: the files of an index, for reading; changed only by a Transaction.

    with store.write() as change:
        change.delete(rows)
        change.add(codes, records)
    # committed: the manifest lists the new generation, and the folder is forced to disk

A transaction that raises leaves the previous generation, and removes the files that it wrote.
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
DAMAGED = "damaged"  # the folder of files that `repair` took out of use; nothing reads it
TRIES = 10  # a reader that loses the race with writers more often has another problem


class Store(Generation):
    """The newest generation of an index, which can be changed."""

    def __init__(self, path: str | Path, force: bool = False) -> None:
        super().__init__(path)
        self.force = force  # whether an index that is there may be replaced
        self.created = False  # whether this store is to create the index

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """The newest generation; IndexNotFound where there is none, CorruptIndex where it is damaged."""
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
                    except (FileNotFoundError, NotADirectoryError) as error:  # a writer was faster; or it is lost
                        lost = manifest, error
            except (FileNotFoundError, NotADirectoryError):
                raise IndexNotFound(f"no index at {str(path)!r}", path=str(path)) from None
            except OSError as error:
                raise StoreError(f"index {str(path)!r} cannot be read: {files.reason(error)}") from error
        raise CorruptIndex(f"index {str(path)!r} lacks a file ({lost and lost[1]})", path=str(path))

    @classmethod
    def new(cls, path: str | Path, force: bool = False) -> Self:
        """The store at a path where an index is to be created; UsageError where something else is in the way.

        Nothing is written yet. `write` looks again once it holds the lock.
        """
        store = cls(path, force)
        store.created = True
        if store.path.exists() and not store.path.is_dir():
            raise UsageError(f"{str(path)!r} is a file; name a folder for the index")
        with suppress(FileNotFoundError), Root(store.path) as root:
            store._check_vacant(root)
        return store

    def _check_vacant(self, root: Root) -> None:
        """UsageError unless an index may be created here: in an empty folder, or in place of an index with `force`."""
        path = self.name
        if is_ours(root):
            if not self.force and not root.exists(NAME):
                raise CorruptIndex(f"index {path!r} has lost its {NAME}, of which there is a second copy", path=path)
            if not self.force:
                raise IndexExists(f"index {path!r} exists already", path=path)
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
                f"folder {path!r} holds other files, such as {strange[0]!r}; name a new folder for the index"
            )

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Change the index; StoreError where another process does. Afterwards this store is the new generation."""
        made: list[Path] = []
        try:
            with self._alone(made) as root:
                change, before = Transaction(self, root), _read(root, NAME)
                try:
                    yield change
                    change.commit()
                except BaseException as error:
                    done = _read(root, NAME) != before  # then only the very last step can have failed
                    if done:  # both generations need their files until the disk has confirmed one
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
                with suppress(OSError):  # it holds an index now, or files of others
                    folder.rmdir()

    @contextmanager
    def _alone(self, made: list[Path]) -> Iterator[Root]:
        """Hold the lock, on the newest generation."""
        if self.closed:
            raise StoreError(f"index {self.name!r} is closed; open it again")
        try:
            with locked(self.path, made if self.created else None) as root:
                if self.created and not hasattr(self, "manifest"):
                    self._check_vacant(root)
                else:
                    self._renew(root)
                yield root
        except HashretError:  # IndexExists is an OSError too
            raise
        except FileNotFoundError as error:
            if self.created or self.path.exists():
                raise self._unwritten(error) from error
            raise StoreError(f"index {self.name!r} is gone; create it again") from error
        except OSError as error:
            raise self._unwritten(error) from error

    def _remove_lock(self, root: Root, made: list[Path]) -> None:
        """Remove the lock file of a creation that failed, if it made it: still held, so that nobody else holds it."""
        if self.path / LOCK in made:
            for name in (HOLDER, LOCK):
                with suppress(OSError, StoreError):
                    root.remove(name)

    def _unwritten(self, error: OSError, done: bool = False) -> StoreError:
        """The error for a failed write: nothing has changed, unless it was the very last step that failed."""
        why = files.reason(error)
        if done:
            return StoreError(f"index {self.name!r} was changed, but the disk did not confirm it: {why}")
        hint = "; free some and run it again" if error.errno == errno.ENOSPC else ""
        return StoreError(f"index {self.name!r} was not changed: {why}{hint}")

    def _renew(self, root: Root, committed: bool = False) -> None:
        """Load what writers have committed since; `committed`: this store is the writer."""
        try:
            manifest = Manifest.read(root)
            known: Manifest | None = getattr(self, "manifest", None)
            if known is not None and not committed and known.identity != manifest.identity:
                raise StoreError(f"index {self.name!r} was replaced by another one since it was opened; open it again")
            if known != manifest:
                self.load(root, manifest)
        except FileNotFoundError as error:
            raise CorruptIndex(f"index {self.name!r} lacks a file ({error})", path=self.name) from error
        except (OSError, StoreError) as error:
            if not committed:
                raise
            why = files.reason(error) if isinstance(error, OSError) else str(error)
            raise StoreError(f"index {self.name!r} was changed, but cannot be read again: {why}") from error

    def verify(self) -> list[Problem]:
        """Everything that is wrong with the files of the index; empty where all is well."""
        from hashret.store.check import problems

        return problems(self.path)


def _read(root: Root, name: str) -> bytes | None:
    """The bytes of a manifest, None where it is missing or cannot be read."""
    with suppress(OSError, EOFError, StoreError):
        return root.read(name)
    return None


def sweep(root: Root) -> None:
    """Remove files of hashret that the manifest does not list: left by a killed writer, or of older generations.

    Files with other names were put there by somebody else and stay. What cannot be removed is left for the next writer.
    """
    try:
        listed = Manifest.read(root).files
        root.sync()  # the new generation must be safe before the files of older ones go
        _level_manifests(root)
    except (StoreError, OSError):
        return  # nobody knows what is an orphan
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
    """Copy the manifest to its second copy, where a change was cut off between the two."""
    data = root.read(NAME)
    if not root.exists(SECOND) or root.read(SECOND) != data:
        root.make_folder(RECOVERY)
        root.replace(SECOND, data)
        root.sync(RECOVERY)


def _is_temporary(name: str) -> bool:
    """Whether a killed writer left this file while it replaced the manifest."""
    before, _, number = name.removesuffix(".tmp").rpartition(".")
    return before == f".{NAME}" and name.endswith(".tmp") and number.isdecimal()


def _is_number(name: str, folder: str) -> bool:
    """Whether this is a folder of a hasher, which has a number for a name."""
    return folder == "hasher" and name.isdecimal() and len(name) >= 6
