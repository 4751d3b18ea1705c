"""Detect file formats from the first bytes."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from hashret.readers.decode import looks_like_text

_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # allowed sizes of the second header
# possessive repetition (`*+`): without it, bytes that only start like one of these take quadratic time or more
_PPM = re.compile(rb"P[1-6]\s(?:\s|#[^\n]*+\n)*+\d++\s++\d++\s")
_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*+(?:<\?xml[^>]*+>\s*+)?+(?:<!--(?:(?!-->).){0,4096}+-->\s*+)*+"
    rb"<(?:!doctype\s++html|html|head|body)\b",
    re.I | re.S,
)
MAX_DIRECTORY = 4 << 20  # bytes of the directory of a zip file, about 50,000 names


def is_image(start: bytes) -> bool:
    """Whether it is a PNG, JPEG, GIF, BMP, WebP, TIFF or PPM."""
    if start.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")):
        return True
    if start.startswith(b"RIFF"):
        return start[8:12] == b"WEBP"
    if start.startswith(b"BM"):
        return int.from_bytes(start[14:18], "little") in _BMP_HEADERS
    return _PPM.match(start) is not None


def is_html(path: Path, start: bytes) -> bool:
    """Whether it starts like an HTML page, or is text with the suffix of one."""
    return _HTML.match(start) is not None or (
        path.suffix.lower() in (".html", ".htm", ".xhtml") and looks_like_text(start)
    )


def is_pdf(start: bytes) -> bool:
    """Whether it is a PDF, which may have some bytes before its signature."""
    return b"%PDF-" in start[:1024] and not start.startswith(b"PK")


def is_docx(path: Path, start: bytes) -> bool:
    """Whether it is a zip file that contains a Word document."""
    return "word/document.xml" in zip_names(path, start)


def zip_names(path: Path, start: bytes) -> list[str]:
    """Return the names in a zip file; empty if it is not a readable zip file."""
    if not start.startswith(b"PK\x03\x04"):
        return []
    try:
        with open_zip(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return []


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip file; raises BadZipFile if its directory is larger than MAX_DIRECTORY."""
    with _ZipStream(path) as stream, zipfile.ZipFile(cast(IO[bytes], stream)) as archive:
        stream.limit = -1
        yield archive


class _ZipStream(io.FileIO):
    """A file that limits the size of a read: zipfile reads the directory in one piece when it opens a file."""

    limit = MAX_DIRECTORY

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > self.limit >= 0:
            raise zipfile.BadZipFile(f"a directory of {size:,} bytes, more than {self.limit:,}")
        return super().read(-1 if size is None else size)
