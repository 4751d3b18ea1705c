"""Take a mail apart with the standard library. Runs in a worker, because parsing some headers takes quadratic time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import policy
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.utils import collapse_rfc2231_value
from typing import Any

from hashret.worker.frames import Refused

MAX_PARTS = 1000  # of a mail
MAX_HEADER = 8192  # characters; the rest of a header is ignored
HEADERS = ("subject", "from", "to", "cc", "date")
_FOLD = re.compile(r"\r?\n[ \t]?")


def parts(raw: bytes) -> tuple[Any, bytes]:
    """Return {"headers", "parts"} of a mail, and the bytes of its parts one after another.

    A header is a list of pieces: a text, whose surrogates stand for bytes in an undeclared encoding, or [base16 bytes,
    charset]. A part is {"body", "type", "charset", "name", "size"}; `body` says that it is shown as the mail's text,
    other parts are attachments. Of alternatives, the first plain text with words is the body, otherwise the HTML.
    """
    mail = BytesParser(policy=policy.compat32).parsebytes(raw)
    found: list[dict[str, Any]] = []
    payloads: list[bytes] = []
    for body, part in _leaves(mail):
        if len(found) == MAX_PARTS:
            raise Refused(f"has more than {MAX_PARTS} parts")
        payload = _payload(part)
        charset, name = part.get_param("charset"), part.get_filename()
        found.append(
            {
                "body": body,
                "type": part.get_content_type(),
                "charset": None if charset is None else collapse_rfc2231_value(charset),
                "name": _pieces(name or ""),
                "size": len(payload),
            }
        )
        payloads.append(payload)
    headers = {name: _pieces(str(value)) for name in HEADERS if (value := _first(mail, name))}
    return {"headers": headers, "parts": found}, b"".join(payloads)


def _first(mail: Message, name: str) -> str:
    """Return a header as it stands in the file; bytes that are not ASCII are surrogates."""
    return next((str(value) for own, value in mail.raw_items() if own.lower() == name), "")


def _leaves(mail: Message) -> Iterator[tuple[bool, Message]]:
    """Yield (whether it is text to be shown, part) for the parts of a mail in their order. Not recursive."""
    stack = [mail]
    while stack:
        part = stack.pop()
        kind = part.get_content_type()
        if kind.startswith("message/"):
            yield False, part
        elif kind == "multipart/alternative":
            stack += reversed(_chosen([own for own in _children(part) if not _is_attached(own)]))
            stack += (own for own in _children(part) if _is_attached(own))
        elif part.is_multipart():
            stack += reversed(_children(part))
        else:
            yield kind in ("text/plain", "text/html") and not _is_attached(part), part


def _children(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [own for own in payload if isinstance(own, Message)] if isinstance(payload, list) else []


def _chosen(alternatives: list[Message]) -> list[Message]:
    """Return one of several forms of the same text: plain if it has words, otherwise the last and best."""
    for part in alternatives:
        if part.get_content_type() == "text/plain" and _payload(part).strip():
            return [part]
    for part in reversed(alternatives):
        if part.is_multipart() or part.get_content_type() == "text/html":
            return [part]
    return alternatives[:1]


def _is_attached(part: Message) -> bool:
    return part.get_content_disposition() == "attachment" or bool(part.get_filename())


def _payload(part: Message) -> bytes:
    """Return the bytes of a part, decoded from base64 or quoted-printable; of an attached mail, the mail."""
    if part.is_multipart():
        return b"\r\n".join(own.as_bytes() for own in _children(part))
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _pieces(header: str) -> list[Any]:
    """Return the pieces of a header, with the encoded words of RFC 2047 as bytes and charset."""
    header = _FOLD.sub(" ", header)[:MAX_HEADER].strip()
    if "=?" not in header or any("\udc80" <= char <= "\udcff" for char in header):
        return [header]
    found: list[Any] = []
    for piece, charset in decode_header(header):
        if isinstance(piece, str):
            found.append(piece)
        elif charset is None:
            found.append(piece.decode("raw-unicode-escape", "replace"))
        else:
            found.append([piece.hex(), charset])
    return found
