"""`Several` combines several sources into one."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hashret.documents import Document
from hashret.errors import DataError, UsageError
from hashret.readers.base import Source, Stamped, portable, shown


class Several(Source):
    """The sources one after another. The id of a file is prefixed with the name of its folder.

    `path` is the common parent folder. Raises UsageError if two folders have the same name.
    """

    name: ClassVar[str] = "several"
    summary: ClassVar[str] = "several sources, one after another"

    def __init__(self, sources: Sequence[Source], prefixes: Sequence[str] | None = None) -> None:
        super().__init__(Path(os.path.commonpath([source.path.absolute() for source in sources])), sources[0].fields)
        self.sources = list(sources)
        if prefixes is not None:
            self.prefixes = list(prefixes)
            return
        self.prefixes = [_prefix(source) for source in sources]
        names = [prefix for prefix in self.prefixes if prefix]
        for number, prefix in enumerate(names):
            if prefix in names[:number]:
                raise UsageError(f"two folders are named {prefix[:-1]!r}; rename one, or give their parent folder")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Always False: the documents are not at one path."""
        return False

    @property
    def parts(self) -> list[tuple[Source, str]]:
        """The sources, each with the prefix of its ids."""
        return list(zip(self.sources, self.prefixes, strict=True))

    def without(self, folder: Path) -> Several:
        """Return these sources without the files in `folder`."""
        return type(self)([source.without(folder) for source in self.sources], self.prefixes)

    @property
    def kind(self) -> str:
        """The kind of the documents of all sources. Raises DataError if they differ."""
        kinds = {source.kind: source for source in self.sources}
        if len(kinds) > 1:
            named = " and ".join(f"{kind}s in {shown(source.path)}" for kind, source in kinds.items())
            raise DataError(f"the sources hold {named}; documents must be of one kind")
        return next(iter(kinds))

    def __iter__(self) -> Iterator[Document]:
        for prefix, source in zip(self.prefixes, self.sources, strict=True):
            for document in source:
                yield Document(prefix + document.id, document.content, document.labels, document.metadata)

    def count(self) -> int | None:
        """Return the total number of documents, or None if one source does not know its number."""
        counts = [source.count() for source in self.sources]
        return None if None in counts else sum(count or 0 for count in counts)


class SeveralFolders(Several):
    """Several sources that can all detect changed files."""

    def stamps(self) -> Iterator[tuple[str, dict[str, int]]]:
        """Yield each file's id and its {"bytes", "modified"}."""
        for prefix, source in zip(self.prefixes, self.sources, strict=True):
            assert isinstance(source, Stamped)
            for id, stamp in source.stamps():
                yield prefix + id, stamp

    def entries_of(self, id: str) -> set[str]:
        """Return the ids of the entries of a container."""
        for source, prefix in self.parts:
            assert isinstance(source, Stamped)
            if id.startswith(prefix) and (found := source.entries_of(id[len(prefix) :])):
                return {prefix + own for own in found}
        return set()

    def only(self, ids: Container[str], empty: Container[str] = ()) -> Several:
        """Return these sources restricted to these ids; files in `empty` are documents even without content."""
        sources = []
        for prefix, source in zip(self.prefixes, self.sources, strict=True):
            assert isinstance(source, Stamped)
            sources.append(source.only(_Within(ids, prefix), _Within(empty, prefix)))
        return SeveralFolders(sources, self.prefixes)


class _Within:
    """The ids of one folder, without its prefix, as a container."""

    def __init__(self, ids: Container[str], prefix: str) -> None:
        self.ids, self.prefix = ids, prefix

    def __contains__(self, id: Any) -> bool:
        return self.prefix + id in self.ids


def join(sources: Sequence[Source], prefixes: Sequence[str] | None = None) -> Several:
    """Combine sources into one, which detects changed files if all of them do; `prefixes` are prepended to the ids."""
    kind = SeveralFolders if all(isinstance(source, Stamped) for source in sources) else Several
    return kind(sources, prefixes)


def _prefix(source: Source) -> str:
    """Return the prefix of ids: the folder name if the ids are files in a folder, otherwise empty."""
    if not isinstance(source, Stamped) or not source.path.is_dir():
        return ""
    return portable(source.path.resolve().name) + "/"
