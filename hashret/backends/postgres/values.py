"""Records, texts and codes as PostgreSQL stores them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from hashret.codes import Codes, pack, unpack, width
from hashret.store import Record


def read_record(row: Sequence[Any]) -> Record:
    """A record from its columns."""
    id, content, raw, labels, metadata, thumbnail = row
    text = content if raw is None else bytes(raw).decode("utf-8", "surrogatepass")
    facts = json.loads(metadata)
    if not isinstance(facts, dict) or not all(isinstance(label, str) for label in labels):
        raise ValueError(f"the metadata of {id!r} must be an object, and its labels texts")
    return Record(id, text, tuple(labels), facts, bytes(thumbnail or b""))


def is_text(text: str) -> bool:
    """Whether PostgreSQL can store a text as it is."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_texts(codes: Codes, bits: int) -> list[str]:
    """Codes as texts of 0 and 1, bit 0 first."""
    digits = unpack(codes, bits).astype(np.uint8) + ord("0")
    return [row.tobytes().decode("ascii") for row in digits]


def as_text(code: bytes, bits: int) -> str:
    """One code as a text of 0 and 1."""
    return as_texts(np.frombuffer(code, np.uint8)[None], bits)[0]


def read_texts(texts: Sequence[str], bits: int) -> Codes:
    """Codes from texts of 0 and 1."""
    digits = np.frombuffer("".join(texts).encode("ascii"), np.uint8).reshape(-1, bits)
    return pack(digits == ord("1"))


def read_codes(values: Sequence[bytes], bits: int) -> Codes:
    """Codes from the binary form of bit columns: the length in 4 bytes, then the bits, first bit highest."""
    if not values:
        return np.zeros((0, width(bits)), np.uint8)
    rows = np.frombuffer(b"".join(values), np.uint8).reshape(len(values), -1)[:, 4:]
    return pack(np.unpackbits(rows, axis=1, count=bits).astype(bool))
