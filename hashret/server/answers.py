"""Results of the library as JSON, and the JSON as an answer."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starlette.responses import Response

from hashret.codes import unpack
from hashret.documents import Document
from hashret.explanation import Explanation
from hashret.index import Index
from hashret.results import Hit, Hits
from hashret.snippets import Snippet

SHOWN = 200  # characters of a document whose query is no text
MOST_METADATA = 20  # fields of a hit


def answer(value: Any, status: int = 200) -> Response:
    """A JSON answer. Texts that are not valid Unicode are escaped; NaN and infinities become null."""
    try:
        body = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except ValueError:  # of which an UnicodeEncodeError is one
        body = json.dumps(_finite(value), allow_nan=False, separators=(",", ":")).encode()
    return Response(body, status, media_type="application/json")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(own) for name, own in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(own) for own in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def hits_as_json(index: Index, hits: Hits, query: str | None) -> dict[str, Any]:
    """The results of one query; `query` is its text, to mark words."""
    excerpts: Sequence[Snippet | None] = [None] * len(hits)
    if query and index.hasher.document_type == "text":
        excerpts = index.snippets(hits, query)
    return {"exact": hits.exact, "hits": [hit_as_json(*pair) for pair in zip(hits, excerpts, strict=True)]}


def hit_as_json(hit: Hit, shown: Snippet | None) -> dict[str, Any]:
    """One result, with a part of its text."""
    found: dict[str, Any] = {"rank": hit.rank, "id": hit.id, "distance": hit.distance, "labels": list(hit.labels)}
    if hit.score is not None:
        found["score"] = hit.score
    if shown is not None:
        found |= {"text": shown.text, "marks": shown.marks}
    else:
        found["text"] = beginning(hit.document)
    metadata = dict(list(hit.metadata.items())[:MOST_METADATA])
    return found | ({"parts": dict(hit.parts)} if hit.parts else {}) | ({"metadata": metadata} if metadata else {})


def beginning(document: Document) -> str:
    """The first characters of a text on one line; nothing for images and vectors."""
    content = document.content
    return " ".join(content[: 4 * SHOWN].split())[:SHOWN] if isinstance(content, str) else ""


def path_of(index: Index, document: Document) -> str | None:
    """The file of a document, if it was read from one."""
    if isinstance(document.content, Path):
        return str(document.content)
    root = str(index.store.manifest.about.get("root") or "") if hasattr(index, "store") else ""
    if root and {"bytes", "modified"} <= document.metadata.keys():
        return str(Path(root) / document.id)
    return None


def document_as_json(index: Index, id: str) -> dict[str, Any]:
    """A stored document with its code, as text of 0 and 1."""
    document = index.document(id)
    bits = unpack(index.codes_of([id]), index.bits)[0]
    return {
        "id": document.id,
        "labels": list(document.labels),
        "metadata": dict(document.metadata),
        "text": document.content if isinstance(document.content, str) else "",
        "path": path_of(index, document),
        "code": "".join("01"[bit] for bit in bits.tolist()),
    }


def explanation_as_json(found: Explanation) -> dict[str, Any]:
    """An explanation."""

    def words(effects: Any) -> list[dict[str, Any]]:
        return [{"word": own.word, "effect": own.effect, "parts": dict(own.parts)} for own in effects]

    return {
        "id": found.id,
        "score": found.score,
        "distance": found.distance,
        "shares": found.rows(),
        "query_words": words(found.query_words),
        "document_words": words(found.document_words),
        "query_map": None if found.query_map is None else found.query_map.tolist(),
        "document_map": None if found.document_map is None else found.document_map.tolist(),
    }
