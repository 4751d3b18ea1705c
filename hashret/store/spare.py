"""Spare: what a segment's loss must not take with it, as a JSON file in another folder.

The ids it held, so that what is lost has a name; the names of its labels; and a checksum of each block of its file, so
that a damage costs the documents that it touched and no others. Read only to verify and repair.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hashret.store import files
from hashret.store.segment import Record, label_names


@dataclass(frozen=True)
class Spare:
    """What is known of a segment from elsewhere."""

    ids: list[str]
    names: list[str]  # of labels
    blocks: list[int]  # CRC-32 of each `files.BLOCK` bytes of the file


def of(records: Sequence[Record], image: bytes) -> Spare:
    """What there is to know of a segment of these records and of its file."""
    return Spare([record.id for record in records], label_names(records), files.block_checksums(image))


def write(path: Path, spare: Spare) -> None:
    """Keep it."""
    body = asdict(spare)
    files.write(path, json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def read(path: Path, rows: int) -> Spare:
    """What was written; ValueError where it is something else."""
    body = json.loads(path.read_bytes().decode("utf-8", "surrogatepass"))
    ids, names, blocks = body["ids"], body["names"], body["blocks"]
    if len(ids) != rows or {type(name) for name in (*ids, *names)} - {str} or {type(n) for n in blocks} - {int}:
        raise ValueError(f"{path.name} tells of another segment")
    return Spare(ids, names, blocks)
