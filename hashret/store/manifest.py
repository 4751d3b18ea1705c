"""The manifest: the file that lists all files of an index.

There are two copies. A change writes the second copy first and then the manifest. Replacing the manifest is the commit.
If the manifest is damaged, `repair` restores it from the second copy, which is never older.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any, Self

from hashret.codes import MAX_BITS
from hashret.errors import CorruptIndex, FormatTooNew, StoreError
from hashret.files import Root

KIND = "hashret index"  # first entry of every manifest; folders without it are never overwritten
FORMAT = 1
NEEDS = "0.1.0"  # oldest version of hashret that reads this format
NAME = "manifest.json"
RECOVERY = "recovery"  # folder of second copies and recovery files
SECOND = f"{RECOVERY}/manifest.json"
MOST_BYTES = 4 << 20  # limit for a manifest; an index of 100 million documents needs less

Place = tuple[int, int]  # an array in a file: offset in bytes, number of items


@dataclass(frozen=True)
class SegmentEntry:
    """A segment: its number and its number of rows, including deleted rows."""

    number: int
    rows: int


@dataclass(frozen=True)
class FileEntry:
    """A file: its size, its checksum, and the offsets of its arrays if it is a segment (`segment.DTYPES`)."""

    bytes: int
    sha256: str
    arrays: Mapping[str, Place] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """One generation of an index."""

    bits: int
    hasher: str  # folder, relative to the index
    fingerprint: str
    identity: str = ""  # random, set when an index is created; generations of different indexes are not comparable
    about: Mapping[str, Any] = field(default_factory=dict)  # kind of documents, fields, sources, training
    generation: int = 0
    counter: int = 0  # last number used in a file name; numbers are never reused
    segments: tuple[SegmentEntry, ...] = ()
    deletions: str = ""  # file, relative to the index; "" if no row is deleted
    deleted: int = 0
    files: Mapping[str, FileEntry] = field(default_factory=dict)  # by relative path

    @property
    def rows(self) -> int:
        """Number of rows in all segments, including deleted rows."""
        return sum(segment.rows for segment in self.segments)

    def write(self, root: Root) -> None:
        """Commit: write both copies and make this the current generation."""
        body = {"kind": KIND, "format": FORMAT, "needs": NEEDS, **asdict(self)}
        text = json.dumps(body | {"checksum": _checksum(body)}, ensure_ascii=False, separators=(",", ":"))
        data = text.encode("utf-8", "surrogatepass")  # paths of sources may contain arbitrary bytes
        for name in (SECOND, NAME):
            root.replace(name, data)
            root.sync(name.rpartition("/")[0])

    @classmethod
    def read(cls, root: Root, name: str = NAME) -> Self:
        """Read the current generation.

        Raises FileNotFoundError if the file is missing, CorruptIndex if it is damaged or has unsafe paths, FormatTooNew
        if a newer version of hashret wrote it.
        """
        path = root.path / name
        if root.stat(name).st_size > MOST_BYTES:
            raise CorruptIndex(
                f"{path} has more than {MOST_BYTES:,} bytes; it is not a hashret manifest", path=str(root.path)
            )
        try:
            data = root.read(name)
            body = json.loads(data.decode("utf-8", "surrogatepass"))
            checksum = body.pop("checksum", None)
            _check_format(root, body)
            if checksum != _checksum(body):
                raise ValueError("its checksum does not match")
            return cls(**_checked(body))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError, EOFError) as error:
            raise CorruptIndex(f"{path} is damaged ({_short(error)})", path=str(root.path)) from error


def is_ours(root: Root) -> bool:
    """Whether hashret wrote one of the two manifests, even if it is damaged."""
    for name in (NAME, SECOND):
        with suppress(OSError, EOFError, StoreError):
            start = root.open(name).pieces()
            if KIND.encode() in next(start, b"")[:64]:
                return True
    return False


def segment_path(number: int) -> str:
    """Return the path of a segment, relative to the index."""
    return f"segments/{number:06d}.h5"


def recovery_path(number: int) -> str:
    """Return the path of a segment's recovery file, relative to the index."""
    return f"{RECOVERY}/{number:06d}.json"


def faiss_path(number: int) -> str:
    """Return the path of a segment's FAISS file, relative to the index."""
    return f"faiss/{number:06d}.faiss"


def _check_format(root: Root, body: Mapping[str, Any]) -> None:
    """Raise CorruptIndex if hashret did not write the file, FormatTooNew if a newer version did."""
    if body.get("kind") != KIND:
        raise CorruptIndex(
            f"{root.path / NAME} is damaged, or was not written by a released version of hashret", path=str(root.path)
        )
    if body["format"] > FORMAT:
        needs = repr(str(body["needs"])[:20]) if "needs" in body else "of a later version"
        raise FormatTooNew(
            f"index {str(root.path)!r} has format {body['format']:d}, this version reads formats up to {FORMAT}; "
            f"install hashret {needs} or newer",
            path=str(root.path),
            format=body["format"],
            needs=needs,
        )


def _checked(body: dict[str, Any]) -> dict[str, Any]:
    """Convert the fields to their types. Raises ValueError for values that hashret never writes."""
    body = {key: value for key, value in body.items() if key not in ("kind", "format", "needs")}
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
    if not isinstance(body["fingerprint"], str) or not isinstance(body["identity"], str):
        raise ValueError("fingerprint and identity must be strings")
    _check_about(body["about"])
    return body | {"segments": segments, "files": named}


ABOUT: Mapping[str, Any] = {
    "kind": str,
    "root": str,
    "sources": list,
    "fields": dict,
    "training": dict,
    "analyzer": dict,
    "vectors": dict,
    "words": dict,
    "ones": dict,
}


def _check_about(about: Any) -> None:
    """Raise ValueError if `about` or one of its entries has the wrong type."""
    if not isinstance(about, dict):
        raise ValueError("about must be an object")
    if wrong := [name for name, type_ in ABOUT.items() if not isinstance(about.get(name, type_()), type_)]:
        raise ValueError(f"about.{wrong[0]} must be of type {ABOUT[wrong[0]].__name__}")
    counts = about.get("words", {}).values()
    if not all(isinstance(pair, list) and len(pair) == 2 and all(type(n) is int for n in pair) for pair in counts):
        raise ValueError("about.words must contain pairs of integers")
    if not all(isinstance(own, list) and all(type(n) is int for n in own) for own in about.get("ones", {}).values()):
        raise ValueError("about.ones must contain lists of integers")
    fields, texts = about.get("fields") or {}, [*about.get("sources", ()), *about.get("prefixes", ())]
    texts += [fields[name] for name in ("id", "label") if fields.get(name) is not None]
    if not all(isinstance(text, str) for text in [*texts, *(fields.get("text") or ())]):
        raise ValueError("about contains a name that is not a string")


def _file(entry: dict[str, Any]) -> FileEntry:
    arrays = {name: (offset, items) for name, (offset, items) in entry.pop("arrays", {}).items()}
    if not isinstance(entry["sha256"], str):
        raise ValueError("a checksum must be a string")
    return FileEntry(**entry, arrays=arrays)


def _relative(name: str) -> str:
    """Return the name. Raises ValueError if it could point outside the index."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise ValueError(f"path {name[:60]!r} points outside the index")
    return name


def _short(error: BaseException) -> str:
    """Shorten an error, which may quote file content of any length."""
    return f"{type(error).__name__}: {error}"[:120]


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
