"""Manifest: the one file that says which files an index consists of.

It lies there twice. A change writes the spare first and then the manifest, which is the commit; where the manifest is
damaged, `repair` takes the spare, which is the same or says more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Self

from hashret.codes import MAX_BITS
from hashret.errors import StoreError
from hashret.store import files

FORMAT = 2
NEEDS = "0.1.0"  # the first hashret that reads this format
NAME = "manifest.json"
SPARES = "spares"  # the folder of what lies there twice, because nothing else tells it
SPARE = f"{SPARES}/manifest.json"
MOST_BYTES = 16 << 20  # of a manifest; a larger one is no work of ours

Place = tuple[int, int]  # of an array in its file: at which byte it begins, how many numbers it holds


@dataclass(frozen=True)
class SegmentEntry:
    """One segment: its number and how many rows it has, deleted ones included."""

    number: int
    rows: int


@dataclass(frozen=True)
class FileEntry:
    """One file: its size, its checksum, and of a segment where its arrays lie (`segment.DTYPES`; format 1: nothing)."""

    bytes: int
    sha256: str
    arrays: Mapping[str, Place] = field(default_factory=dict)


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
        body = asdict(self) | {"format": FORMAT, "needs": NEEDS}
        text = json.dumps(body | {"checksum": _checksum(body)}, ensure_ascii=False, separators=(",", ":"))
        data = text.encode("utf-8", "surrogatepass")  # a source's path may be any bytes
        files.make_folder(folder / SPARES)
        for path in (folder / SPARE, folder / NAME):
            files.replace(path, data)
            files.sync(path.parent)

    @classmethod
    def read(cls, folder: Path, name: str = NAME) -> Self:
        """The index's current generation.

        FileNotFoundError where there is none; StoreError where it is damaged, newer than this or not to be trusted.
        """
        path = folder / name
        if files.own(folder, name).st_size > MOST_BYTES:
            raise StoreError(f"{path} has more than {MOST_BYTES:,} bytes; it is not a manifest of hashret")
        try:
            body = json.loads(path.read_bytes().decode("utf-8", "surrogatepass"))
            checksum = body.pop("checksum", None)
            _check_format(folder, body)
            if checksum != _checksum(body):
                raise ValueError("its checksum does not fit")
            return cls(**_checked(body))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise StoreError(
                f"{path} is damaged ({_short(error)}); hashret repair -i {folder} brings it back from its spare"
            ) from error


def segment_path(number: int) -> str:
    """Where the segment of a number lies, relative to the index."""
    return f"segments/{number:06d}.h5"


def spare_path(number: int) -> str:
    """Where it lies what a segment holds, for the day it is lost."""
    return f"{SPARES}/{number:06d}.json"


def faiss_path(number: int) -> str:
    """Where a segment's codes lie for FAISS."""
    return f"faiss/{number:06d}.faiss"


def _check_format(folder: Path, body: Mapping[str, Any]) -> None:
    """StoreError for a format that is not ours yet, before anything else is made of the manifest."""
    if body["format"] > FORMAT:
        needs = repr(str(body["needs"])[:20]) if "needs" in body else "of a later version"
        raise StoreError(
            f"index {str(folder)!r} has format {body['format']:d}, this hashret reads up to {FORMAT}; "
            f"install hashret {needs} or newer"
        )


def _checked(body: dict[str, Any]) -> dict[str, Any]:
    """The fields as their types; ValueError for anything that is not as we write it."""
    body = {key: value for key, value in body.items() if key not in ("format", "needs")}
    segments = tuple(SegmentEntry(**entry) for entry in body.pop("segments"))
    named = {_relative(name): _file(entry) for name, entry in body.pop("files").items()}
    numbers = [body["generation"], body["counter"], body["deleted"], *(n for s in segments for n in (s.number, s.rows))]
    numbers += [n for entry in named.values() for n in (entry.bytes, *(n for p in entry.arrays.values() for n in p))]
    if not all(type(number) is int and 0 <= number < 1 << 48 for number in numbers):
        raise ValueError("a number is out of range")
    if len({segment.number for segment in segments}) != len(segments):
        raise ValueError("a segment occurs twice")
    if lost := {segment_path(segment.number) for segment in segments} - set(named):
        raise ValueError(f"no file for {sorted(lost)[0]}")
    if type(body["bits"]) is not int or not 1 <= body["bits"] <= MAX_BITS:
        raise ValueError(f"bits {body['bits']!r}")
    for name in (body["hasher"], body["deletions"]):
        _relative(name)
    if not isinstance(body["about"], dict) or not isinstance(body["fingerprint"], str):
        raise ValueError("about or fingerprint is of another type")
    return body | {"segments": segments, "files": named}


def _file(entry: dict[str, Any]) -> FileEntry:
    arrays = {name: (offset, items) for name, (offset, items) in entry.pop("arrays", {}).items()}
    if not isinstance(entry["sha256"], str):
        raise ValueError("a checksum is no text")
    return FileEntry(**entry, arrays=arrays)


def _relative(name: str) -> str:
    """The name itself; ValueError where it could lead out of the index."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise ValueError(f"path {name[:60]!r} leads out of the index")
    return name


def _short(error: BaseException) -> str:
    """An error in few words: what it quotes may be of any length."""
    return f"{type(error).__name__}: {error}"[:120]


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
