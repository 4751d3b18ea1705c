"""The documents to compare: their ids and sketches, which are in memory, and contents, which are read when needed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hashret.analyzer import Analyzer
from hashret.codes import Codes
from hashret.deduplication.motion import motion_of
from hashret.documents import Document, batches, bytes_of
from hashret.errors import DataError
from hashret.image_sketch import VIEWS, image_sketches, image_views
from hashret.images import load, thumbnail
from hashret.progress import report, track
from hashret.quantizer import Quantizer
from hashret.sketches import BITS, sketches_of_texts, sketches_of_vectors
from hashret.store import Record, Store

BATCH, BATCH_BYTES = 1000, 16 << 20
Views = npt.NDArray[np.uint8]

DENSE = 10  # one row in so many is wanted: read all rows of the stretch


@dataclass(frozen=True, slots=True)
class Item:
    """What is compared of a document, and what decides which one to keep."""

    content: Any  # text, image as an array, vector, or None if there is none
    length: int  # characters of a text, otherwise as `size`
    size: int  # bytes of its file, if it is one, otherwise of its content
    labels: int
    motion: bytes = b""  # differs for animations with different files; nothing for other documents


class Collection(ABC):
    """Documents of one type with their ids and sketches."""

    kind: str
    ids: Sequence[str]
    sketches: Codes  # uint8 [n, 16]
    hint: str = ""  # why there are no contents

    def __len__(self) -> int:
        return len(self.ids)

    def keys(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return what these documents are known by, in `memory`; -1 for those that are read anew each time."""
        return np.full(len(places), -1, np.int64)

    @abstractmethod
    def items(self, places: npt.NDArray[np.int64]) -> Iterator[tuple[int, Item]]:
        """Yield the documents at these places, which ascend."""

    def views(self) -> Views | None:
        """Return the sketches of parts of images, uint8 [n, VIEWS, 16]; None for other documents."""
        return None


