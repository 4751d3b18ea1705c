"""Read the items of RSS and Atom feeds with feedparser. Runs in a worker."""

from __future__ import annotations

import html
import io
import time
from typing import Any

from hashret.errors import need
from hashret.worker.frames import Refused

MAX_ITEMS = 100_000


def items(raw: bytes) -> tuple[Any, bytes]:
    """Return a list of {"name", "page", "metadata"}: the id or link of an item, and its title and content as HTML."""
    feed = need("feedparser", "documents", "reading feeds").parse(io.BytesIO(raw), resolve_relative_uris=False)
    if not feed.get("version"):
        raise Refused("is not a feed")
    return [_item(entry) for entry in feed.entries[:MAX_ITEMS]], b""


def _item(entry: Any) -> dict[str, Any]:
    title = str(entry.get("title") or "")
    contents = entry.get("content") or [
        {"value": entry.get("summary") or "", "type": entry.get("summary_detail", {}).get("type")}
    ]
    body = "\n".join(_as_html(own) for own in contents)
    date = entry.get("published_parsed") or entry.get("updated_parsed")
    found = {
        "title": title,
        "link": entry.get("link"),
        "author": entry.get("author"),
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", date) if date else None,
    }
    metadata = {name: str(value) for name, value in found.items() if value}
    page = f"<html><head><title>{_as_html({'value': title})}</title></head><body>{body}</body></html>"
    return {"name": str(entry.get("id") or entry.get("link") or ""), "page": page, "metadata": metadata}


def _as_html(content: Any) -> str:
    value = str(content.get("value") or "")
    return html.escape(value) if content.get("type") == "text/plain" else value
