"""Convert documents to records of the store and back, and select the documents to add."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from hashret.codes import Codes, unpack
from hashret.documents import Content, Document
from hashret.errors import DuplicateIds
from hashret.hasher import Hasher
from hashret.images import load, thumbnail
from hashret.parts import Parts
from hashret.readers.archives import container_ids
from hashret.readers.base import Source, Stamped
from hashret.readers.memory import Memory
from hashret.readers.remote import Remote
from hashret.readers.rules import NUMBERED
from hashret.readers.several import join
from hashret.store import Derived, Record, Store


class Change(Protocol):
    """A change of an index in a folder or in an engine: what adding documents needs of it."""

    about: Mapping[str, Any]
    started_over: bool

    def rows_of(self, ids: Sequence[str]) -> list[int | None]:
        """Return the row of each id, or None."""

    def add(self, codes: Codes, records: Sequence[Record], derived: Derived | None = None) -> None:
        """Append documents."""

    def delete(self, rows: Sequence[int]) -> None:
        """Delete the documents in these rows."""


BATCH_BYTES = 16 << 20  # size of a batch of documents, held in memory while it is encoded


def describe(source: Source, hasher: Hasher) -> dict[str, Any]:
    """Return the description of a source that the index stores in its manifest."""
    path = source.path.resolve()
    parts = [] if isinstance(source, Memory) else parts_of(source)
    return {
        "kind": hasher.document_type,
        "root": "" if isinstance(source, Memory | Remote) else str(path if path.is_dir() else path.parent),
        "sources": [part.address for part, _ in parts],
        "prefixes": [prefix for _, prefix in parts],
        "fields": source.fields.as_json(),
    }


def parts_of(source: Source) -> list[tuple[Source, str]]:
    """Return the sources that a source consists of, each with the prefix of its ids."""
    return getattr(source, "parts", None) or [(source, "")]


def placed(source: Source, about: Mapping[str, Any]) -> tuple[dict[str, Any], Source]:
    """Add a source to the description of an index. Returns the new description and the source with its id prefixes.

    A folder that was indexed before keeps its prefix. So its files get the same ids again, even if other sources were
    indexed with it or its path is written differently.
    """
    if isinstance(source, Memory):
        return dict(about), source
    sources, prefixes = list(about.get("sources") or ()), list(about.get("prefixes") or ())
    prefixes += [""] * (len(sources) - len(prefixes))
    known = dict(zip(sources, prefixes, strict=False))
    parts = []
    for part, prefix in parts_of(source):
        place = part.path.resolve()
        above = next((own for own in (place, *place.parents) if str(own) in known), None)
        if isinstance(part, Stamped) and above is not None and place.is_dir():
            inner = place.relative_to(above).as_posix()
            prefix = known[str(above)] + ("" if inner == "." else f"{inner}/")
        elif part.address not in known:
            sources.append(part.address)
            prefixes.append(prefix)
        parts.append((part, prefix))
    remembered = {**about, "sources": sources, "prefixes": prefixes}
    return remembered, source if parts == parts_of(source) else join(*zip(*parts, strict=True))


class _Fresh(set[str]):
    """Ids of files to read; contains the ids of the entries of a container, too."""

    def __contains__(self, id: object) -> bool:
        return super().__contains__(id) or any(map(super().__contains__, container_ids(str(id))))


def changed(source: Stamped, store: Store) -> tuple[Container[str], set[str], int]:
    """Compare the files of a source with the stored documents, by size and modification time.

    Returns the ids of new and changed files, the stored ones among them, and the number of unchanged documents.
    """
    fresh, known, same = _Fresh(), set[str](), 0
    entries = _entries(store)
    for id, stamp in source.stamps():
        row = store.find(id)
        rows = entries.get(id, []) if row is None else [row]
        if rows and all(_has_stamp(store, row, stamp) for row in rows):
            same += len(rows)
        else:
            fresh.add(id)
            known |= set() if row is None else {id}
    return fresh, known, same


def _entries(store: Store) -> dict[str, list[int]]:
    """Return the rows of the entries of each container."""
    found: dict[str, list[int]] = {}
    for row, id in enumerate(store.ids()):
        for container in container_ids(id):
            if not store.deleted[row]:
                found.setdefault(container, []).append(row)
    return found


def _has_stamp(store: Store, row: int, stamp: Mapping[str, int]) -> bool:
    metadata = store.record(row).metadata
    return all(metadata.get(key) == value for key, value in stamp.items())


def gone(source: Source, store: Store, about: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Return (row, id) of stored documents whose files, or entries of containers, no longer exist in this source."""
    assert isinstance(source, Stamped)
    there, found = dict(source.stamps()), []
    held: dict[str, set[str]] = {}  # the entries of containers that changed
    folders = [(part.path.resolve(), prefix) for part, prefix in parts_of(source) if part.path.is_dir()]
    others = zip(about.get("sources") or (), about.get("prefixes") or (), strict=False)
    known = [*folders, *((Path(path), prefix) for path, prefix in others)]
    for row, id in enumerate(store.ids()):
        if id in there or store.deleted[row] or not any(id.startswith(prefix) for _, prefix in folders):
            continue
        container = next((own for own in container_ids(id) if own in there), None)
        if container is not None:
            if not _has_stamp(store, row, there[container]):
                if container not in held:
                    held[container] = source.entries_of(container)
                found += [] if id in held[container] else [(row, id)]
            continue
        places = [folder / id[len(prefix) :] for folder, prefix in known if id.startswith(prefix)]
        if all(map(_is_missing, places)) and {"bytes", "modified"} <= store.record(row).metadata.keys():
            found.append((row, id))
    return found


