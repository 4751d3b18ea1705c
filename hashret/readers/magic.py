"""What a file is by its first bytes."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from hashret.readers.decode import looks_like_text

_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # the sizes that its second header may have
# possessive repetition, as in `*+`: without it, what begins like one of these and is none takes quadratic time or more
_PPM = re.compile(rb"P[1-6]\s(?:\s|#[^\n]*+\n)*+\d++\s++\d++\s")
_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*+(?:<\?xml[^>]*+>\s*+)?+(?:<!--(?:(?!-->).){0,4096}+-->\s*+)*+"
    rb"<(?:!doctype\s++html|html|head|body)\b",
    re.I | re.S,
)
MAX_DIRECTORY = 4 << 20  # bytes of a zip file's directory, some 50,000 names


def is_image(start: bytes) -> bool:
    """PNG, JPEG, GIF, BMP, WebP, TIFF or PPM."""
    if start.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")):
        return True
    if start.startswith(b"RIFF"):
        return start[8:12] == b"WEBP"
    if start.startswith(b"BM"):
        return int.from_bytes(start[14:18], "little") in _BMP_HEADERS
    return _PPM.match(start) is not None


def is_html(path: Path, start: bytes) -> bool:
    """A page by what it begins with, or a text that is called one."""
    return _HTML.match(start) is not None or (
        path.suffix.lower() in (".html", ".htm", ".xhtml") and looks_like_text(start)
    )


def is_pdf(start: bytes) -> bool:
    """A PDF, which may have some bytes before its mark."""
    return b"%PDF-" in start[:1024] and not start.startswith(b"PK")


def is_docx(path: Path, start: bytes) -> bool:
    """A zip file with a Word document in it."""
    return "word/document.xml" in zip_names(path, start)


def zip_names(path: Path, start: bytes) -> list[str]:
    """What lies in a zip file; nothing where it is none."""
    if not start.startswith(b"PK\x03\x04"):
        return []
    try:
        with open_zip(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return []


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip file; BadZipFile for one with more names than any document or array has."""
    with _ZipStream(path) as stream, zipfile.ZipFile(cast(IO[bytes], stream)) as archive:
        stream.limit = -1
        yield archive


class _ZipStream(io.FileIO):
    """A file that refuses to read much at once: zipfile reads the directory in one piece when it opens a file."""

    limit = MAX_DIRECTORY

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > self.limit >= 0:
            raise zipfile.BadZipFile(f"a directory of {size:,} bytes, more than {self.limit:,}")
        return super().read(-1 if size is None else size)
