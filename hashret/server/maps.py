"""The REST API: the map of an index, what is near a point, and the documents inside a polygon."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from hashret.errors import UsageError
from hashret.index import Index
from hashret.server.answers import answer, beginning
from hashret.server.api import PROBLEMS, Q, Served, Serving
from hashret.server.errors import Refused
from hashret.server.models import Lasso
from hashret.server.points import Points
from hashret.server.texts import text_query

router = APIRouter(prefix="/api", responses=PROBLEMS, tags=["map"])
FOUND = 200  # documents that a search in the map marks
BREAKS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
TYPES = {"ids": "text/plain", "csv": "text/csv", "json": "application/json"}


def points_of(one: Any, index: Index) -> Points:
    """The map of an index, made once for each generation."""
    if not one.local:
        raise UsageError("maps are for indexes in a folder; pull this index into one")
    found: Points = one.kept("map", index, lambda: Points.of(index))
    return found


def ids_of(one: Any, index: Index) -> list[str]:
    """All ids by position, read once for each generation."""
    found: list[str] = one.kept("ids", index, lambda: index.ids)
    return found


@router.get("/{index}/map", response_class=Response)
async def map_(one: Served, serving: Serving) -> Response:
    """Return all points in a binary form, 6 bytes each; `hashret/server/points.py` describes it."""
    raw = await serving.work.think(lambda: points_of(one, one.index()).bytes())
    return Response(raw, media_type="application/octet-stream")


@router.get("/{index}/map/point")
async def point(
    one: Served, serving: Serving, position: Annotated[int, Query(ge=0)], version: Annotated[str, Query(max_length=200)]
) -> Response:
    """Return the document at a point."""

    def act() -> dict[str, Any]:
        index = one.index()
        check_version(points_of(one, index), version)
        ids = ids_of(one, index)
        if position >= len(ids):
            raise Refused(404, "there is no such point")
        document = index.document(ids[position])
        return {"id": document.id, "labels": list(document.labels), "text": beginning(document)}

    return answer(await serving.work.search(act))


@router.get("/{index}/map/find")
async def find(one: Served, serving: Serving, q: Q, version: Annotated[str, Query(max_length=200)]) -> Response:
    """Search by text. Returns the positions of the best documents on the map, best first."""

    def act() -> dict[str, Any]:
        index = one.index()
        check_version(points_of(one, index), version)
        ids = ids_of(one, index)
        place = one.kept("places", index, lambda: {id: number for number, id in enumerate(ids)})
        return {"positions": [place[hit.id] for hit in index.search(text_query(index, q), FOUND)]}

    return answer(await serving.work.search(act))


@router.post("/{index}/map/select", response_class=Response)
async def select(
    one: Served,
    serving: Serving,
    body: Lasso,
    format: Annotated[Literal["count", "ids", "csv", "json"], Query()] = "count",
) -> Response:
    """Return the documents inside a polygon: their number and the first of them, or all as a file."""

    def act() -> Response:
        index = one.index()
        points = points_of(one, index)
        check_version(points, body.version)
        chosen, ids = points.inside(body.polygon, body.hidden).tolist(), ids_of(one, index)
        if format == "count":
            return answer({"count": len(chosen), "ids": [ids[place] for place in chosen[:20]]})
        rows = [
            (ids[p], float(points.x[p]) / 32767.5 - 1, float(points.y[p]) / 32767.5 - 1, int(points.label[p]))
            for p in chosen
        ]
        text = exported(rows, points.labels, format)
        name = f'attachment; filename="selection.{"txt" if format == "ids" else format}"'
        return Response(text, media_type=TYPES[format], headers={"Content-Disposition": name})

    return await serving.work.think(act)


def exported(rows: list[tuple[str, float, float, int]], labels: list[str], format: str) -> bytes:
    """A selection as a file. Line breaks in ids are escaped in text; cells that spreadsheets run are quoted in CSV."""
    if format == "ids":
        lines = (BREAKS.sub(lambda found: found[0].encode("unicode_escape").decode(), id) for id, *_ in rows)
        return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
    if format == "json":
        return json.dumps([{"id": id, "x": x, "y": y, "label": labels[own]} for id, x, y, own in rows]).encode()
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("id", "x", "y", "label"))
    writer.writerows((_cell(id), f"{x:.4f}", f"{y:.4f}", _cell(labels[own])) for id, x, y, own in rows)
    return out.getvalue().encode("utf-8", "backslashreplace")


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def check_version(points: Points, version: str) -> None:
    """Raise Refused if the index has changed since its map was loaded."""
    if points.version != version:
        raise Refused(409, "the index has changed since this map was opened; load the map again")