class Stored(Collection):
    """The documents of an index."""

    def __init__(
        self, store: Store, kind: str, analyzer: Analyzer | None, quantizer: Quantizer | None, root: str = "."
    ) -> None:
        self.store, self.kind, self.root = store, kind, root
        self.rows = np.flatnonzero(~store.deleted)
        ids = store.ids()
        self.ids = [ids[row] for row in self.rows.tolist()]
        sketches = store.sketches()
        self.sketches = self._made(analyzer) if sketches is None else sketches[self.rows]
        self.vectors = _stored_vectors(store, self.rows, quantizer) if kind == "vector" else None
        if kind == "vector" and self.vectors is None:
            self.hint = "the index stores no vectors that could be compared; create it with vectors='int8' or 'float'"

    def keys(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the number of the segment and the row in it, which always stand for the same content."""
        rows, starts = self.rows[places], np.asarray(self.store.starts, np.int64)
        numbers = np.array([0, *(entry.number for entry in self.store.manifest.segments)], np.int64)
        segment = np.searchsorted(starts, rows, "right") - 1
        return (numbers[segment + 1] << 32) | (rows - starts[segment])

    def _made(self, analyzer: Analyzer | None) -> Codes:
        """Make the sketches of an index that has none."""
        if self.kind == "vector":
            vectors = self.store.codes()[self.rows]  # without the vectors, the codes are all that there is
            return sketches_of_vectors(np.unpackbits(vectors, axis=1).astype(np.float32) - np.float32(0.5))
        records = track(self.store.records(), "making sketches", len(self.rows))
        parts = [_sketched(self.kind, [_content(own) for own in part], analyzer) for part in batches(records, BATCH)]
        return np.concatenate([np.zeros((0, BITS // 8), np.uint8), *parts])

    def items(self, places: npt.NDArray[np.int64]) -> Iterator[tuple[int, Item]]:
        """Yield the documents at these places, which ascend."""
        for done, record in enumerate(self._records(self.rows[places])):
            place = int(places[done])
            content = self.vectors[place] if self.vectors is not None else None
            yield place, _item(record, content if self.kind == "vector" else _content(record), self.root)
            report("reading candidates", done + 1, len(places))

    def views(self) -> Views | None:
        """Read the thumbnails and sketch their parts."""
        if self.kind != "image":
            return None
        found = np.empty((len(self), VIEWS, BITS // 8), np.uint8)
        for place, item in self.items(np.arange(len(self))):
            found[place] = image_views([item.content])[0]
        return found

    def _records(self, rows: npt.NDArray[np.int64]) -> Iterator[Record]:
        """Yield the records of rows, which ascend: one by one, or all of a stretch in which many are wanted."""
        starts = np.asarray(self.store.starts)
        for number, segment in enumerate(self.store.segments):
            own = rows[(rows >= starts[number]) & (rows < starts[number] + segment.rows)] - starts[number]
            for start in range(0, segment.rows, BATCH):
                here = own[(own >= start) & (own < start + BATCH)] if len(own) else own
                if len(here) * DENSE > BATCH:
                    yield from segment.some(here)
                else:
                    yield from (segment.record(row) for row in here.tolist())


class Read(Collection):
    """The documents of a source, which is read twice, so that their contents need not fit into memory."""

    def __init__(self, source: Iterable[Document], total: int | None = None, analyzer: Analyzer | None = None) -> None:
        self.source, self.kind = source, "text"
        self.ids, sketches = [], [np.zeros((0, BITS // 8), np.uint8)]
        views = [np.zeros((0, VIEWS, BITS // 8), np.uint8)]
        for part in batches(track(source, "reading documents", total), BATCH, bytes_of, BATCH_BYTES):
            self.kind = part[0].kind
            self.ids += [document.id for document in part]
            contents = [_content(own) for own in part]
            if self.kind == "image":
                views.append(image_views(contents))
                sketches.append(views[-1][:, 0])
            else:
                sketches.append(_sketched(self.kind, contents, analyzer))
        self.sketches, self._views = np.concatenate(sketches), np.concatenate(views)

    def views(self) -> Views | None:
        """The sketches that were made when the images were read."""
        return self._views if self.kind == "image" else None

    def items(self, places: npt.NDArray[np.int64]) -> Iterator[tuple[int, Item]]:
        """Yield the documents at these places, which ascend."""
        wanted, done = iter(places.tolist()), 0
        place = next(wanted, None)
        for number, document in enumerate(self.source):
            if place is None:
                return
            if number == place:
                if document.id != self.ids[place]:
                    break
                yield place, _item(document, _content(document))
                place, done = next(wanted, None), done + 1
                report("reading candidates", done, len(places))
        if place is not None:
            raise DataError("the source changed while it was read; find its duplicates again")


class Joined(Collection):
    """Two collections, one after the other."""

    def __init__(self, first: Collection, second: Collection) -> None:
        self.first, self.second, self.kind = first, second, first.kind
        self.ids = [*first.ids, *second.ids]
        self.sketches = np.concatenate([first.sketches, second.sketches])
        self.hint = first.hint or second.hint

    def items(self, places: npt.NDArray[np.int64]) -> Iterator[tuple[int, Item]]:
        """Yield the documents at these places, which ascend."""
        border = len(self.first)
        yield from self.first.items(places[places < border])
        for place, item in self.second.items(places[places >= border] - border):
            yield place + border, item

    def keys(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Those of both."""
        border = len(self.first)
        first, second = places[places < border], places[places >= border] - border
        return np.concatenate([self.first.keys(first), self.second.keys(second)])

    def views(self) -> Views | None:
        """Those of both."""
        first, second = self.first.views(), self.second.views()
        return None if first is None or second is None else np.concatenate([first, second])


def _content(document: Record | Document) -> Any:
    """Return a text, the small copy of an image, or a vector."""
    if isinstance(document, Record):
        return np.asarray(load(document.thumbnail, document.id)) if document.thumbnail else document.content
    content: Any = document.content
    if document.kind == "image":
        return np.asarray(load(thumbnail(load(content, document.id)), document.id))
    return content


def _item(document: Record | Document, content: Any, root: str = "") -> Item:
    length = len(content) if isinstance(content, str) else 0
    size = document.metadata.get("bytes")
    if not isinstance(size, int):
        size = len(content.encode("utf-8", "surrogatepass")) if length else getattr(content, "nbytes", 0)
    motion = motion_of(path) if (path := _path(document, root)) is not None else b""
    return Item(content, length or size, size, len(document.labels), motion)


def _path(document: Record | Document, root: str) -> Path | None:
    """Return the path of an image, or None."""
    if isinstance(document, Record):
        return Path(root) / document.content if document.thumbnail and document.content else None
    content: Any = document.content
    return content if isinstance(content, Path) else None


def _sketched(kind: str, contents: Sequence[Any], analyzer: Analyzer | None) -> Codes:
    if kind == "text":
        return sketches_of_texts((analyzer or Analyzer()).occurrences(contents))
    if kind == "image":
        return image_sketches(contents)
    return sketches_of_vectors(np.stack([np.asarray(own, np.float32) for own in contents]))


def _stored_vectors(
    store: Store, rows: npt.NDArray[np.int64], quantizer: Quantizer | None
) -> npt.NDArray[np.float32] | None:
    """Return the vectors of an index that stores them well enough to compare them, or None."""
    vectors = store.vectors()
    if vectors is None or quantizer is None or quantizer.name == "additive":
        return None
    return quantizer.features(vectors.take(rows))
