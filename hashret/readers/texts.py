"""Source of a folder of texts: plain text, HTML, mails, PDF and office files, detected by content."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import IO, ClassVar

from hashret.readers import encodings
from hashret.readers.archives import container_kind, entries
from hashret.readers.decode import HEAD_BYTES, looks_like_text, raw_head
from hashret.readers.extract import extract
from hashret.readers.folder import Folder, Found, Read, majority, walk
from hashret.readers.magic import kind_of
from hashret.readers.skip_report import Skip, SkipReport

SURVEYED_TEXTS = 500  # files of a folder that settle an unsure encoding
RECORDS = (".jsonl", ".ndjson", ".csv", ".tsv")  # suffixes of files that hold many documents
MAX_BYTES = 256 * 2**20  # larger files are skipped, because a file is read in one piece


class Texts(Folder):
    """One text per file; the encoding is detected, and HTML tags are removed."""

    name: ClassVar[str] = "texts"
    summary: ClassVar[str] = (
        "a folder at any depth, one document per file: text, HTML, mail (EML), notebooks, OpenDocument; the entries of "
        "zip, tar and mbox files; with the extra `documents` also PDF, Word, Excel, PowerPoint, EPUB, RTF, mail of "
        "Outlook (MSG), subtitles, and the entries of feeds (RSS, Atom) and BibTeX"
    )
    holds: ClassVar[str] = "text"
    settings: ClassVar[frozenset[str]] = frozenset({"encoding"})
    _encoding: tuple[str | None] | None = None  # what `_settled` found

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether a folder or container has at least as many texts as images, or it is HTML, a mail or a document."""
        container = container_kind(path) if path.is_file() else None
        if path.is_dir() or (container is not None and container.has_names):
            return majority(path) == "text"
        if container is not None:
            return any(kind_of(own.raw, own.raw[:HEAD_BYTES], path.stem) not in (None, "text") for own in entries(path))
        return kind_of(path, raw_head(path), path.name) not in (None, "text")

    def content(self, found: Found, start: bytes, stream: IO[bytes], skips: SkipReport) -> Read:
        """Return the text of a file, and its title and other metadata if it has them."""
        if found.bytes > MAX_BYTES:
            raise Skip(f"larger than {MAX_BYTES} bytes", named=True)
        kind = self._kind(found.place, start, os.path.basename(found.place))  # noqa: PTH119
        raw = start + stream.read(MAX_BYTES) if len(start) == HEAD_BYTES else start
        return self._extracted(raw, kind, found, skips)

    def entry(self, raw: bytes, found: Found, skips: SkipReport) -> Read:
        """Return the text of an entry of a container, as `content` does."""
        return self._extracted(raw, self._kind(raw, raw[:HEAD_BYTES], found.path.name), found, skips)

    def _extracted(self, raw: bytes, kind: str, found: Found, skips: SkipReport) -> Read:
        if found.id.endswith(RECORDS):
            skips.note("files of records, each read as one text; read them by themselves for a document per record")
        text, metadata = extract(raw, kind, found.id, skips, self._settled, self.fields.encoding)
        if not text.strip() and found.id not in self._empty:
            raise Skip("no words")
        return text, metadata

    def _kind(self, content: str | bytes, start: bytes, name: str) -> str:
        """Return the kind of a text. Raises Skip if it is none."""
        kind = kind_of(content, start, name) if start else "text"
        if kind is None and looks_like_text(start, self.fields.encoding):
            return "text"
        if kind is None:
            raise Skip("not text")
        return kind

    def _settled(self) -> str | None:
        """Return the encoding of the texts of this folder that are neither ASCII nor UTF-8, or None if it is unsure."""
        if self._encoding is None:
            kept: list[bytes] = []
            for found in islice(walk(self.path, SkipReport(), self.left_out), SURVEYED_TEXTS):
                start = raw_head(found.path)
                if kind_of(found.path, start, found.path.name) not in ("text", "html", "xml"):
                    continue
                if encodings.encoding_of(start, complete=found.bytes <= HEAD_BYTES).guessed:
                    kept.append(start)
            self._encoding = (encodings.settled(kept),)
        return self._encoding[0]
