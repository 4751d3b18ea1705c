"""Extract the text of PDF, office files, books and mails of Outlook, in a worker process."""

from __future__ import annotations

from typing import Any

from hashret import worker
from hashret.readers.skip_report import Skip, SkipReport

MAX_UNPACKED = 256 * 2**20  # unpacked bytes of a document that is a zip file; a larger one is an attack
ATTACHED = "attachments that were not read"


def text_of_pdf(raw: bytes, name: str, skips: SkipReport) -> str:
    """Return the text of a PDF; reports to `skips` what could not be read.

    A PDF that PDFium refuses, such as one that is cut short, is tried with xberg. Raises Skip if there is no text,
    worker.Unreadable with the reason, and MissingExtra without pypdfium2 and xberg.
    """
    worker.require("pypdfium2", "documents", "reading PDF")
    counts, text = worker.call("hashret.worker.pdf:text", len(raw), raw)
    if counts["refused"]:
        worker.require("xberg", "documents", "reading a damaged PDF")
        _, text = worker.call("hashret.worker.office:text", len(raw), raw, kind="pdf", most=MAX_UNPACKED)
        skips.part(name, "damaged PDF")
    pages = counts["pages"]
    if not text and pages > counts["damaged"]:
        raise Skip("pages without text, such as scans", named=True)
    if not text:
        raise worker.Unreadable(f"none of its {pages} pages can be read")
    for what, one, several in (
        ("damaged", "cannot be read", "cannot be read"),
        ("blank", "has no text", "have no text"),
        ("unreadable", "has characters that cannot be read", "have characters that cannot be read"),
    ):
        if number := counts[what]:
            skips.part(name, f"{number} of {pages} pages {one if number == 1 else several}")
    skips.note(ATTACHED, counts["attachments"])
    return text.decode()


def text_of_document(raw: bytes, kind: str, name: str, skips: SkipReport) -> tuple[str, dict[str, Any]]:
    """Return the text of a document and its metadata; reports to `skips` what could not be read.

    `kind` is one of `magic.kind_of`. Raises worker.Unreadable with the reason, and MissingExtra without xberg.
    """
    if kind == "locked":
        raise worker.Unreadable("protected by a password")
    if kind in ("odt", "odp"):
        return worker.call("hashret.worker.opendocument:text", len(raw), raw, most=MAX_UNPACKED)[1].decode(), {}
    worker.require("xberg", "documents", "reading office files")
    about, text = worker.call("hashret.worker.office:text", len(raw), raw, kind=kind, most=MAX_UNPACKED)
    if about["hidden"]:
        skips.note("files with hidden sheets, which were read too")
    skips.note(ATTACHED, about["attachments"])
    for note in about["notes"]:
        skips.part(name, note)
    return text.decode(), about["metadata"]
