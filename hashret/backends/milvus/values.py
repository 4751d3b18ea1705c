"""Records, ids, labels and expressions as Milvus takes them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from hashret.store import Record

PIECE = 60_000  # characters of a text field, which takes 65,535
PIECES = 32  # of a body; so a document has at most 1.9 MB as JSON


def digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def label_number(label: str) -> int:
    """A label as a number, for filters."""
    digest = hashlib.blake2b(label.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def one_of(field: str, values: Sequence[str | int]) -> str:
    """An expression for rows that have one of the values: digests and numbers, which need no escapes."""
    return f"{field} in {json.dumps(list(values))}"


def head_of(record: Record) -> str:
    return json.dumps([record.id, *record.labels])


def body_of(record: Record) -> str:
    thumbnail = base64.b64encode(record.thumbnail).decode("ascii")
    return json.dumps([record.content, dict(record.metadata), thumbnail])


def cut(text: str) -> list[str]:
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)]


def read_record(row: Mapping[str, Any]) -> Record:
    id, *labels = json.loads(row["head"])
    content, metadata, thumbnail = json.loads("".join(row["body"]))
    if not isinstance(content, str) or not isinstance(metadata, dict):
        raise ValueError(f"the body of {id!r} must be a text and an object")
    return Record(id, content, tuple(labels), metadata, base64.b64decode(thumbnail))


def read_vector(text: str) -> tuple[bytes, float]:
    norm, vector = json.loads(text)
    return base64.b64decode(vector), norm
