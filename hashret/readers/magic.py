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
from hashret.worker.image import is_avif, is_heic

_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # allowed sizes of the second header
# possessive repetition (`*+`): without it, bytes that only start like one of these take quadratic time or more
_PPM = re.compile(rb"P[1-6]\s(?:\s|#[^\n]*+\n)*+\d++\s++\d++\s")
_JPEG_2000 = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*+(?:<\?xml[^>]*+>\s*+)?+(?:<!--(?:(?!-->).){0,4096}+-->\s*+)*+"
    rb"<(?:!doctype\s++html|html|head|body)\b",
    re.I | re.S,
)
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MIMES = {  # content of the first file
    "odt": b"application/vnd.oasis.opendocument.text",
    "ods": b"application/vnd.oasis.opendocument.spreadsheet",
    "odp": b"application/vnd.oasis.opendocument.presentation",
    "epub": b"application/epub+zip",
}
_MAIN_PARTS = {
    "docx": "word/document.xml",
    "xlsx": "xl/workbook.xml",
    "pptx": "ppt/presentation.xml",
    "epub": "META-INF/container.xml",
}
_STREAMS = [  # beginning of the name of a stream
    (name.encode("utf-16-le"), kind)
    for name, kind in (
        ("EncryptedPackage", "locked"),
        ("WordDocument", "doc"),
        ("Workbook", "xls"),
        ("Book", "xls"),
        ("PowerPoint Document", "ppt"),
        ("__substg1.0_", "msg"),
    )
]
_HEADER = re.compile(rb"([!-9;-~]+)[ \t]*:")
_USUAL = {b"from", b"to", b"subject", b"date", b"received", b"message-id", b"mime-version", b"content-type"}
_SENT = {b"received", b"message-id", b"mime-version", b"return-path", b"delivered-to"}
OLE_DIRECTORY = 1 << 16  # bytes of the directory of a compound file that are looked at
_XML = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,8}<\?xml\s|(?:\xff\xfe<\0\?\0x\0m\0l\0)|(?:\xfe\xff\0<\0\?\0x\0m\0l)")
_SUBTITLES = re.compile(
    rb"(?:\xef\xbb\xbf)?\s{0,8}(?:WEBVTT\b|\[Script Info\]|\d+\s{1,4}\d{1,2}:\d\d:\d\d[,.]\d{1,3}\s{0,4}-->)"
)
NOTEBOOK = ".ipynb"
PAGES = (".html", ".htm", ".xhtml")
MAX_DIRECTORY = 4 << 20  # bytes of the directory of a zip file, about 50,000 names


def is_image(start: bytes) -> bool:
    """Whether it is a PNG, JPEG, GIF, BMP, WebP, TIFF, PPM, JPEG 2000, ICO, AVIF or HEIC."""
    if start.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", *_JPEG_2000)):
        return True
    if start.startswith(b"RIFF"):
        return start[8:12] == b"WEBP"
    if start.startswith(b"BM"):
        return int.from_bytes(start[14:18], "little") in _BMP_HEADERS
    if start.startswith(b"\0\0\1\0"):
        return start[4:6] not in (b"\0\0", b"") and start[5:6] == b"\0" == start[9:10]
    if is_avif(start) or is_heic(start):
        return True
    return _PPM.match(start) is not None


def is_html(start: bytes, name: str) -> bool:
    """Whether it starts like an HTML page, or is text with the suffix of one."""
    return _HTML.match(start) is not None or (name.lower().endswith(PAGES) and looks_like_text(start))


def is_pdf(start: bytes) -> bool:
    """Whether it is a PDF, which may have some bytes before its signature, but not a text that mentions it."""
    if start.startswith(b"%PDF-"):
        return True
    return b"%PDF-" in start[:1024] and b" obj" in start and not start.startswith(b"PK")


def kind_of(content: Path | str | bytes, start: bytes, name: str) -> str | None:
    """Return what kind of text a file is, or None if it has none that can be read.

    The kinds are "text", "html", "xml", "mail", "notebook", "subtitles", "odt", "odp", those of
    `hashret.worker.office.TYPES`, and "locked" for an encrypted office file. `content` is a path or bytes, `start` are
    its first bytes, and `name` is the name of the file.
    """
    if is_pdf(start):
        return "pdf"
    if start.startswith(_ZIP):
        return _zip_kind(Path(content) if isinstance(content, str) else content, start)
    if start.startswith(_OLE):
        return _ole_kind(Path(content) if isinstance(content, str) else content, start)
    if start.startswith(b"{\\rtf"):
        return "rtf"
    if not looks_like_text(start):
        return None
    if is_mail(start, name):
        return "mail"
    if start[:1].isalpha() and not start.startswith(b"WEBVTT") and not name.lower().endswith(PAGES):
        return "text"  # most texts
    if _SUBTITLES.match(start):
        return "subtitles"
    if name.lower().endswith(NOTEBOOK) and start.lstrip().startswith(b"{"):
        return "notebook"
    if is_html(start, name):
        return "html"
    return "xml" if _XML.match(start) else "text"


