"""Decode bytes to text: gzip, encodings and lines, shared by all sources that read text."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, AnyStr

from hashret.errors import DataError
from hashret.readers import compressed, encodings
from hashret.readers.base import shown
from hashret.readers.skip_report import SkipReport
from hashret.readers.spool import Spool

HEAD_BYTES = 65536  # bytes read to detect a format
MAX_LINE = 16 * 2**20  # bytes; a longer line is a mistake or an attack
MAX_BLANK = 10**6  # consecutive blank lines
_WIDE = ("utf-7", "utf-16", "utf-16le", "utf-16be", "hz-gb-2312")  # read if they are declared in a mail, never guessed
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\b\x1b"))
# largest shares of control characters in text: random bytes have about 10 % and are not UTF-8; the worst of 18,846
# newsgroup posts has 7 %
_CONTROL_SHARE, _CONTROL_SHARE_UTF8 = 0.02, 0.2


def raw_head(path: Path | Spool) -> bytes:
    """Return the first bytes of a file without unpacking it; empty if it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(HEAD_BYTES)
    except OSError:
        return b""


def head(path: Path | Spool) -> bytes:
    """Return the first bytes of a file, unpacked if it is compressed; empty if it cannot be read."""
    return compressed.unpacked_start(raw_head(path), HEAD_BYTES)


@contextmanager
def reading(path: Path | Spool) -> Iterator[None]:
    """Convert errors of reading a file to a DataError with the reason."""
    try:
        yield
    except EOFError:
        raise DataError(f"{shown(path)} is cut short: its compressed data end too early; download it again") from None
    except compressed.ERRORS as error:
        raise DataError(f"{shown(path)} is damaged ({error}); download it again") from error
    except OSError as error:
        raise DataError(f"cannot read {shown(path)}: {error.strerror or ' '.join(str(error).split())}") from error


def open_bytes(path: Path | Spool) -> IO[bytes]:
    """Open a file for reading bytes, unpacked if it is compressed."""
    stream = path.open("rb")
    name = compressed.format_of(stream.read(compressed.LONGEST))
    stream.seek(0)
    return stream if name is None else compressed.unpacked(stream, name)


def looks_like_text(start: bytes, encoding: str | None = None) -> bool:
    """Whether the first bytes of a file look like text in any encoding, or in one in which ASCII is different."""
    if encoding is not None and encodings.is_wide(encoding):
        decoded = codecs.getincrementaldecoder(encoding)("replace").decode(start)
        return bool(decoded) and decoded.count("\ufffd") + decoded.count("\0") <= _CONTROL_SHARE * len(decoded)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)):
        return True
    if not start or b"\0" in start:
        return False
    share = 1 - len(start.translate(None, _CONTROL)) / len(start)
    return share <= _CONTROL_SHARE or (share <= _CONTROL_SHARE_UTF8 and _utf8_error(start, complete=False) is None)


def decode(
    raw: bytes, skips: SkipReport, settle: Callable[[], str | None] = lambda: None, encoding: str | None = None
) -> str:
    """Return the text of a file. Reports to `skips` what was guessed, and bytes that are not in the encoding.

    settle: returns the encoding of the other texts, or None; it is called if a guess from this text alone is unsure.
    encoding: takes the place of a guess.
    """
    name = chosen(raw, skips, settle, encoding)
    try:
        return raw.decode(name)
    except UnicodeDecodeError:
        skips.note(f"files with bytes that are not {name.removesuffix('-sig')}, replaced by U+FFFD")
        return raw.decode(name, "replace")


def chosen(raw: bytes, skips: SkipReport, settle: Callable[[], str | None], encoding: str | None) -> str:
    """Return the name of the encoding of a text, for `decode`."""
    found = encodings.encoding_of(raw, complete=True, given=encoding)
    name = found.name
    if not found.sure and (others := settle()) is not None:
        name = encodings.better(raw, name, others)
    if found.guessed:
        skips.note(f"files read as {name}, which was guessed")
    return name


def decode_declared(raw: bytes, charset: str | None) -> str | None:
    """Return the text in an encoding that is declared beside it; None if that is unknown or does not fit."""
    name = None if charset is None else encodings.known(charset)
    if charset is not None and name is None and charset.lower() in _WIDE:
        name = charset
    for own in (name, "utf-8"):
        try:
            if own is not None:
                return raw.decode(own)
        except UnicodeDecodeError:
            pass
    return None


