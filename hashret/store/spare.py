"""Spare: what must survive the loss of a segment, as a JSON file in another folder.

The ids of its documents, so that lost documents can be named; the names of its labels; and a checksum of each block of
its file, so that damage costs only the documents that it touched. Read only by `verify` and `repair`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from hashret import files
from hashret.files import Root
from hashret.store.segment import Record, label_names


@dataclass(frozen=True)
class Spare:
    """What is known of a segment from its recovery file."""

    ids: list[str]
    names: list[str]  # of labels
    blocks: list[int]  # CRC-32 of each `files.BLOCK` bytes of the file

    def image(self) -> bytes:
        """The file."""
        return json.dumps(asdict(self), ensure_ascii=False).encode("utf-8", "surrogatepass")


def of(records: Sequence[Record], image: bytes) -> Spare:
    """The recovery file of a segment with these records, whose file is `image`."""
    return Spare([record.id for record in records], label_names(records), files.block_checksums(image))


def read(root: Root, name: str, rows: int) -> Spare:
    """What was written; ValueError where it does not belong to a segment of so many rows."""
    body = json.loads(root.read(name).decode("utf-8", "surrogatepass"))
    ids, names, blocks = body["ids"], body["names"], body["blocks"]
    if len(ids) != rows or {type(name) for name in (*ids, *names)} - {str} or {type(n) for n in blocks} - {int}:
        raise ValueError(f"{name} belongs to another segment")
    return Spare(ids, names, blocks)
