"""`Plan`: cuts a corpus into shards while its documents are read for training.

A shard begins where a batch begins, because some vectorizers depend on the batch. It has a digest of its documents, so
that a process that reads them again can tell whether they are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hashret.documents import Document, bytes_of
from hashret.hasher import BATCH
from hashret.ingest import BATCH_BYTES
from hashret.readers.base import Source, Stamped
from hashret.readers.memory import pack
from hashret.readers.recipes import pieces_of

BATCHES = 8  # batches in a shard


@dataclass(frozen=True)
class Shard:
    """Some consecutive documents of a source."""

    number: int
    piece: int  # number of the file with the first document
    offset: int  # documents of this file before it
    count: int
    digest: str  # of the documents
    ids: tuple[str, ...] = ()  # the ids, if the source is a folder of files


class Plan:
    """The documents of a source as they are. After the last one, `shards` lists the shards."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.shards: list[Shard] = []

    def __iter__(self) -> Iterator[Document]:
        """Yield the documents; the shards are those of the last complete iteration."""
        shards: list[Shard] = []
        ids: list[str] = []
        digest, start, counts = hashlib.sha256(), (0, 0), [0, 0, 0, 0]
        keep_ids = isinstance(self.source, Stamped)

        def cut() -> None:
            shards.append(Shard(len(shards), *start, counts[3], digest.hexdigest()[:32], tuple(ids)))

        for number, piece in enumerate(pieces_of(self.source)):
            for offset, document in enumerate(piece):
                batch, weight, complete, count = counts
                if not count:
                    start = (number, offset)
                digest.update(line_of(document))
                ids += [document.id] if keep_ids else []
                batch, weight, count = batch + 1, weight + bytes_of(document), count + 1
                if batch == BATCH or weight >= BATCH_BYTES:
                    batch, weight, complete = 0, 0, complete + 1
                counts = [batch, weight, complete, count]
                yield document
                if complete == BATCHES:
                    cut()
                    digest, ids, counts = hashlib.sha256(), [], [0, 0, 0, 0]
        if counts[3]:
            cut()
        self.shards = shards


def line_of(document: Document) -> bytes:
    """Return the bytes that identify a document; for an image in a file, also those of the file's status."""
    line = pack(document)
    if isinstance(document.content, Path):
        with suppress(OSError):
            status = document.content.stat()
            line += f" {status.st_size} {status.st_mtime_ns}"
    return f"{line}\n".encode()
