"""The text of PDF and Word files, through the packages of the extra `documents`."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

from hashret.errors import need

MAX_UNPACKED = 256 * 2**20  # bytes in a Word file's zip; more is a bomb
# what the two parsers let through of damaged files, besides their own errors
DAMAGE = (
    *(ArithmeticError, AttributeError, LookupError, RuntimeError, SyntaxError, TypeError, ValueError, EOFError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)


class Damaged(Exception):
    """A file that its parser cannot read: damaged or locked by a password."""


def pdf_text(raw: bytes, path: Path) -> str:
    """The text of a PDF's pages; Damaged where it cannot be read, MissingExtra without pypdf."""
    pypdf = need("pypdf", "documents", "reading PDF")
    errors = need("pypdf.errors", "documents", "reading PDF")
    try:
        return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(raw)).pages).strip()
    except (errors.PyPdfError, *DAMAGE) as error:
        raise Damaged(str(path)) from error


def docx_text(raw: bytes, path: Path) -> str:
    """The paragraphs and tables of a Word file; Damaged where it cannot be read, MissingExtra without python-docx."""
    docx = need("docx", "documents", "reading Word files")
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAX_UNPACKED:
                raise Damaged(str(path))
        document = docx.Document(io.BytesIO(raw))
        parts = [paragraph.text for paragraph in document.paragraphs]
        parts += ["\t".join(cell.text for cell in row.cells) for table in document.tables for row in table.rows]
        return "\n".join(parts).strip()
    except DAMAGE as error:
        raise Damaged(str(path)) from error
