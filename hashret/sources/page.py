"""HTML without its tags."""

from __future__ import annotations

from hashret import worker

# of processor time; a page takes 0.1 s a MiB where its tags are not nested by the thousand
SECONDS, SECONDS_PER_MIB = 2.0, 1.0
MEMORY_FACTOR = 32  # a tree takes 20 times the page


def text_of_page(page: str) -> str:
    """The words of a page, its title among them; entities decoded, scripts and styles left out.

    worker.Unreadable where the page takes too long.
    """
    raw = page.encode("utf-8", "replace")
    limits = worker.limits_for(len(raw), SECONDS, SECONDS_PER_MIB, MEMORY_FACTOR)
    _, text = worker.call("hashret.worker.page:text", len(raw), raw, limits)
    return text.decode()
