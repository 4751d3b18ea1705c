"""Find the encoding of a text.

A byte order mark decides, then a declaration in the text (`<meta charset>`, an XML declaration, a coding line), then
whether the bytes are UTF-8, then chardet. ASCII is never guessed at. A few bytes that are not UTF-8 do not make a text
another encoding.

A short text often fits several encodings, and chardet only counts letters. So its candidates are weighed by the words
that they give: a word of Latin and Cyrillic letters, or with a symbol between two letters, is improbable. What is still
unsure can be settled by other texts of the same folder, see `settled`.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

DECLARED_BYTES = 4096  # bytes at the start of a text that may declare its encoding
GUESS_BYTES = 1 << 20  # bytes that are guessed from
SURE = 24  # bytes that are not ASCII; a guess from fewer is unsure
WORDS = 300  # words that a guess is weighed by
STRAY = 0.1  # largest number of bytes that are not UTF-8, for each character of several bytes in UTF-8

_MARKS = (  # UTF-32 before UTF-16, because its mark starts with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARATIONS = (
    re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{2,40})""", re.IGNORECASE),
    re.compile(rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{2,40})""", re.IGNORECASE),
    re.compile(rb"""^(?:[^\n]*\n)?[ \t]*(?:#|//|;|%|--|"|/\*).{0,80}?coding[:=][ \t]*([\w.-]{2,40})"""),
)
_MEANT = {  # what programs write under these names, as in the WHATWG's Encoding Standard
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "tis-620": "cp874",
    "iso8859-11": "cp874",
}
_KNOWN = re.compile(
    r"cp\d+|iso8859-\d+|koi8-[rtu]|mac-\w+|gb18030|big5\w*|euc_\w+|shift_jis\w*|iso2022_\w+|johab|utf-8"
)
_ESCAPES = re.compile(rb"\x1b\$[@B]|\x1b\([BJ]|\x1b\$\([A-D]")  # of ISO-2022-JP, which is ASCII otherwise
_WORD = re.compile(r"\S+")
_SCRIPTS = ((0x250, "Latin"), (0x370, ""), (0x400, "Greek"), (0x530, "Cyrillic"), (0x590, ""), (0x600, "Hebrew"))
_INNER = frozenset("’‐·‑–—")  # signs that may stand inside a word


@dataclass(frozen=True, slots=True)
class Encoding:
    """The name of an encoding for Python, and how it was found."""

    name: str
    guessed: bool = False
    sure: bool = True


def encoding_of(text: bytes, *, complete: bool, given: str | None = None) -> Encoding:
    """Return the encoding of a text, or of its first bytes; without `complete`, the end may cut a character.

    `given` takes the place of a guess. If ASCII is different in it, as in UTF-16, it is the encoding of every text
    without a byte order mark.
    """
    for mark, name in _MARKS:
        if text.startswith(mark):
            return Encoding(name)
    if given is not None and is_wide(given):
        return Encoding(given)
    if text.isascii() and not escapes(text):
        return Encoding("utf-8")
    if (own := declared(text, complete=complete)) is not None:
        return Encoding(own)
    if not text.isascii() and is_utf8(text, complete=complete):
        return Encoding("utf-8")
    return guess(text) if given is None else Encoding(given)


def is_wide(name: str) -> bool:
    """Whether ASCII characters have other bytes in an encoding, or bytes of ASCII mean other characters."""
    return "Az+~".encode(name, "ignore") != b"Az+~" or codecs.lookup(name).name.startswith(("iso2022", "hz", "utf-7"))


def escapes(text: bytes) -> bool:
    """Whether a text has escape sequences of ISO-2022-JP, an encoding in ASCII bytes."""
    return b"\x1b" in text and _ESCAPES.search(text) is not None


def declared(text: bytes, *, complete: bool) -> str | None:
    """Return the encoding that a text declares, or None if there is none, it is unknown, or the text is not in it."""
    start = text[:DECLARED_BYTES]
    for declaration in _DECLARATIONS:
        if found := declaration.search(start):
            name = known(found[1].decode())
            return name if name is not None and fits(text, name, complete=complete) else None
    return None