def encoding_of(start: bytes, *, complete: bool, given: str | None = None) -> str:
    """Return the name of the encoding of the first bytes of a file; `given` takes the place of a guess."""
    return encodings.encoding_of(start, complete=complete, given=given).name


def lines(path: Path | Spool, skips: SkipReport, given: str | None = None) -> Iterator[str]:
    """Yield the lines of a text file, plain or gzip, with line ends. `given`: the encoding, in place of a guess.

    Raises DataError for a line of more than MAX_LINE bytes or more than MAX_BLANK consecutive blank lines.
    """
    start = head(path)
    encoding = encoding_of(start, complete=False, given=given)
    with reading(path), open_bytes(path) as stream:
        if encodings.is_wide(encoding):
            yield from _wide_lines(path, stream, encoding)
            return
        each = _bounded(path, _line_reader(stream, start))
        if encoding == "utf-8-sig":
            each = chain([next(each)[len(codecs.BOM_UTF8) :]], each)
        yield from _decoded_lines(each, skips, given)


def _line_reader(stream: IO[bytes], start: bytes) -> Callable[[int], bytes]:
    """Return `readline` of a stream. If the start has carriage returns alone, as on old Macs, they end its lines."""
    if b"\n" in start or b"\r" not in start:
        return stream.readline
    each = _returned_lines(stream)
    return lambda size: next(each, b"")


def _returned_lines(stream: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while raw := stream.read(HEAD_BYTES):
        *found, rest = (rest + raw).split(b"\r")
        yield from (line + b"\r" for line in found)
        if len(rest) > MAX_LINE:
            yield rest
            rest = b""
    if rest:
        yield rest


def _decoded_lines(each: Iterator[bytes], skips: SkipReport, given: str | None) -> Iterator[str]:
    """Decode lines as UTF-8 until one is not; then choose the encoding by the lines that follow."""
    characters = 0
    for line in each:
        try:
            text = line.decode()
        except UnicodeDecodeError:
            text = ""
        if (line and not text) or encodings.escapes(line):
            if characters >= 1 / encodings.STRAY:  # the text is UTF-8, and this line is damaged
                yield _line(line, "utf-8", skips)
                continue
            ahead = _ahead(line, each)
            other = [own for own in ahead if not own.isascii() or encodings.escapes(own)]
            found = encodings.encoding_of(b"".join(other), complete=True, given=given)
            if found.guessed:
                skips.note(f"files read as {found.name}, which was guessed")
            yield from (_line(own, found.name, skips) for own in chain(ahead, each))
            return
        characters += 0 if line.isascii() else sum(char > "\x7f" for char in text)
        yield text


def _ahead(line: bytes, each: Iterator[bytes]) -> list[bytes]:
    """Return a line and those that follow it, of about GUESS_BYTES together."""
    kept, size = [line], len(line)
    while size < encodings.GUESS_BYTES and (line := next(each, b"")):
        kept.append(line)
        size += len(line)
    return kept


def _line(line: bytes, encoding: str, skips: SkipReport) -> str:
    """Decode a line; bytes that are not in the encoding are replaced and reported."""
    try:
        return line.decode(encoding)
    except UnicodeDecodeError:
        skips.note(f"lines with bytes that are not {encoding}, replaced by U+FFFD")
        return line.decode(encoding, "replace")


def _wide_lines(path: Path | Spool, stream: IO[bytes], encoding: str) -> Iterator[str]:
    """Yield lines in UTF-16 or UTF-32, where a line end is more than one byte."""
    with io.TextIOWrapper(stream, encoding, errors="replace", newline="") as reader:
        yield from _bounded(path, reader.readline)


def _bounded(path: Path | Spool, readline: Callable[[int], AnyStr]) -> Iterator[AnyStr]:
    """Yield lines. Raises DataError for one that is too long, and for too many blank ones."""
    number = blank = 0
    while line := readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise _too_long(path, number)
        blank = blank + 1 if line.isspace() else 0
        if blank > MAX_BLANK:
            raise _too_blank(path, number)
        yield line


def _too_long(path: Path | Spool, number: int) -> DataError:
    return DataError(f"{shown(path)}, line {number}: longer than {MAX_LINE} bytes; write one document per line")


def _too_blank(path: Path | Spool, number: int) -> DataError:
    return DataError(f"{shown(path)}, line {number}: more than {MAX_BLANK:,} empty lines in a row")


def _utf8_error(sample: bytes, *, complete: bool) -> int | None:
    """Return the offset of the first byte that is not UTF-8; without `complete`, the end may cut a character."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=complete)
    except UnicodeDecodeError as error:
        return error.start
    return None
