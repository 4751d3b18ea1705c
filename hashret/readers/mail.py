"""Read a mail: its text, and its subject, sender, recipients and date as metadata."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from hashret import worker
from hashret.readers import encodings
from hashret.readers.decode import chosen, decode, decode_declared
from hashret.readers.page import text_of_page
from hashret.readers.skip_report import SkipReport

Settle = Callable[[], str | None]


class Attachment(NamedTuple):
    """A file in a mail."""

    name: str
    type: str  # such as application/pdf, as the mail says
    raw: bytes


class Mail(NamedTuple):
    """What a mail says. `metadata` has title (the subject), from, to, cc and date, those that there are."""

    text: str  # without the subject
    metadata: dict[str, Any]
    attachments: list[Attachment]


def read_mail(raw: bytes, skips: SkipReport, settle: Settle = lambda: None, encoding: str | None = None) -> Mail:
    """Return the parts of a mail, given as the bytes of its file.

    `skips`, `settle` and `encoding` are as for `decode`. Raises worker.Unreadable with the reason.
    """
    found, payloads = worker.call("hashret.worker.mail:parts", len(raw), raw)
    undeclared: list[bytes] = []  # what is in an unknown encoding is guessed together
    headers = {name: _pieces(pieces, undeclared) for name, pieces in found["headers"].items()}
    texts, attachments, end = [], [], 0
    for part in found["parts"]:
        start, end = end, end + part["size"]
        payload = payloads[start:end]
        if not part["body"]:
            attachments.append((_pieces(part["name"], undeclared), part["type"], payload))
            continue
        text = decode_declared(payload, part["charset"])
        if part["type"] == "text/html":
            text = text_of_page(
                decode(payload, skips, settle, encoding) if text is None or not part["charset"] else text
            )
        elif text is None:
            undeclared.append(payload)
        texts.append(payload if text is None else text)
    guess = ""
    if undeclared:
        charsets = [part["charset"] or "" for part in found["parts"] if part["body"]]
        together = b"\n".join(undeclared)
        guess = _declared(together, charsets) or chosen(together, skips, settle, encoding)
    return Mail(
        "\n".join(_stripped(_joined([text], guess)) for text in texts),
        _metadata({name: _one_line(_joined(pieces, guess)) for name, pieces in headers.items()}),
        [Attachment(_one_line(_joined(name, guess)), *others) for name, *others in attachments],
    )


def _declared(raw: bytes, charsets: list[str]) -> str | None:
    """Return the encoding of the body, if it fits other texts of the mail, which declare none."""
    names = filter(None, map(encodings.known, charsets))
    return next((name for name in names if encodings.fits(raw, name)), None)


def _pieces(header: list[Any], undeclared: list[bytes]) -> list[str | bytes]:
    """Return the pieces of a header as texts, or as bytes if they declare no encoding; adds these to `undeclared`."""
    found: list[str | bytes] = []
    for piece in header:
        raw, charset = (piece.encode("utf-8", "surrogateescape"), None) if isinstance(piece, str) else piece
        raw = bytes.fromhex(raw) if isinstance(raw, str) else raw
        text = decode_declared(raw, charset)
        if text is None:
            undeclared.append(raw)
        found.append(raw if text is None else text)
    return found


def _joined(pieces: list[str | bytes], guess: str) -> str:
    return "".join(piece if isinstance(piece, str) else piece.decode(guess, "replace") for piece in pieces)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _metadata(headers: dict[str, str]) -> dict[str, Any]:
    named = {"title": headers.get("subject"), **{name: headers.get(name) for name in ("from", "to", "cc")}}
    named["date"] = _date(headers.get("date", ""))
    return {name: value for name, value in named.items() if value}


def _date(header: str) -> str:
    """Return the date in ISO format, or as it stands if it is not a date."""
    try:
        return parsedate_to_datetime(header).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return header


def _stripped(text: str) -> str:
    """Return a text with \\n as line ends and without empty lines around it."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()
