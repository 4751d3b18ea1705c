"""Read subtitles with pysubs2. Runs in a worker."""

from __future__ import annotations

from typing import Any

from hashret.errors import need


def text(raw: bytes) -> tuple[Any, bytes]:
    """Return what is said, a line for each subtitle, without times and marks; `raw` is UTF-8."""
    package = need("pysubs2", "documents", "reading subtitles")
    found = package.SSAFile.from_string(raw.decode("utf-8", "replace"))
    return None, "\n".join(own.plaintext.replace("\n", " ").strip() for own in found if not own.is_comment).encode()
