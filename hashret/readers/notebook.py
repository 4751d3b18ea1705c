"""Extract the text of Jupyter notebooks."""

from __future__ import annotations

import json

from hashret.worker import Unreadable

CELLS = ("markdown", "heading", "code", "raw")


def text_of_notebook(raw: bytes) -> str:
    """Return the texts and the code of all cells, without outputs. Raises worker.Unreadable if it is no notebook."""
    try:
        book = json.loads(raw)
        cells = book["cells"] if "cells" in book else [cell for sheet in book["worksheets"] for cell in sheet["cells"]]
        sources = [cell.get("source", cell.get("input", "")) for cell in cells if cell["cell_type"] in CELLS]
        return "\n\n".join("".join(source) for source in sources)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Unreadable("is not a notebook") from None
