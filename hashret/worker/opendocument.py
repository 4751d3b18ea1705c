"""Extract the text of OpenDocument texts and presentations. Runs in a worker."""

from __future__ import annotations

import io
import re
import zipfile
from contextlib import suppress
from typing import Any
from xml.parsers import expat

from hashret.worker.frames import Refused

_NAMESPACE = re.compile(r".*:xmlns:|(?<=\w):1\.0(?= )")
_SPACES = re.compile(r"\s+")
_LINES = {"text:p", "text:h", "svg-compatible:title", "svg-compatible:desc"}
_ASIDE = {"text:note-body", "office:annotation", "drawing:text-box"}
_UNSEEN = {"text:tracked-changes", "text:note-citation", "text:ruby-text", "office:forms"}
_SIGNS = {"text:tab": "\t", "text:s": " ", "text:line-break": "\n"}


def text(raw: bytes, most: int) -> tuple[Any, bytes]:
    """Return the text of all paragraphs as UTF-8, a line each. Raises Refused if there are more than `most` bytes."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        if _is_locked(archive):
            raise Refused("protected by a password")
        if archive.getinfo("content.xml").file_size > most:
            raise Refused(f"unpacks to more than {most:,} bytes")
        with archive.open("content.xml") as stream:
            found = _Text().of(stream)
    return None, found.encode("utf-8", "replace")


def _is_locked(archive: zipfile.ZipFile) -> bool:
    with suppress(KeyError), archive.open("META-INF/manifest.xml") as stream:
        return b"encryption-data" in stream.read(1 << 20)
    return False


class _Text:
    """The handlers of a parser, which collect the text of paragraphs.

    Notes, comments and text boxes are inside of a paragraph, but follow it in the text.
    """

    def __init__(self) -> None:
        self.pieces: list[list[str]] = [[]]  # of the text, and of each note or text box that is open
        self.open = [0]  # paragraphs that are open in each of them
        self.aside: list[str] = []
        self.unseen = 0  # elements that are open in one that is left out

    def of(self, stream: Any) -> str:
        """Return the text of an XML file."""
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._characters
        parser.ParseFile(stream)
        rows = "".join(self.pieces[0]).split("\n")
        return "\n".join(filter(None, (row.strip() for row in rows)))

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = _short(name)
        if self.unseen or name in _UNSEEN:
            self.unseen += 1
        elif name in _ASIDE:
            self.pieces.append([])
            self.open.append(0)
        elif name in _LINES:
            self.pieces[-1].append("\n")
            self.open[-1] += 1
        elif name in _SIGNS:
            self.pieces[-1].append(_SIGNS[name])

    def _end(self, name: str) -> None:
        name = _short(name)
        if self.unseen:
            self.unseen -= 1
        elif name in _ASIDE:
            self.aside += self.pieces.pop()
            self.open.pop()
        elif name in _LINES:
            self.pieces[-1].append("\n")
            self.open[-1] -= 1
        if len(self.open) == 1 and not self.open[0]:
            self.pieces[0] += self.aside
            self.aside = []

    def _characters(self, text: str) -> None:
        if self.open[-1] and not self.unseen:
            self.pieces[-1].append(_SPACES.sub(" ", text))


def _short(name: str) -> str:
    """Return a name such as "text:p" for one with the address of its namespace."""
    return _NAMESPACE.sub("", name).replace(" ", ":", 1)
