"""Read the entries of BibTeX files with bibtexparser. Runs in a worker."""

from __future__ import annotations

import importlib
import logging
from typing import Any

from hashret.errors import need

FIRST = ("author", "editor", "abstract", "keywords", "journal", "booktitle", "publisher", "note")  # fields of the text


def entries(raw: bytes) -> tuple[Any, bytes]:
    """Return {"entries", "failed"}: a list of {"name", "text", "metadata"}, and the number of unreadable entries.

    LaTeX's marks become characters. The text is the title and the fields of FIRST, the metadata are all fields.
    """
    package = need("bibtexparser", "documents", "reading BibTeX")
    logging.getLogger().setLevel(logging.CRITICAL)  # it logs what it also returns
    decoding = importlib.import_module("bibtexparser.middlewares").LatexDecodingMiddleware()
    library = package.parse_string(raw.decode(), append_middleware=[decoding])
    repeated = [block for block in library.failed_blocks if type(block).__name__ == "DuplicateBlockKeyBlock"]
    again = [_entry(block.ignore_error_block, strip='{}"') for block in repeated]  # these are not decoded
    return {
        "entries": [*map(_entry, library.entries), *again],
        "failed": len(library.failed_blocks) - len(repeated),
    }, b""


def _entry(entry: Any, strip: str = "") -> dict[str, Any]:
    fields = {field.key.lower(): str(field.value).strip(strip or None) for field in entry.fields}
    text = "\n".join(fields[name] for name in ("title", *FIRST) if fields.get(name))
    return {"name": str(entry.key), "text": text, "metadata": {"type": str(entry.entry_type), **fields}}
