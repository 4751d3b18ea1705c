"""Searches as the API and the pages do them: checked arguments, uploaded files, one call for a thread."""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hashret.codes import hamming
from hashret.documents import Document
from hashret.errors import DataError
from hashret.images import load
from hashret.index import Index
from hashret.readers import read
from hashret.results import Hits
from hashret.server.errors import Refused
from hashret.server.settings import Settings
from hashret.server.texts import text_query

OBJECT = re.compile(r" <_io\.BytesIO[^>]*>")  # of a message of Pillow

_decoding = threading.Semaphore(2)  # uploads decoded at once, because each may need much memory


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked, in addition to the query."""

    k: int = 10
    labels: tuple[str, ...] = ()
    where: str | None = None
    by: tuple[str, ...] | None = None
    weights: dict[str, float] | None = None
    radius: int | None = None

    def check(self, settings: Settings) -> None:
        """Raise Refused if more is asked than the server gives."""
        if not 1 <= self.k <= settings.most_k:
            raise Refused(422, f"k must be 1 to {settings.most_k}")
        if self.radius is not None and not 0 <= self.radius <= 4096:
            raise Refused(422, "radius must be 0 to the length of the codes")


def as_vector(values: Sequence[float]) -> np.ndarray:
    """A vector from numbers. Raises DataError for numbers that are not finite in float32."""
    vector = np.array(values, np.float64)
    if not (np.abs(vector) <= np.finfo(np.float32).max).all():
        raise DataError("the numbers of a vector must be finite, at most 3.4e38")
    return vector.astype(np.float32)


def search(index: Index, queries: Sequence[Any], ask: Ask) -> list[Hits]:
    """Return the results of queries: the k best, or the k nearest of all within the radius."""
    queries = [text_query(index, own) if isinstance(own, str) else own for own in queries]
    if ask.radius is not None:
        return [_first(hits, ask.k) for hits in index.within(queries, ask.radius, ask.labels, where=ask.where)]
    return index.search(queries, ask.k, ask.labels, where=ask.where, by=ask.by, weights=ask.weights)


def like(index: Index, id: str, ask: Ask) -> Hits:
    """Return the documents most like a stored one."""
    hits = index.like(id, ask.k, ask.labels, None if ask.radius is None else ask.radius, where=ask.where, by=ask.by)
    return _first(hits, ask.k)


def _first(hits: Hits, k: int) -> Hits:
    return Hits(hits[:k], hits.exact, hits.searcher)


def counts(index: Index, code: np.ndarray) -> list[int]:
    """The number of documents at each distance from a code [1, bytes], of 0 to all bits."""
    distances = hamming(code, index.codes)[0] if len(index) else np.zeros(0, np.int64)
    return np.bincount(distances, minlength=index.bits + 1).tolist()  # type: ignore[no-any-return]


def uploaded(index: Index, raw: bytes) -> Document:
    """An uploaded file as a query. Its name is not used. Raises DataError if it cannot be read."""
    kind = index.hasher.document_type
    if kind == "vector":
        raise DataError("this index holds vectors; send one as JSON instead of a file")
    if not raw:
        raise DataError("the file is empty; choose another one")
    with _decoding:
        if kind == "image":
            try:
                return Document("upload", np.asarray(load(raw, "the file")))
            except DataError as error:
                raise DataError(OBJECT.sub("", str(error))) from None
        with tempfile.TemporaryDirectory(prefix="hashret-") as folder:
            path = Path(folder) / "upload"
            path.write_bytes(raw)
            try:
                documents = list(read(path, source="texts"))
            except DataError as error:
                raise DataError(str(error).replace(str(path), "the file")) from None
    if not documents:
        raise DataError("the file has no text; choose another one")
    return Document("upload", documents[0].content)
