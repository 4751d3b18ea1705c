"""A folder of texts: plain, HTML, PDF and Word files, known by what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from hashret.sources.decode import HEAD_BYTES, decode, looks_like_text, raw_head
from hashret.sources.folder import Folder, majority
from hashret.sources.magic import is_docx, is_html, is_pdf
from hashret.sources.office import docx_text, pdf_text
from hashret.sources.page import text_of_page
from hashret.sources.skip_report import SkipReport
from hashret.sources.walk import Found

MAX_BYTES = 256 * 2**20  # a larger file is no document to be read in one piece


class Texts(Folder):
    """A text a file; the encoding is guessed, HTML loses its tags."""

    name: ClassVar[str] = "texts"
    summary: ClassVar[str] = "a folder of text files at any depth, HTML, PDF and Word among them: a document a file"
    holds: ClassVar[str] = "text"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A folder with more texts than images, or one HTML, PDF or Word file."""
        if path.is_dir():
            return majority(path) == "text"
        start = raw_head(path)
        return is_html(path, start) or is_pdf(start) or is_docx(path, start)

    def content(self, found: Found, skips: SkipReport) -> str | None:
        """The text of a file, or None where it holds none."""
        if found.bytes > MAX_BYTES:
            skips.skip(found.path, f"are larger than {MAX_BYTES} bytes", named=True)
            return None
        text = self._text(found, skips)
        if text is None:
            skips.skip(found.path, "are not text")
        elif not text.strip() and found.id not in self._empty:
            skips.skip(found.path, "contain no words")
            return None
        return text

    @staticmethod
    def _text(found: Found, skips: SkipReport) -> str | None:
        with found.path.open("rb") as stream:
            start = stream.read(HEAD_BYTES)
            if is_pdf(start[:1024]):
                return pdf_text(found.path, found.bytes)
            if is_docx(found.path, start):
                return docx_text(found.path, found.bytes)
            if not start:
                return ""
            if not looks_like_text(start):
                return None
            raw = start + stream.read(MAX_BYTES) if len(start) == HEAD_BYTES else start
        text, replaced = decode(raw)
        if replaced:
            skips.note("files with bytes that fit no encoding, replaced by U+FFFD")
        return text_of_page(text) if is_html(found.path, start) else text