def is_mail(start: bytes, name: str) -> bool:
    """Whether it begins with the headers of a mail; without the suffix .eml, some that mail programs write."""
    start = start.removeprefix(b"\xef\xbb\xbf")
    if _HEADER.match(start) is None:
        return False
    names: set[bytes] = set()
    for line in io.BytesIO(start):
        if not line.strip(b"\r\n"):
            break
        if names and line[0] in b" \t":
            continue
        header = _HEADER.match(line)
        if header is None:
            return False
        names.add(header[1].lower())
    return bool(names & _USUAL) if name.lower().endswith(".eml") else b"from" in names and bool(names & _SENT)


def _zip_kind(content: Path | bytes, start: bytes) -> str | None:
    if start[26:30] == b"\x08\0\0\0" and start[30:38] == b"mimetype":  # stored, as OpenDocument and EPUB have it
        mime = start[38:100]
        for kind, own in _MIMES.items():
            if mime.startswith(own):
                return kind
    names = set(zip_names(content, start))
    return next((kind for kind, main in _MAIN_PARTS.items() if main in names), None)


def zip_names(content: Path | bytes, start: bytes) -> list[str]:
    """Return the names in a zip file; empty if it is not a readable zip file."""
    if not start.startswith(_ZIP):
        return []
    try:
        with open_zip(content) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return []


def _ole_kind(content: Path | bytes, start: bytes) -> str | None:
    """Return the kind of a compound file by the names in its directory, or in the first part of it."""
    shift, first = int.from_bytes(start[30:32], "little"), int.from_bytes(start[48:52], "little")
    at = (first + 1) << min(shift, 12)
    if isinstance(content, bytes):
        directory = content[at : at + OLE_DIRECTORY]
    else:
        with content.open("rb") as stream:
            stream.seek(min(at, 1 << 40))
            directory = stream.read(OLE_DIRECTORY)
    names = set(_root_names(directory))
    return next((kind for name, kind in _STREAMS if any(own.startswith(name) for own in names)), None)


def _root_names(directory: bytes) -> Iterator[bytes]:
    """Yield the names of the streams that are not inside a storage; those are embedded objects."""
    entries = [directory[at : at + 128] for at in range(0, len(directory) - 127, 128)]
    stack, seen = [int.from_bytes(entry[76:80], "little") for entry in entries[:1]], {0}
    while stack:
        number = stack.pop()
        if number in seen or number >= len(entries):
            continue
        seen.add(number)
        entry = entries[number]
        yield entry[: max(0, int.from_bytes(entry[64:66], "little") - 2)]
        stack += int.from_bytes(entry[68:72], "little"), int.from_bytes(entry[72:76], "little")


@contextmanager
def open_zip(content: Path | bytes | IO[bytes], limit: int = MAX_DIRECTORY) -> Iterator[zipfile.ZipFile]:
    """Open a zip file: a path, bytes or a stream. Raises BadZipFile if its directory is larger than `limit` bytes."""
    with _ZipStream(content, limit) as stream, zipfile.ZipFile(cast(IO[bytes], stream)) as archive:
        stream.limit = -1
        yield archive


class _ZipStream(io.BufferedIOBase):
    """A file that limits the size of a read: zipfile reads the directory in one piece when it opens a file."""

    def __init__(self, content: Path | bytes | IO[bytes], limit: int) -> None:
        self.limit = limit
        self.stream: IO[bytes]
        if isinstance(content, bytes):
            self.stream = io.BytesIO(content)
        else:
            self.stream = content.open("rb") if isinstance(content, Path) else content

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > self.limit >= 0:
            raise zipfile.BadZipFile(f"a directory of {size:,} bytes, more than {self.limit:,}")
        return self.stream.read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.stream.seek(offset, whence)

    def tell(self) -> int:
        return self.stream.tell()

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self.stream.close()
        super().close()
