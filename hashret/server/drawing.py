"""What the templates draw: marked pieces of texts, bits, histograms, shares of a score, heat maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hashret.explanation import Share
from hashret.explanation.results import HeatMap

ROW = 32  # bits in a row of a drawn code
WIDTH, HEIGHT = 640, 80  # of a histogram
STRONGEST = 0.75  # opacity of the strongest region
FEW = 12  # shares of a part that are drawn; the others are added up


def pieces(text: str, marks: Sequence[Sequence[int]]) -> list[tuple[str, bool]]:
    """A text cut at its marks, so that each piece is escaped by itself."""
    found, end = [], 0
    for start, stop in marks:
        found += [(text[end:start], False), (text[start:stop], True)]
        end = stop
    return [piece for piece in [*found, (text[end:], False)] if piece[0]]


def bits_of(code: str) -> dict[str, Any]:
    """A code as squares: its rows, and where each bit is."""
    squares = [{"x": n % ROW, "y": n // ROW, "on": bit == "1", "number": n} for n, bit in enumerate(code)]
    return {"squares": squares, "width": min(len(code), ROW), "height": -(-len(code) // ROW)}


def histogram_of(counts: Sequence[int], radius: int) -> dict[str, Any]:
    """The number of documents at each distance as bars, those within the radius apart."""
    most, step = max([*counts, 1]), WIDTH / max(1, len(counts))
    bars = [
        {
            "x": round(place * step, 2),
            "y": round(HEIGHT * (1 - count / most), 2),
            "width": round(step * 0.9, 2),
            "height": round(HEIGHT * count / most, 2),
            "inside": place <= radius,
            "distance": place,
            "count": count,
        }
        for place, count in enumerate(counts)
    ]
    return {"bars": bars, "within": sum(counts[: radius + 1]), "at": counts[radius] if radius < len(counts) else 0}


def waterfall(shares: Sequence[Share]) -> list[dict[str, Any]]:
    """Shares as bars around zero, of each part the first and the sum of the others."""
    rows: list[dict[str, Any]] = []
    for part in dict.fromkeys(share.part for share in shares):
        own = [share for share in shares if share.part == part]
        rows += [{"part": part, "what": share.what, "share": share.share} for share in own[:FEW]]
        if rest := own[FEW:]:
            rows.append({"part": part, "what": f"{len(rest)} others", "share": sum(share.share for share in rest)})
    largest = max((abs(row["share"]) for row in rows), default=1.0) or 1.0
    for row in rows:
        length = 50 * abs(row["share"]) / largest
        row |= {"x": round(50 if row["share"] >= 0 else 50 - length, 2), "length": round(length, 2)}
    return rows


def heat_of(values: HeatMap | None) -> list[dict[str, Any]] | None:
    """A heat map as squares, by sign and strength."""
    if values is None:
        return None
    largest = float(np.abs(values).max()) or 1.0
    return [
        {
            "x": x,
            "y": y,
            "more": value >= 0,
            "strength": round(0.75 * abs(value) / largest, 3),
            "value": round(value, 3),
        }
        for y, row in enumerate(values.tolist())
        for x, value in enumerate(row)
    ]
