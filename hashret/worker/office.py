"""Extract the text of office files, books and mails of Outlook with xberg. Runs in a worker."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from hashret.errors import need
from hashret.worker.frames import Refused

xberg = need("xberg", "documents", "reading office files")

_OFFICE = "application/vnd.openxmlformats-officedocument."
TYPES = {
    "pdf": "application/pdf",  # only those that PDFium refuses
    "docx": _OFFICE + "wordprocessingml.document",
    "pptx": _OFFICE + "presentationml.presentation",
    "xlsx": _OFFICE + "spreadsheetml.sheet",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "epub": "application/epub+zip",
    "rtf": "application/rtf",
    "doc": "application/msword",
    "ppt": "application/vnd.ms-powerpoint",
    "xls": "application/vnd.ms-excel",
    "msg": "application/vnd.ms-outlook",
}
SHEETS = ("xlsx", "xls", "ods")
MAX_NUMBER = 10_000_000  # cells of tables, steps; time and memory are limited by the worker

_ADDED = (  # what the library adds to the text, and what stays of it
    (re.compile(r" \(style_name: [^\n]*\)$", re.MULTILINE), ""),
    (re.compile(r"^\[Image: image\]$", re.MULTILINE), ""),
    (re.compile(r"^\[Image: (.*)\]$", re.MULTILINE), r"\1"),  # the description of an image
    (re.compile(r"\[\^\d+\]"), ""),  # the number of a footnote
)
_HEADERS = re.compile(r"\A(?:(?:Subject|From|To|CC|BCC|Date): .*\n?)+", re.IGNORECASE)
_BLANK = re.compile(r"\n{3,}")


def text(raw: bytes, kind: str, most: int) -> tuple[Any, bytes]:
    """Return {"metadata", "hidden", "attachments", "notes"} of a document and its text as UTF-8.

    `hidden` says whether there are hidden sheets, `attachments` how many of a mail were not read, and `notes` what else
    could not be read. Raises Refused if a zip file unpacks to more than `most` bytes.
    """
    if kind == "rtf" and b"\\bin" not in raw:  # the library replaces what is not ASCII
        raw = re.sub(rb"[\x80-\xff]", lambda found: b"\\'%02x" % found[0][0], raw)
    try:
        result = asyncio.run(_extract(raw, kind, most))
    except RuntimeError as error:
        raise Refused(_reason(str(error))) from error
    if not result.results:
        raise Refused(_reason(result.errors[0].message if result.errors else "no text"))
    (document,) = result.results[:1]
    found, about = document.content.replace("\r\n", "\n"), document.metadata
    hidden = (about.additional or {}).get("hidden_sheets")
    found = "\n".join(line.strip() for line in found.split("\n"))
    facts: dict[str, Any] = {
        "metadata": {"title": about.title} if kind == "epub" and about.title else {},
        "hidden": bool(hidden),
        "attachments": 0,
        "notes": [own.message for own in document.processing_warnings if own.source != "ocr"],
    }
    if kind == "msg":
        found = _HEADERS.sub("", found)
        facts["metadata"] = _mail(about)
        names = json.loads(str(about.format)).get("attachments") or []
        facts["attachments"] = sum(f"\n{name}\n" not in found for name in names)
    elif kind not in SHEETS:
        for pattern, rest in _ADDED:
            found = pattern.sub(rest, found)
    return facts, _BLANK.sub("\n\n", found).strip().encode("utf-8", "replace")


async def _extract(raw: bytes, kind: str, most: int) -> Any:
    limits = xberg.SecurityLimits(
        max_archive_size=most,
        max_content_size=most,
        max_table_cells=MAX_NUMBER,
        max_iterations=MAX_NUMBER * 100,
        max_compression_ratio=10_000,
    )
    config = xberg.ExtractionConfig(
        use_cache=False,
        disable_ocr=True,
        security_limits=limits,
        concurrency=xberg.ConcurrencyConfig(max_threads=1),
    )
    source = xberg.ExtractInput(kind="bytes", bytes=raw, mime_type=TYPES[kind], filename=f"file.{kind}")
    return await xberg.extract(source, config)


def _mail(about: Any) -> dict[str, str]:
    """Return title, from, to, cc and date of a mail, those that there are."""
    fields = json.loads(str(about.format))
    sender = f"{fields.get('from_name') or ''} <{fields.get('from_email') or ''}>".replace("<>", "").strip()
    named = {
        "title": about.subject,
        "from": sender,
        "to": ", ".join(fields.get("to_emails") or []),
        "cc": ", ".join(fields.get("cc_emails") or []),
        "date": about.created_at,
    }
    return {name: value for name, value in named.items() if value}


def _reason(message: str) -> str:
    """Return the reason of an error of the library as one short line, without advice about its settings."""
    return " ".join(message.removeprefix("Parsing error: ").partition(" If this input ")[0].split())[:200]


# the threads of the library start with the first document; their memory does not count for that document
asyncio.run(_extract(rb"{\rtf1 a}", "rtf", 1 << 20))
