"""A folder of texts: plain, HTML, PDF and Word files, known by what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from hashret.errors import MissingExtra
from hashret.sources.decode import decode, looks_like_text, raw_head
from hashret.sources.folder import Folder, majority
from hashret.sources.magic import is_docx, is_html, is_pdf
from hashret.sources.office import Damaged, docx_text, pdf_text
from hashret.sources.page import text_of_page
from hashret.sources.tally import Tally
from hashret.sources.walk import Found

MAX_BYTES = 256 * 2**20  # a larger file is no document to be read in one piece


class Texts(Folder):
    """A text a file; the encoding is guessed, HTML loses its tags."""

    name: ClassVar[str] = "texts"
    summary: ClassVar[str] = "a folder of text files at any depth, HTML, PDF and Word among them: a document a file"
    holds: ClassVar[str] = "text"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """A folder with more texts than pictures, or one HTML, PDF or Word file."""
        if path.is_dir():
            return majority(path) == "text"
        start = raw_head(path)
        return is_html(path, start) or is_pdf(start) or is_docx(path, start)

    def content(self, found: Found, tally: Tally) -> str | None:
        """The text of a file, or None where it holds none."""
        if found.bytes > MAX_BYTES:
            tally.skip(found.path, f"are larger than {MAX_BYTES} bytes", named=True)
            return None
        with found.path.open("rb") as stream:
            raw = stream.read(MAX_BYTES)
        try:
            text = self._text(found.path, raw, tally)
        except MissingExtra:
            tally.skip(found.path, "need another package (pip install 'hashret[documents]')")
            return None
        except Damaged:
            tally.skip(found.path, "are damaged or locked", named=True)
            return None
        if text is None:
            tally.skip(found.path, "are no text")
        elif not text.strip() and found.id not in self._empty:
            tally.skip(found.path, "hold no words")
            return None
        return text

    @staticmethod
    def _text(path: Path, raw: bytes, tally: Tally) -> str | None:
        if is_pdf(raw[:1024]):
            return pdf_text(raw, path)
        if is_docx(path, raw):
            return docx_text(raw, path)
        if not raw:
            return ""
        if not looks_like_text(raw[:65536]):
            return None
        text, replaced = decode(raw)
        if replaced:
            tally.note("files with bytes that fit no encoding, replaced by U+FFFD")
        return text_of_page(text) if is_html(path, raw[:65536]) else text
