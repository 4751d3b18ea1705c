"""Source of a folder of texts: plain text, HTML, PDF and Word files, detected by content."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import ClassVar

from hashret import worker
from hashret.readers import encodings
from hashret.readers.decode import HEAD_BYTES, decode, looks_like_text, raw_head
from hashret.readers.folder import Folder, Found, majority, walk
from hashret.readers.magic import is_docx, is_html, is_pdf
from hashret.readers.page import text_of_page
from hashret.readers.skip_report import SkipReport

MAX_UNPACKED = 256 * 2**20  # unpacked bytes of a Word file; a larger one is an attack
SURVEYED_TEXTS = 500  # files of a folder that settle an unsure encoding
MAX_BYTES = 256 * 2**20  # larger files are skipped, because a file is read in one piece


class Texts(Folder):
    """One text per file; the encoding is detected, and HTML tags are removed."""

    name: ClassVar[str] = "texts"
    summary: ClassVar[str] = "a folder of text, HTML, PDF and Word files: one document per file"
    holds: ClassVar[str] = "text"
    settings: ClassVar[frozenset[str]] = frozenset({"encoding"})
    _encoding: tuple[str | None] | None = None  # what `_settled` found

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the folder has at least as many texts as images, or the file is HTML, PDF or Word."""
        if path.is_dir():
            return majority(path) == "text"
        start = raw_head(path)
        return is_html(path, start) or is_pdf(start) or is_docx(path, start)

    def content(self, found: Found, skips: SkipReport) -> str | None:
        """Return the text of a file, or None if it has no text."""
        if found.bytes > MAX_BYTES:
            skips.skip(found.path, f"larger than {MAX_BYTES} bytes", named=True)
            return None
        text = self._text(found, skips)
        if text is None:
            skips.skip(found.path, "not text")
        elif not text.strip() and found.id not in self._empty:
            skips.skip(found.path, "no words")
            return None
        return text

    def _text(self, found: Found, skips: SkipReport) -> str | None:
        with found.path.open("rb") as stream:
            start = stream.read(HEAD_BYTES)
            if is_pdf(start[:1024]):
                return pdf_text(found.path, found.bytes)
            if is_docx(found.path, start):
                return docx_text(found.path, found.bytes)
            if not start:
                return ""
            if not looks_like_text(start, self.fields.encoding):
                return None
            raw = start + stream.read(MAX_BYTES) if len(start) == HEAD_BYTES else start
        text = decode(raw, skips, self._settled, self.fields.encoding)
        return text_of_page(text) if is_html(found.path, start) else text

    def _settled(self) -> str | None:
        """Return the encoding of the texts of this folder that are neither ASCII nor UTF-8, or None if it is unsure."""
        if self._encoding is None:
            kept: list[bytes] = []
            for found in islice(walk(self.path, SkipReport(), self.left_out), SURVEYED_TEXTS):
                start = raw_head(found.path)
                text = looks_like_text(start) and not is_pdf(start) and not is_docx(found.path, start)
                if text and encodings.encoding_of(start, complete=found.bytes <= HEAD_BYTES).guessed:
                    kept.append(start)
            self._encoding = (encodings.settled(kept),)
        return self._encoding[0]


def pdf_text(path: Path, size: int) -> str:
    """Return the text of all pages of a PDF. Raises worker.Unreadable with the reason, MissingExtra without pypdf."""
    worker.require("pypdf", "documents", "reading PDF")
    _, text = worker.call("hashret.worker.office:pdf_text", size, path=worker.real(path))
    return text.decode()


def docx_text(path: Path, size: int) -> str:
    """Return the paragraphs and tables of a Word file as text.

    Raises worker.Unreadable with the reason, MissingExtra without python-docx.
    """
    worker.require("docx", "documents", "reading Word files")
    _, text = worker.call("hashret.worker.office:docx_text", size, path=worker.real(path), most=MAX_UNPACKED)
    return text.decode()
