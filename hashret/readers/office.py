"""Extract the text of PDF, office files, books and mails of Outlook, in a worker process."""

from __future__ import annotations

from typing import Any

from hashret import worker
from hashret.readers.skip_report import Skip, SkipReport

MAX_UNPACKED = 256 * 2**20  # unpacked bytes of a document that is a zip file; a larger one is an attack


def text_of_document(raw: bytes, kind: str, name: str, skips: SkipReport) -> tuple[str, dict[str, Any]]:
    """Return the text of a document and its metadata; reports to `skips` what could not be read.

    `kind` is one of `magic.kind_of`. Raises Skip if there is no text, worker.Unreadable with the reason, and
    MissingExtra without xberg.
    """
    if kind == "locked":
        raise worker.Unreadable("protected by a password")
    worker.require("xberg", "documents", "reading documents")
    about, text = worker.call("hashret.worker.office:text", len(raw), raw, kind=kind, most=MAX_UNPACKED)
    pages, blank = about["pages"], about["blank"]
    if pages and pages == blank:
        raise Skip("pages without text, such as scans", named=True)
    if blank:
        skips.part(name, f"{blank} of {pages} pages {'has' if blank == 1 else 'have'} no text")
    if about["hidden"]:
        skips.note("files with hidden sheets, which were read too")
    for note in about["notes"]:
        skips.part(name, note)
    return text.decode(), about["metadata"]
