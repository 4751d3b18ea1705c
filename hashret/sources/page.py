"""HTML without its tags."""

from __future__ import annotations

from hashret import worker

SECONDS_PER_MIB = 1.0  # of processor time; a page takes .1 where its tags are not nested by the thousand


def text_of_page(page: str) -> str:
    """The words of a page, its title among them; entities decoded, scripts and styles left out.

    worker.Unreadable where the page takes too long.
    """
    raw = page.encode("utf-8", "replace")
    _, text = worker.call("hashret.worker.page:text", len(raw), raw, seconds_per_mib=SECONDS_PER_MIB)
    return text.decode()
