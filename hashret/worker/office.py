"""Extract the text of PDF and Word files with pypdf and python-docx. Runs in a worker."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from hashret.errors import need
from hashret.worker.frames import Refused


def pdf_text(raw: bytes, path: str) -> tuple[Any, bytes]:
    """Return the text of all pages of a PDF as UTF-8."""
    pypdf = need("pypdf", "documents", "reading PDF")
    pages = pypdf.PdfReader(io.BytesIO(Path(path).read_bytes())).pages
    return None, _utf8("\n".join(page.extract_text() for page in pages))


def docx_text(raw: bytes, path: str, most: int) -> tuple[Any, bytes]:
    """Return the paragraphs and tables of a Word file as UTF-8; raises Refused if it unpacks to more than `most`."""
    docx = need("docx", "documents", "reading Word files")
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > most:
            raise Refused(f"unpacks to more than {most:,} bytes")
    document = docx.Document(path)
    parts = [paragraph.text for paragraph in document.paragraphs]
    parts += ["\t".join(cell.text for cell in row.cells) for table in document.tables for row in table.rows]
    return None, _utf8("\n".join(parts))


def _utf8(text: str) -> bytes:
    return text.strip().encode("utf-8", "replace")
