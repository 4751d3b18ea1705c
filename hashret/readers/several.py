"""Several sources as one."""

from __future__ import annotations

import os
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hashret.documents import Document
from hashret.errors import DataError, UsageError
from hashret.readers.base import Source, Stamped, portable, shown


class Several(Source):
    """One source after the other; a file's id begins with its folder's name, and the path is the folder of all."""

    name: ClassVar[str] = "several"
    summary: ClassVar[str] = "several sources, one after the other"

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
                raise UsageError(
                    f"two folders are named {prefix[:-1]!r}; rename one, or give the folder that holds both"
                )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Never: it lies at no one path."""
        return False

    @property
    def parts(self) -> list[tuple[Source, str]]:
        """The sources, each with what its ids begin with."""
        return list(zip(self.sources, self.prefixes, strict=True))

    def without(self, folder: Path) -> Several:
        """The same sources, this folder left out."""
        return type(self)([source.without(folder) for source in self.sources], self.prefixes)

    @property
    def kind(self) -> str:
        """What the documents of all are; DataError where they differ."""
        kinds = {source.kind: source for source in self.sources}
        if len(kinds) > 1:
            named = " and ".join(f"{kind}s in {shown(source.path)}" for kind, source in kinds.items())
            raise DataError(f"the sources hold {named}; an index holds one kind")
        return next(iter(kinds))

    def __iter__(self) -> Iterator[Document]:
        for prefix, source in zip(self.prefixes, self.sources, strict=True):
            for document in source:
                yield Document(prefix + document.id, document.content, document.labels, document.metadata)

    def count(self) -> int | None:
        """The sum, where all know theirs."""
        counts = [source.count() for source in self.sources]
        return None if None in counts else sum(count or 0 for count in counts)


class SeveralFolders(Several):
    """Several sources that all tell which of their files changed."""

    def stamps(self) -> Iterator[tuple[str, dict[str, int]]]:
        """Each file's id with its {"bytes", "modified"}."""
        for prefix, source in zip(self.prefixes, self.sources, strict=True):
            assert isinstance(source, Stamped)
            for id, stamp in source.stamps():
                yield prefix + id, stamp

    def only(self, ids: Container[str], empty: Container[str] = ()) -> Several:
        """The same sources, reading the files of these ids alone; those of `empty` also where they hold nothing."""
        sources = []
        for prefix, source in zip(self.prefixes, self.sources, strict=True):
            assert isinstance(source, Stamped)
            sources.append(source.only(_Within(ids, prefix), _Within(empty, prefix)))
        return SeveralFolders(sources, self.prefixes)


class _Within:
    """The ids of one folder among those of all."""

    def __init__(self, ids: Container[str], prefix: str) -> None:
        self.ids, self.prefix = ids, prefix

    def __contains__(self, id: Any) -> bool:
        return self.prefix + id in self.ids


def join(sources: Sequence[Source], prefixes: Sequence[str] | None = None) -> Several:
    """Several sources as one, which reports what changed where all of them do; ids begin with the prefixes given."""
    kind = SeveralFolders if all(isinstance(source, Stamped) for source in sources) else Several
    return kind(sources, prefixes)


def _prefix(source: Source) -> str:
    """What an id begins with: the folder's name where the ids are files of it, nothing where they are lines."""
    if not isinstance(source, Stamped) or not source.path.is_dir():
        return ""
    return portable(source.path.resolve().name) + "/"