def _is_missing(place: Path) -> bool:
    """Whether the file does not exist. Other errors, such as a denied permission, do not count as missing."""
    try:
        place.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def each_once(documents: Iterable[Document]) -> Iterator[Document]:
    """Yield the documents. After the last, raises DuplicateIds if an id occurred twice, before any training starts."""
    seen: set[str] = set()
    twice: list[str] = []
    for document in documents:
        twice += [document.id] if document.id in seen else []
        seen.add(document.id)
        yield document
    if twice:
        raise _repeated(twice, documents)


def _repeated(ids: list[str], documents: Iterable[Document] = ()) -> DuplicateIds:
    """Return the error for ids that occur twice, with the files in which they are."""
    files = documents.origins(ids[:5]) if isinstance(documents, Source) else {}
    named = ", ".join(f"{id!r} (in {' and '.join(files[id])})" if files.get(id) else repr(id) for id in ids[:5])
    hint = f"; id={NUMBERED!r} makes ids of the names of the files and the numbers of the records" if files else ""
    return DuplicateIds(f"duplicate ids in the source: {named}; ids must be unique{hint}", ids=ids, there=False)


def select(change: Change, batch: list[Document], seen: set[str], policy: str) -> list[Document]:
    """Return the documents of a batch to add. `policy` for existing ids: "refuse", "replace" or "skip"."""
    fresh, twice, there = [], [], []
    rows = change.rows_of([document.id for document in batch])
    for document, row in zip(batch, rows, strict=True):
        if document.id in seen:
            twice += [document.id] if policy != "skip" else []
        elif row is not None and policy == "refuse":
            there.append(document.id)
        elif row is None or policy == "replace":
            change.delete([] if row is None else [row])
            fresh.append(document)
        seen.add(document.id)
    if twice:
        raise _repeated(twice)
    if there:
        named = ", ".join(map(repr, there[:5]))
        raise DuplicateIds(f"ids already in the index: {named}; replace or skip them", ids=there, there=True)
    return fresh


def append(
    change: Change,
    hasher: Hasher,
    parts: Parts,
    documents: list[Document],
    records: list[Record],
    when: Literal["fitted", "added"],
) -> None:
    """Encode a batch of documents and append codes, records and derived parts.

    Also updates the counts of all words and of words unknown to the vectorizer, and of the ones of each bit.
    """
    features = hasher.vectorizer.transform(documents).input
    derived = parts.derive(hasher.vectorizer.for_vectors(features), records)
    words, unseen = parts.unseen(derived.words)
    counted = dict(change.about.get("words") or {})
    before = counted.get(when, [0, 0])
    codes = hasher.program.encode(features)
    ones = add_ones(change.about, when, len(documents), unpack(codes, hasher.bits).sum(axis=0).tolist())
    change.about = {**change.about, "words": {**counted, when: [before[0] + words, before[1] + unseen]}, "ones": ones}
    change.add(codes, records, derived)


def add_ones(about: Mapping[str, Any], when: str, documents: int, ones: Sequence[int]) -> dict[str, list[int]]:
    """Return the entry `ones` of a manifest with more documents: by when, their number and the ones of each bit."""
    counted = dict(about.get("ones") or {})
    before = counted.get(when) or [0] * (1 + len(ones))
    return {**counted, when: [a + b for a, b in zip(before, [documents, *ones], strict=True)]}


def as_record(document: Document, root: str) -> Record:
    """Convert a document to a record: its text, or the path of an image relative to `root` and a thumbnail."""
    content, small = "", b""
    if isinstance(document.content, str):
        content = document.content
    elif document.kind == "image":
        small = thumbnail(load(document.content, document.id))
        if isinstance(path := document.content, Path):
            path = path.absolute()
            content = path.relative_to(root).as_posix() if root and path.is_relative_to(root) else path.as_posix()
    return Record(document.id, content, document.labels, document.metadata, small)


def expected(documents: Iterable[Document]) -> int | None:
    """Return the number of documents, or None if it is unknown before they are read."""
    return documents.count() if isinstance(documents, Source) else None


def as_document(record: Record, holds: str, root: str, small: bool = False) -> Document:
    """Convert a record to a document of the type `holds`. `small` returns the thumbnail of an image as its content."""
    content: Content = record.content
    if holds == "image":
        content = Path(root) / record.content
        if small or not record.content:
            content = np.asarray(load(record.thumbnail, record.id))
    elif holds == "vector":
        content = np.zeros(0, np.float32)  # input vectors are not stored
    return Document(record.id, content, record.labels, record.metadata)
