"""Manifest: the one file that says which files an index consists of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Self

from hashret.codes import MAX_BITS
from hashret.errors import StoreError
from hashret.store.files import write_atomically

FORMAT = 1
NAME = "manifest.json"
MOST_BYTES = 64 << 20  # of a manifest; a larger one is no work of ours


@dataclass(frozen=True)
class SegmentEntry:
    """One segment: its number and how many rows it has, deleted ones included."""

    number: int
    rows: int


@dataclass(frozen=True)
class FileEntry:
    """One file: its size and checksum."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """One generation of an index."""

    bits: int
    hasher: str  # folder, relative
    fingerprint: str
    about: Mapping[str, Any] = field(default_factory=dict)  # what the index remembers of itself: kind, fields, sources
    generation: int = 0
    counter: int = 0  # the last number given to a file; none is given twice
    segments: tuple[SegmentEntry, ...] = ()
    deletions: str = ""  # file, relative; "" where nothing is deleted
    deleted: int = 0
    files: Mapping[str, FileEntry] = field(default_factory=dict)  # by relative path

    @property
    def rows(self) -> int:
        """Rows in all segments, deleted ones included."""
        return sum(segment.rows for segment in self.segments)

    def write(self, folder: Path) -> None:
        """Make this the index's generation; the commit point."""
        body = asdict(self) | {"format": FORMAT}
        text = json.dumps(body | {"checksum": _checksum(body)}, indent=1, ensure_ascii=False)
        write_atomically(folder / NAME, lambda path: _write(path, text))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The index's current generation.

        FileNotFoundError where there is none; StoreError where it is damaged, newer than this or not to be trusted.
        """
        path = folder / NAME
        if path.stat().st_size > MOST_BYTES:
            raise StoreError(f"{path} has more than {MOST_BYTES:,} bytes; it is not a manifest of hashret")
        try:
            body = json.loads(path.read_bytes().decode("utf-8", "surrogatepass"))
            format, checksum = body.pop("format"), body.pop("checksum")
            if format > FORMAT:
                raise StoreError(
                    f"{folder} has format {format}, this hashret reads up to {FORMAT}; use a newer hashret"
                )
            if checksum != _checksum(body | {"format": format}):
                raise StoreError(f"{path} is damaged: its checksum does not fit")
            return cls(**_checked(body))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise StoreError(f"{path} is damaged ({error!r})") from error


def segment_path(number: int) -> str:
    """Where the segment of a number lies, relative to the index."""
    return f"segments/{number:06d}.h5"


def _checked(body: dict[str, Any]) -> dict[str, Any]:
    """The fields as their types; ValueError for anything that is not as we write it."""
    segments = tuple(SegmentEntry(**entry) for entry in body.pop("segments"))
    files = {_relative(name): FileEntry(**entry) for name, entry in body.pop("files").items()}
    numbers = [body["generation"], body["counter"], body["deleted"], *(n for s in segments for n in (s.number, s.rows))]
    numbers += [entry.bytes for entry in files.values()]
    if not all(type(number) is int and 0 <= number < 1 << 48 for number in numbers):
        raise ValueError("a number is out of range")
    if type(body["bits"]) is not int or not 1 <= body["bits"] <= MAX_BITS:
        raise ValueError(f"bits {body['bits']!r}")
    for name in (body["hasher"], body["deletions"]):
        _relative(name)
    if not isinstance(body["about"], dict):
        raise ValueError(f"about {body['about']!r}")
    return body | {"segments": segments, "files": files}


def _relative(name: str) -> str:
    """The name itself; ValueError where it could lead out of the index."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise ValueError(f"path {name!r} leads out of the index")
    return name


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def _write(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8", "surrogatepass"))  # a source's path may be any bytes