def fits(text: bytes, name: str, *, complete: bool = True) -> bool:
    """Whether all bytes of a text are in an encoding; without `complete`, the end may cut a character."""
    try:
        codecs.getincrementaldecoder(name)().decode(text, final=complete)
    except UnicodeError:
        return False
    return True


def known(name: str) -> str | None:
    """Return the Python name of an encoding of texts that are mostly ASCII, or None if it is unknown."""
    try:
        found = codecs.lookup(name.strip()).name
    except (LookupError, ValueError):  # a name with a zero byte
        return None
    found = _MEANT.get(found, found)
    return found if _KNOWN.fullmatch(found) else None


def is_utf8(text: bytes, *, complete: bool) -> bool:
    """Whether a text is UTF-8, apart from a few stray bytes."""
    decoded = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(text, final=complete)
    stray = sum("\udc80" <= char <= "\udcff" for char in decoded if char > "\x7f")
    if not stray:
        return True
    characters = sum(char > "\x7f" for char in decoded) - stray
    return stray <= STRAY * characters


def guess(text: bytes) -> Encoding:
    """Return the most probable encoding of a text that is neither ASCII nor UTF-8."""
    return _guess(_sample(text))


def settled(texts: Iterable[bytes]) -> str | None:
    """Return the most probable encoding of several texts together, or None if they are too short as well."""
    found = _guess(b"\n".join(map(_sample, texts))[:GUESS_BYTES])
    return found.name if found.sure else None


def better(text: bytes, guessed: str, others: str) -> str:
    """Return the encoding of the other texts, if it fits a text at least as well as the guessed one."""
    try:
        decoded = text.decode(others)
    except UnicodeDecodeError:
        return guessed
    return others if improbable(decoded) <= improbable(text.decode(guessed, "replace")) else guessed


def _guess(sample: bytes) -> Encoding:
    import chardet

    high = len(sample) - len(sample.translate(None, bytes(range(128, 256))))
    best, name = -1.0, "cp1252"
    era = chardet.EncodingEra.MODERN_WEB | chardet.EncodingEra.LEGACY_ISO
    found = chardet.detect_all(sample, encoding_era=era, ignore_threshold=True, max_bytes=GUESS_BYTES)
    for candidate in sorted(found, key=lambda own: -own["confidence"]):
        if candidate["encoding"] is None or candidate["confidence"] <= best:
            continue
        try:
            own = codecs.lookup(candidate["encoding"]).name
            decoded = sample.decode(own)
        except (LookupError, UnicodeDecodeError):
            continue
        score = candidate["confidence"] * (1 - improbable(decoded))
        if score > best:
            best, name = score, _MEANT.get(own, own)
    if sample.decode(name, "replace") == sample.decode("cp1252", "replace"):
        name = "cp1252"  # the most common of those that agree
    return Encoding(name, True, high >= SURE or escapes(sample))


def _sample(text: bytes) -> bytes:
    """Return the lines of a long text that have other characters than ASCII, of at most GUESS_BYTES together."""
    if len(text) <= GUESS_BYTES:
        return text
    lines = [line for line in text.splitlines(keepends=True) if not line.isascii()]
    return b"".join(lines)[:GUESS_BYTES].rpartition(b"\n")[0] or text[:GUESS_BYTES]


def improbable(text: str) -> float:
    """Return the share of words with letters of two scripts, or with a symbol or a control character inside."""
    words = [word for word in _WORD.findall(text) if not word.isascii()][:WORDS]
    return sum(map(_is_improbable, words)) / max(1, len(words))


def _is_improbable(word: str) -> bool:
    scripts = {script for char in word if char.isalpha() and (script := _script(char))}
    if len(scripts) > 1:
        return True
    for before, char, after in zip(word, word[1:], word[2:], strict=False):
        if char.isascii() or not (_script(before) and before.isalpha() and _script(after) and after.isalpha()):
            continue
        kind = unicodedata.category(char)
        if kind[0] in "SCN" or (kind[0] == "P" and char not in _INNER):
            return True
        if kind == "Lu" and before.islower() and after.islower():
            return True
    return any(unicodedata.category(char) == "Cc" for char in word)


def _script(char: str) -> str:
    """Return the alphabet of a letter, or "" for a script that is not one of these."""
    code = ord(char)
    return next((name for stop, name in _SCRIPTS if code < stop), "")
