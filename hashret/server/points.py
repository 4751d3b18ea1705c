"""The map of an index as points: made once, kept in a file beside the index, sent in six bytes per document.

uint32        size of the header in bytes, padded to a multiple of 4
header        JSON: version, count, labels
uint16 [n]    x, from -1 to 1
uint16 [n]    y
uint16 [n]    number of the label
"""

from __future__ import annotations

import json
import os
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hashret.analysis.map import plane
from hashret.index import Index

SAMPLE = 5000  # documents that t-SNE places; the others are placed near those with similar codes
MOST_LABELS = 500  # labels shown apart, the most frequent ones; the others are one label
OTHERS = "other labels"

Coordinates = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Points:
    """The points of a map. `version` changes with the index."""

    version: str
    x: Coordinates  # [n]
    y: Coordinates  # [n]
    label: Coordinates  # [n], numbers of labels
    labels: list[str]

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def of(cls, index: Index) -> Points:
        """The map of an index, from the file beside it if that is of this generation."""
        version = version_of(index)
        file = file_of(index.path)
        with suppress(OSError, ValueError, KeyError):
            points = cls.load(file)
            if points.version == version and len(points) == len(index):
                return points
        points = cls.made(index, version)
        with suppress(OSError):
            points.save(file)
        return points

    @classmethod
    def made(cls, index: Index, version: str) -> Points:
        """Compute the map."""
        found = plane(index, sample=SAMPLE, count=min(10, max(1, len(index))))
        names, counted = np.unique([point.label for point in found] or [""], return_counts=True)
        kept = names[np.argsort(-counted, kind="stable")][:MOST_LABELS].tolist()
        number = {name: place for place, name in enumerate(kept)}
        label = np.array([number.get(point.label, len(kept)) for point in found], np.uint16)
        labels = [*kept, OTHERS] if len(names) > len(kept) else kept
        x, y = (whole(np.array([getattr(point, axis) for point in found], np.float64)) for axis in "xy")
        return cls(version, x, y, label, labels)

    def save(self, file: Path) -> None:
        """Write the map to a file, atomically."""
        part = file.with_name(f"{file.name}.{os.getpid()}-{threading.get_ident()}")
        try:
            part.write_bytes(self.bytes())
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)

    @classmethod
    def load(cls, file: Path) -> Points:
        """Read a map. Raises OSError, ValueError or KeyError if there is none that can be read."""
        raw = file.read_bytes()
        if len(raw) < 4:
            raise ValueError("the file is too short")
        [size] = struct.unpack_from("<I", raw)
        header = json.loads(raw[4 : 4 + size])
        values = np.frombuffer(raw, np.uint16, offset=4 + size).reshape(3, int(header["count"]))
        labels = [str(label) for label in header["labels"]]
        if values.shape[1] and int(values[2].max()) >= len(labels):
            raise ValueError("a label is missing")
        return cls(str(header["version"]), values[0], values[1], values[2], labels)

    def bytes(self) -> bytes:
        """The map as it is sent and kept."""
        header = json.dumps({"version": self.version, "count": len(self), "labels": self.labels}).encode()
        header += b" " * (-len(header) % 4)
        return struct.pack("<I", len(header)) + header + b"".join(own.tobytes() for own in (self.x, self.y, self.label))

    def inside(self, polygon: list[tuple[float, float]], hidden: list[int]) -> npt.NDArray[np.int64]:
        """The positions of the points inside a polygon, except those with hidden labels."""
        x, y = (own.astype(np.float64) / 32767.5 - 1 for own in (self.x, self.y))
        corners = np.array(polygon, np.float64)
        low, high = corners.min(axis=0), corners.max(axis=0)
        near = (x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1]) & ~np.isin(self.label, hidden)
        rows = np.flatnonzero(near)
        px, py = x[rows], y[rows]
        odd = np.zeros(len(rows), bool)
        for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            if ay != by:
                crosses = (ay > py) != (by > py)
                odd ^= crosses & (px < (bx - ax) * (py - ay) / (by - ay) + ax)
        return rows[odd]


def whole(values: Any) -> Coordinates:
    """Coordinates from -1 to 1 as whole numbers."""
    return np.asarray(np.rint((np.clip(values, -1, 1) + 1) * 32767.5), np.uint16)


def version_of(index: Index) -> str:
    """What the map of an index depends on."""
    return f"{index.hasher.fingerprint}-{index.store.manifest.generation}"


def file_of(path: Path) -> Path:
    """The file beside an index that keeps its map. It is hidden, so it is not indexed."""
    return path.parent / f".{path.name}.map"
