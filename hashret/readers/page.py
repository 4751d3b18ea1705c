"""Extract the text of HTML, in a worker process."""

from __future__ import annotations

from hashret import worker

# CPU time of parsing HTML; a page takes 0.1 s per MiB unless thousands of tags are nested
SECONDS, SECONDS_PER_MIB = 2.0, 1.0
MEMORY_FACTOR = 32  # a parsed tree takes 20 times the size of the page


def text_of_page(page: str) -> str:
    """Return the text of an HTML page with its title; entities are decoded, scripts and styles removed.

    Raises worker.Unreadable if parsing takes too long.
    """
    raw = page.encode("utf-8", "replace")
    limits = worker.limits_for(len(raw), SECONDS, SECONDS_PER_MIB, MEMORY_FACTOR)
    _, text = worker.call("hashret.worker.page:text", len(raw), raw, limits)
    return text.decode()
