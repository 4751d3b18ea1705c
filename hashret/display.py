"""How documents, hits and indexes look in a notebook: HTML, with all values escaped and images encoded again."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hashret.analyzer import Analyzer
from hashret.documents import Document
from hashret.errors import DataError
from hashret.images import load
from hashret.results import Hit, Hits
from hashret.snippets import snippet

SHOWN = 300  # characters of a text
THUMBNAIL = 96  # pixels along the longer side of an image
MOST = 50  # rows of a table


def document_html(document: Document) -> str:
    """A document as a table of its fields."""
    rows = {"id": document.id, "labels": ", ".join(document.labels)}
    rows |= {str(name): str(value)[:SHOWN] for name, value in document.metadata.items()}
    return f"<table>{_rows(rows)}<tr><th>content</th><td>{_content(document, beginning(document))}</td></tr></table>"


def hits_html(hits: Hits) -> str:
    """Results as a table, with marked words or images."""
    analyzer = None if hits.language is None else Analyzer(hits.language)
    rows = "".join(_row(hit, hits.terms, analyzer) for hit in hits[:MOST])
    more = f"<p>and {len(hits) - MOST:,} more</p>" if len(hits) > MOST else ""
    note = "" if hits.exact else "<p>not exact</p>"
    head = "<tr><th>rank</th><th>score</th><th>bits</th><th>id</th><th>labels</th><th>content</th></tr>"
    return f"<table>{head}{rows}</table>{more}{note}"


def facts_html(facts: Mapping[str, Any]) -> str:
    """Facts as a table."""
    return f"<table>{_rows(facts)}</table>"


def _rows(facts: Mapping[str, Any]) -> str:
    return "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>" for name, value in facts.items()
    )


def _row(hit: Hit, terms: Sequence[str], analyzer: Analyzer | None) -> str:
    shown = beginning(hit.document)
    if analyzer is not None and terms and isinstance(hit.document.content, str):
        shown = _marked(hit.document.content, terms, analyzer)
    score = "" if hit.score is None else f"{hit.score:.3f}"
    cells = (str(hit.rank), score, str(hit.distance), html.escape(hit.id), html.escape(", ".join(hit.labels)))
    joined = "".join(f"<td>{cell}</td>" for cell in cells)
    return f"<tr>{joined}<td>{_content(hit.document, shown)}</td></tr>"


def _content(document: Document, shown: str) -> str:
    """An image, or else the text that is shown."""
    if document.kind != "image":
        return shown
    try:
        content: Any = document.content
        image = load(content if isinstance(content, np.ndarray) else Path(content), document.id, THUMBNAIL)
    except DataError:
        return html.escape(str(document.content)) if isinstance(document.content, Path) else "image"
    out = io.BytesIO()
    image.save(out, "PNG")
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}">'


def beginning(document: Document) -> str:
    """The first characters of a text, escaped; of other contents their kind."""
    if not isinstance(document.content, str):
        return document.kind
    line = " ".join(document.content[: 4 * SHOWN].split())
    return html.escape(line[:SHOWN]) + ("…" if len(line) > SHOWN else "")


def _marked(text: str, terms: Sequence[str], analyzer: Analyzer) -> str:
    """A snippet with its words marked; each piece is escaped by itself."""
    shown = snippet(text, terms, analyzer)
    parts, end = [], 0
    for start, stop in shown.marks:
        parts += [html.escape(shown.text[end:start]), f"<mark>{html.escape(shown.text[start:stop])}</mark>"]
        end = stop
    return "".join([*parts, html.escape(shown.text[end:])])
