"""Map: documents as points in two dimensions, with similar documents close to each other."""

from __future__ import annotations

import base64
import html
import io
import json
import os
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hashret.analysis.base import able, grouped, signs
from hashret.codes import unpack
from hashret.encoders.base import Projects
from hashret.errors import DataError, UsageError, need, whole_number
from hashret.features import Floats
from hashret.index import Index
from hashret.options import MAX_SEED
from hashret.progress import report
from hashret.search import searcher
from hashret.store import Record

PERPLEXITY = 30  # of t-SNE, about the number of neighbours of a point
# fmt: off
COLOURS = (  # distinct colours of the largest groups; the others are grey
    "#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1",
    "#ff9da7", "#9c755f", "#1f77b4", "#bcbd22", "#17becf", "#8c564b", "#2ca02c",
    "#d62728", "#9467bd", "#e377c2", "#7f3c8d", "#11a579", "#3969ac",
)
# fmt: on
GREY = "#bbbbbb"
NEAR = 3  # sampled documents that a document is placed at the mean of
JITTER = 0.003  # of a map, so that documents with the same code do not hide each other
AT_ONCE = 10_000  # documents placed between two reports of progress
FEWEST = 5  # distinct codes; with fewer, t-SNE is not used and points are placed in a row
LONGEST = 80  # characters of a label in a legend
UNDRAWN = ("Cc", "Cs", "Cn", "Zl", "Zp")  # control characters, surrogates, unassigned, line and paragraph separators
SHOWN = 160  # characters of a text that the page shows for a point


@dataclass(frozen=True)
class Point:
    """A document on the map."""

    id: str
    x: float
    y: float
    label: str  # the first label of the document, or "cluster N"


def plane(
    index: Index,
    *,
    encoder: str | None = None,
    color: str = "auto",
    count: int = 10,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    sample: int | None = None,
) -> list[Point]:
    """Return all documents as points with coordinates from -1 to 1.

    Coordinates come from t-SNE of the codes (van der Maaten & Hinton 2008), or from an encoder with `project`. `color`
    is "label", "cluster", or "auto", which uses labels if there are any. With `sample`, t-SNE places so many documents,
    and each other one near those with the nearest codes. Raises UsageError for invalid arguments and
    DataError if coordinates are not finite.
    """
    if color not in ("auto", "label", "cluster"):
        raise UsageError(f"color must be auto, label or cluster, got {color!r}")
    count, seed = whole_number(count, "the number of clusters", 1), whole_number(seed, "seed", 0, MAX_SEED)
    if not len(index):
        return []
    if encoder is None:
        places = tsne(signs(index), seed) if sample is None else sampled(index, sample, seed)
    else:
        fitted, features = able(index, encoder, Projects, options, seed)
        places = fitted.project(features)
    if not np.isfinite(places).all():
        raise DataError(f"{encoder or 't-SNE'} returned coordinates that are not finite; choose another encoder")
    places = places - (places.max(axis=0) + places.min(axis=0)) / 2
    places = places / (np.abs(places).max() or 1.0)
    named = [own[0] if own else "" for own in index.labels]
    if color == "cluster" or (color == "auto" and not any(named)):
        nearest = grouped(index, min(count, len(index)), None, None, seed).argmin(axis=1)
        named = [f"cluster {group}" for group in nearest.tolist()]
    return [
        Point(id, round(x, 4), round(y, 4), label)
        for id, (x, y), label in zip(index.ids, places.tolist(), named, strict=True)
    ]


def tsne(rows: Floats, seed: int) -> Floats:
    """Return points [n, 2] that preserve the neighbours of the rows [n, dim]. Raises MissingExtra without openTSNE."""
    different, number = np.unique(rows, axis=0, return_inverse=True)
    if len(different) < FEWEST:
        return np.asarray(np.column_stack([number.reshape(-1), np.zeros(len(rows))]), np.float32)
    library = need("openTSNE", "map", "a map by t-SNE")
    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    return np.asarray(library.TSNE(perplexity=perplexity, random_state=seed, n_jobs=-1).fit(rows), np.float32)


def sampled(index: Index, sample: int, seed: int) -> Floats:
    """Return points [n, 2]: t-SNE of evenly spread documents, the others at the mean of the NEAR nearest by code."""
    codes = index.codes
    if len(codes) <= sample:
        return tsne(signs(index), seed)
    rows = np.arange(sample) * len(codes) // sample
    known = tsne(np.where(unpack(codes[rows], index.bits), np.float32(1), np.float32(-1)), seed)
    found, by = np.zeros((len(codes), 2), np.float32), searcher(codes[rows], index.bits)
    for start in range(0, len(codes), AT_ONCE):
        near = by.search(codes[start : start + AT_ONCE], NEAR)
        found[start : start + AT_ONCE] = known[near.positions].mean(axis=1)
        report("placing", min(start + AT_ONCE, len(codes)), len(codes))
    jitter = np.random.default_rng(seed).standard_normal(found.shape) * (np.ptp(known, axis=0) * JITTER)
    return np.asarray(found + jitter, np.float32)


