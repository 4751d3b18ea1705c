"""Extract the text of HTML with selectolax. Runs in a worker, because deeply nested tags take quadratic time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from selectolax.lexbor import LexborHTMLParser

_UNSEEN = frozenset({"script", "style"})
_INLINE = re.compile(
    "a|abbr|acronym|b|bdi|bdo|big|cite|code|del|dfn|em|font|i|ins|kbd|mark|q|s|samp|small|span|strike|strong|su[bp]|tt|u|var"
)
_SPACES = re.compile(r"[^\S\n]+")


def text(raw: bytes) -> tuple[Any, bytes]:
    """Return the text of a page with its title, one line per block, without scripts and styles; UTF-8 in and out."""
    root = LexborHTMLParser(raw.decode()).root
    rows = (_SPACES.sub(" ", row).strip() for row in "".join(_pieces(root)).split("\n"))
    return None, "\n".join(row for row in rows if row).encode("utf-8", "replace")


def _pieces(root: Any) -> Iterator[str]:
    """Yield the texts under a node, with a line break wherever a block starts or ends. Not recursive."""
    node = root
    while node is not None:
        if node.is_text_node:
            yield node.text_content
        elif _breaks(node):
            yield "\n"
        following = node.child if node.tag not in _UNSEEN else None
        while following is None and node is not None:
            if _breaks(node):
                yield "\n"
            following = node.next
            node = node.parent if following is None else node
        node = following


def _breaks(node: Any) -> bool:
    return bool(node.is_element_node) and _INLINE.fullmatch(node.tag) is None
