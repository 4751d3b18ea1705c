"""Extract the text of one file, by its content: text, HTML, mail or document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hashret import worker
from hashret.errors import DataError, MissingExtra
from hashret.readers.decode import HEAD_BYTES, decode
from hashret.readers.magic import kind_of
from hashret.readers.mail import Attachment, read_mail
from hashret.readers.notebook import text_of_notebook
from hashret.readers.office import ATTACHED, text_of_document, text_of_pdf
from hashret.readers.page import text_of_page
from hashret.readers.skip_report import Skip, SkipReport

MAX_DEPTH = 5  # of mails attached to mails
MAX_ATTACHED = 16 * 2**20  # characters of all attachments of a mail

Extract = tuple[str, dict[str, Any]]
"""A text, and metadata such as a title; the text begins with the title."""


def extract(
    raw: bytes,
    kind: str,
    name: str,
    skips: SkipReport,
    settle: Callable[[], str | None] = lambda: None,
    encoding: str | None = None,
    depth: int = 0,
) -> Extract:
    """Return the text and the metadata of a file of a kind that `kind_of` returned.

    `name` is the file's name in reports. `skips`, `settle` and `encoding` are as for `decode`. Raises Skip if it has no
    text, worker.Unreadable with the reason why it cannot be read, and MissingExtra.
    """
    metadata: dict[str, Any] = {}
    if kind == "text":
        text = decode(raw, skips, settle, encoding)
    elif kind == "html":
        text = text_of_page(decode(raw, skips, settle, encoding))
    elif kind == "xml":
        text = text_of_xml(decode(raw, skips, settle, encoding))
    elif kind == "mail":
        mail = read_mail(raw, skips, settle, encoding)
        own = _Attachments(name, skips, settle, encoding, depth + 1)
        text, metadata = "\n\n".join(filter(None, [mail.text, *map(own.text, mail.attachments)])), mail.metadata
    elif kind == "notebook":
        text = text_of_notebook(raw)
    elif kind == "subtitles":
        text = text_of_subtitles(decode(raw, skips, settle, encoding))
    elif kind == "pdf":
        text = text_of_pdf(raw, name, skips)
    else:
        text, metadata = text_of_document(raw, kind, name, skips)
    if metadata.get("title"):
        text = f"{metadata['title']}\n{text}".rstrip()
    return text, metadata


def text_of_xml(text: str) -> str:
    """Return the text between the tags of XML; what is not well formed is read as HTML."""
    raw = text.encode("utf-8", "replace")
    try:
        return worker.call("hashret.worker.markup:text", len(raw), raw)[1].decode()
    except worker.Unreadable:
        return text_of_page(text)


def text_of_subtitles(text: str) -> str:
    """Return what is said. Raises worker.Unreadable with the reason, MissingExtra without pysubs2."""
    worker.require("pysubs2", "documents", "reading subtitles")
    raw = text.encode("utf-8", "replace")
    return worker.call("hashret.worker.subtitles:text", len(raw), raw)[1].decode()


class _Attachments:
    """Reads the attachments of a mail; what cannot be read is counted."""

    def __init__(
        self, name: str, skips: SkipReport, settle: Callable[[], str | None], encoding: str | None, depth: int
    ) -> None:
        self.name, self.skips, self.settle, self.encoding, self.depth = name, skips, settle, encoding, depth
        self.left = MAX_ATTACHED

    def text(self, attachment: Attachment) -> str:
        """Return the text of an attachment, or "" after counting it as not read."""
        raw, name = attachment.raw, attachment.name
        kind = "mail" if attachment.type == "message/rfc822" else kind_of(raw, raw[:HEAD_BYTES], name)
        if kind is None or self.depth > MAX_DEPTH or not self.left:
            self.skips.note(ATTACHED)
            return ""
        where = f"{self.name}!/{name or attachment.type}"
        try:
            text, _ = extract(raw, kind, where, self.skips, self.settle, self.encoding, self.depth)
        except Skip as error:
            self.skips.part(where, error.reason)
            return ""
        except (DataError, MissingExtra) as error:
            self.skips.part(where, str(error))
            return ""
        if len(text) > self.left:
            self.skips.part(where, "cut, because the attachments are too long")
        text = text[: self.left]
        self.left -= len(text)
        return text.strip()
