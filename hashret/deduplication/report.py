"""The report of duplicates as one HTML page, with differences side by side and thumbnails; it loads nothing."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable
from difflib import SequenceMatcher

from hashret.deduplication.results import Duplicates, Group

GROUPS, MEMBERS, WORDS = 500, 20, 400  # that are shown

STYLE = """
:root{color-scheme:light dark;--line:#8886;--less:#b3261e33;--more:#2e7d3233}
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
section{border-top:1px solid var(--line);margin:1.5rem 0}h2{font-size:1.1rem;overflow-wrap:anywhere}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:1rem}.pair div{overflow-wrap:anywhere;white-space:pre-wrap}
.pair div{max-height:20rem;overflow:auto}del{background:var(--less);text-decoration:none}
ins{background:var(--more);text-decoration:none}img{width:128px;image-rendering:auto}
@media (max-width:40rem){.pair{grid-template-columns:1fr}}
"""

Content = str | bytes | None


def duplicates_page(found: Duplicates, name: str, content: Callable[[str], Content]) -> str:
    """Return the page. `content` returns the text, or the thumbnail of an image, of the document with an id."""
    title = f"Duplicates in {html.escape(name)}"
    more = f" The first {GROUPS} groups are shown." if len(found) > GROUPS else ""
    groups = "".join(_group(group, number, content) for number, group in enumerate(found.groups[:GROUPS]))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{STYLE}</style><h1>{title}</h1>"
        f"<p>Groups: {len(found):,}. Documents to drop: {len(found.drop):,} of {found.documents:,}.{more}</p>"
        f"{groups}</html>\n"
    )


def _group(group: Group, number: int, content: Callable[[str], Content]) -> str:
    kept = content(group.keep)
    shown = "".join(
        f"<h3>{html.escape(member.id)}</h3><p>similarity {member.similarity:.3f}, distance {member.distance} bits</p>"
        f'<div class="pair">{_pair(kept, content(member.id))}</div>'
        for member in group.members[1 : MEMBERS + 1]
    )
    rest = len(group) - 1 - MEMBERS
    more = f"<p>and {rest:,} more</p>" if rest > 0 else ""
    return f"<section><h2>{number}. keep: {html.escape(group.keep)}</h2>{shown}{more}</section>"


def _pair(left: Content, right: Content) -> str:
    if isinstance(left, str) and isinstance(right, str):
        return "".join(f"<div>{own}</div>" for own in differences(left, right))
    return f"<div>{_image(left)}</div><div>{_image(right)}</div>"


def _image(content: Content) -> str:
    if not isinstance(content, bytes) or not content:
        return "no content is stored"
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f'<img alt="" src="data:image/{kind};base64,{base64.b64encode(content).decode()}">'


def differences(left: str, right: str) -> tuple[str, str]:
    """Return both texts as HTML, with what only the first has in <del> and what only the second has in <ins>.

    Longer texts are cut.
    """
    a, b = (re.findall(r"\s+|\w+|[^\w\s]", own)[: 2 * WORDS] for own in (left, right))
    sides: tuple[list[str], list[str]] = [], []
    for kind, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        for side, part, mark in ((sides[0], a[i:j], "del"), (sides[1], b[k:m], "ins")):
            text = html.escape("".join(part))
            side.append(text if kind == "equal" or not text else f"<{mark}>{text}</{mark}>")
    return "".join(sides[0]), "".join(sides[1])