def draw(points: Sequence[Point], path: str | Path, index: Index | None = None) -> None:
    """Draw the map as .png, .svg or .html; a page shows the point under the pointer, with `index` also its content.

    The file is replaced atomically. Raises UsageError if the map cannot be written to `path`.
    """
    path = Path(path).resolve()
    drawable(path)
    data = _page(points, index).encode() if path.suffix == ".html" else _image(points, path.suffix[1:])
    part = path.with_name(f".hashret-map-{os.getpid()}-{threading.get_ident()}")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _image(points: Sequence[Point], kind: str) -> bytes:
    """Return a .png or .svg of the points, with a legend if there are few labels."""
    figure = need("matplotlib.figure", "map", "an image of a map").Figure(figsize=(9, 8), layout="constrained")
    axes = figure.subplots()
    colours = palette(points)
    drawn = []
    for label, colour in colours.items():
        own = [point for point in points if point.label == label]
        drawn.append(axes.scatter([p.x for p in own], [p.y for p in own], s=4, c=colour, linewidths=0))
    axes.set(xticks=[], yticks=[], aspect="equal")
    if drawn and len(colours) <= len(COLOURS) + 1:
        blank = [" "] * len(drawn)  # matplotlib ignores labels that start with "_", so set them below
        box = (1, 0.5)
        legend = axes.legend(
            drawn, blank, markerscale=4, fontsize=7, loc="center left", bbox_to_anchor=box, frameon=False
        )
        for text, label in zip(legend.get_texts(), colours, strict=True):
            text.set(text=shown(label), parse_math=False, usetex=False)
    made = io.BytesIO()
    figure.savefig(made, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    return made.getvalue()


def shown(label: str) -> str:
    """Return a label that can be drawn: undrawable characters as escapes such as \\n, cut if too long."""
    label = label or "no label"
    cut = label if len(label) <= LONGEST else label[: LONGEST - 1] + "…"
    return "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) in UNDRAWN else c for c in cut)


def drawable(path: Path) -> None:
    """Raise UsageError if a map cannot be written to the path, because of its suffix or folder."""
    if path.suffix not in (".html", ".png", ".svg"):
        raise UsageError(f"the file of a map must end in .html, .png or .svg, got {path.name!r}")
    if path.is_dir() or not path.resolve().parent.is_dir():
        raise UsageError(f"{str(path)!r} is a folder, or its folder does not exist; name a file")


def palette(points: Sequence[Point]) -> dict[str, str]:
    """Return a colour for each label, sorted by decreasing number of points."""
    common = Counter(point.label for point in sorted(points, key=lambda point: point.label)).most_common()
    return {label: COLOURS[place] if place < len(COLOURS) else GREY for place, (label, _) in enumerate(common)}


def _page(points: Sequence[Point], index: Index | None) -> str:
    """Return a self-contained page: points on a canvas and details of the point under the pointer."""
    colours = palette(points)
    number = {label: place for place, label in enumerate(colours)}
    told = {record.id: _told(record) for record in (index.store.records() if index else ())}
    data = [[p.x, p.y, number[p.label], p.id, *told.get(p.id, [])] for p in points]
    legend = "".join(
        f'<li><i style="background:{colour}"></i>{html.escape(shown(label))}</li>' for label, colour in colours.items()
    )
    script = json.dumps({"points": data, "colours": list(colours.values())}, allow_nan=False).replace("<", "\\u003c")
    values = {"legend": legend, "count": f"{len(points):,}", "data": script}
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], PAGE)  # one pass: values may contain {{count}}


def _told(record: Record) -> list[str]:
    """Return the content to show for a document: the beginning of a text, or a thumbnail."""
    if record.thumbnail:
        return ["", "data:image/jpeg;base64," + base64.b64encode(record.thumbnail).decode()]
    return [record.content[:SHOWN]]


PAGE = """<!doctype html><meta charset="utf-8"><title>map</title>
<style>
body{margin:0;font:14px system-ui,sans-serif;display:flex;height:100vh}canvas{flex:1;min-width:0}
aside{width:300px;padding:12px;overflow:auto;border-left:1px solid #ddd}ul{list-style:none;padding:0}
i{display:inline-block;width:10px;height:10px;border-radius:5px;margin-right:6px}
#told{min-height:9em;white-space:pre-wrap;overflow-wrap:anywhere}#told img{display:block;max-width:128px;margin-top:6px}
</style>
<canvas></canvas><aside><p>{{count}} documents; wheel to zoom, drag to move.</p><div id="told"></div>
<ul>{{legend}}</ul></aside>
<script>
const {points, colours} = {{data}};
const canvas = document.querySelector("canvas"), told = document.querySelector("#told"), pen = canvas.getContext("2d");
let zoom = 1, left = 0, top_ = 0, held = null;
const scale = () => zoom * Math.min(canvas.width, canvas.height) / 2.1;
const at = p => [canvas.width / 2 + left + p[0] * scale(), canvas.height / 2 + top_ - p[1] * scale()];
function paint(mark) {
  canvas.width = canvas.clientWidth; canvas.height = canvas.clientHeight;
  for (const p of points) { const [x, y] = at(p); pen.fillStyle = colours[p[2]]; pen.fillRect(x - 1.5, y - 1.5, 3, 3); }
  if (mark) { const [x, y] = at(mark); pen.strokeRect(x - 5, y - 5, 10, 10); }
}
canvas.onpointermove = event => {
  if (held) { left += event.offsetX - held[0]; top_ += event.offsetY - held[1]; held = [event.offsetX, event.offsetY]; }
  let best = null, near = 144;
  for (const p of points) { const [x, y] = at(p), d = (x - event.offsetX) ** 2 + (y - event.offsetY) ** 2;
    if (d < near) { near = d; best = p; } }
  if (best) {
    told.textContent = best[3] + (best[4] ? "\\n\\n" + best[4] : "");
    if (best[5]) { const image = new Image(); image.src = best[5]; told.append(image); }
  }
  paint(best);
};
canvas.onpointerdown = event => { held = [event.offsetX, event.offsetY]; };
onpointerup = () => { held = null; };
canvas.onwheel = event => {
  event.preventDefault();
  const by = Math.exp(-event.deltaY / 500), x = event.offsetX - canvas.width / 2, y = event.offsetY - canvas.height / 2;
  zoom *= by; left = x - (x - left) * by; top_ = y - (y - top_) * by; paint();
};
onresize = () => paint(); paint();
</script>
"""
