"""The text of PDF and Word files, read in a worker process by the packages of the extra `documents`."""

from __future__ import annotations

from pathlib import Path

from hashret import worker

MAX_UNPACKED = 256 * 2**20  # bytes in a Word file's zip; more is a bomb


def pdf_text(path: Path, size: int) -> str:
    """The text of a PDF's pages; worker.Unreadable with the reason, MissingExtra without pypdf."""
    worker.require("pypdf", "documents", "reading PDF")
    _, text = worker.call("hashret.worker.office:pdf_text", size, path=worker.real(path))
    return text.decode()


def docx_text(path: Path, size: int) -> str:
    """The paragraphs and tables of a Word file; worker.Unreadable, MissingExtra without python-docx."""
    worker.require("docx", "documents", "reading Word files")
    _, text = worker.call("hashret.worker.office:docx_text", size, path=worker.real(path), most=MAX_UNPACKED)
    return text.decode()
