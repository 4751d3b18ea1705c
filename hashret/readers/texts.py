"""Source of a folder of texts: plain text, HTML, mails, PDF and office files, detected by content."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from hashret.documents import Content
from hashret.readers import encodings
from hashret.readers.decode import HEAD_BYTES, looks_like_text, raw_head
from hashret.readers.extract import extract
from hashret.readers.folder import Folder, Found, majority, walk
from hashret.readers.magic import kind_of
from hashret.readers.skip_report import Skip, SkipReport

SURVEYED_TEXTS = 500  # files of a folder that settle an unsure encoding
MAX_BYTES = 256 * 2**20  # larger files are skipped, because a file is read in one piece


class Texts(Folder):
    """One text per file; the encoding is detected, and HTML tags are removed."""

    name: ClassVar[str] = "texts"
    summary: ClassVar[str] = (
        "a folder at any depth, one document per file: text, HTML, mail (EML); with the extra `documents` also PDF, "
        "Word, Excel, PowerPoint, OpenDocument, EPUB, RTF and mail of Outlook (MSG)"
    )
    holds: ClassVar[str] = "text"
    settings: ClassVar[frozenset[str]] = frozenset({"encoding"})
    _encoding: tuple[str | None] | None = None  # what `_settled` found

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the folder has at least as many texts as images, or the file is HTML, a mail or a document."""
        if path.is_dir():
            return majority(path) == "text"
        return kind_of(path, raw_head(path), path.name) not in (None, "text")

    def content(self, found: Found, skips: SkipReport) -> tuple[Content, Mapping[str, Any]]:
        """Return the text of a file, and its title and other metadata if it has them."""
        if found.bytes > MAX_BYTES:
            raise Skip(f"larger than {MAX_BYTES} bytes", named=True)
        with found.path.open("rb") as stream:
            start = stream.read(HEAD_BYTES)
            kind = self._kind(found, start)
            if kind is None:
                raise Skip("not text")
            raw = start + stream.read(MAX_BYTES) if len(start) == HEAD_BYTES else start
        text, metadata = extract(raw, kind, found.id, skips, self._settled, self.fields.encoding)
        if not text.strip() and found.id not in self._empty:
            raise Skip("no words")
        return text, metadata

    def _kind(self, found: Found, start: bytes) -> str | None:
        if not start:
            return "text"
        kind = kind_of(found.path, start, found.path.name)
        return "text" if kind is None and looks_like_text(start, self.fields.encoding) else kind

    def _settled(self) -> str | None:
        """Return the encoding of the texts of this folder that are neither ASCII nor UTF-8, or None if it is unsure."""
        if self._encoding is None:
            kept: list[bytes] = []
            for found in islice(walk(self.path, SkipReport(), self.left_out), SURVEYED_TEXTS):
                start = raw_head(found.path)
                if kind_of(found.path, start, found.path.name) not in ("text", "html"):
                    continue
                if encodings.encoding_of(start, complete=found.bytes <= HEAD_BYTES).guessed:
                    kept.append(start)
            self._encoding = (encodings.settled(kept),)
        return self._encoding[0]
