"""Extract the text of XML with expat. Runs in a worker."""

from __future__ import annotations

from typing import Any
from xml.parsers import expat

from hashret.worker.frames import Refused


def text(raw: bytes) -> tuple[Any, bytes]:
    """Return the text between the tags of UTF-8 XML, with a space for each tag; without attributes and comments."""
    parts: list[str] = []
    parser = expat.ParserCreate("utf-8")
    parser.CharacterDataHandler = parts.append
    parser.StartElementHandler = lambda name, attributes: parts.append(" ")
    parser.EndElementHandler = lambda name: parts.append(" ")
    try:
        parser.Parse(raw, True)
    except expat.ExpatError as error:
        raise Refused(f"is not XML ({error})") from None
    lines = (" ".join(line.split()) for line in "".join(parts).split("\n"))
    return None, "\n".join(line for line in lines if line).encode("utf-8", "replace")
