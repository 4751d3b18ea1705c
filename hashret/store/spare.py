"""Spare: what a segment's loss must not take with it, as a JSON file in another folder.

The ids it held, so that what is lost has a name; and a checksum of each block of the segment's file, so that a damage
costs the documents that it touched and no others. Read only to repair.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hashret.store import files


@dataclass(frozen=True)
class Spare:
    """What is known of a segment from elsewhere."""

    ids: list[str]
    blocks: list[int]  # CRC-32 of each `files.BLOCK` bytes


def write(path: Path, ids: Sequence[str], image: bytes) -> None:
    """Keep what there is to know of a segment's file."""
    body = {"blocks": files.block_checksums(image), "ids": list(ids)}
    files.write(path, json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def read(path: Path, rows: int) -> Spare:
    """What was written; ValueError where it is something else."""
    body = json.loads(path.read_bytes().decode("utf-8", "surrogatepass"))
    ids, blocks = body["ids"], body["blocks"]
    if len(ids) != rows or not all(isinstance(id, str) for id in ids) or not all(type(n) is int for n in blocks):
        raise ValueError(f"{path.name} tells of other rows")
    return Spare(ids, blocks)
