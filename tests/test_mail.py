"""Mails: body, headers, encodings and attachments."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

from hashret.readers.mail import Mail, read_mail
from hashret.readers.skip_report import SkipReport
from hashret.worker import Unreadable


def read(raw: bytes | str) -> Mail:
    return read_mail(raw.encode() if isinstance(raw, str) else raw, SkipReport())


def multipart(kind: str, *parts: str) -> str:
    joined = "".join(f"--edge\n{part}\n" for part in parts)
    return f"Subject: harvest\nContent-Type: multipart/{kind}; boundary=edge\n\n{joined}--edge--\n"


PLAIN = "Content-Type: text/plain\n\nwheat was dear"
HTML = "Content-Type: text/html\n\n<p>Dear all,<br>wheat was <b>dear</b></p>"


def test_headers_are_metadata_and_the_subject_is_the_title() -> None:
    mail = read(
        "From: =?utf-8?q?J=C3=B6rg?= <a@example.org>\nTo: b@example.org,\n c@example.org\n"
        "Date: Mon, 5 Jan 2026 10:00:00 +0100\nSubject: =?utf-8?b?44GT?=\n =?utf-8?b?44KT?= and more\n"
        "X-Other: no\n\nwheat\n"
    )
    assert mail.text == "wheat"
    assert mail.metadata == {
        "title": "こん and more",
        "from": "Jörg <a@example.org>",
        "to": "b@example.org, c@example.org",
        "date": "2026-01-05T10:00:00+01:00",
    }


def test_a_date_that_is_none_stays_as_it_is() -> None:
    assert read("Date: yesterday\n\nx").metadata == {"date": "yesterday"}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (multipart("alternative", PLAIN, HTML), "wheat was dear"),
        (multipart("alternative", "Content-Type: text/plain\n\n \n", HTML), "Dear all,\nwheat was dear"),
        (multipart("mixed", PLAIN, HTML), "wheat was dear\nDear all,\nwheat was dear"),
        (multipart("related", HTML, "Content-Type: image/png\n\nx"), "Dear all,\nwheat was dear"),
        ("Subject: s\nContent-Transfer-Encoding: base64\n\nd2hlYXQ=\n", "wheat"),
        ("Subject: s\nContent-Transfer-Encoding: quoted-printable\n\nwhe=\nat\n", "wheat"),
        ("Subject: s\r\n\r\none\r\ntwo\r\n", "one\ntwo"),
    ],
)
def test_the_text_of_a_mail(raw: str, text: str) -> None:
    assert read(raw).text == text


@pytest.mark.parametrize(
    ("charset", "stored"),
    [
        ("iso-8859-2", "iso-8859-2"),
        ("x-nope", "cp1252"),
        ("us-ascii", "cp1252"),
        ("utf-8", "utf-8"),
        ("utf-7", "utf-7"),
    ],
)
def test_a_declared_encoding_counts_and_an_unknown_one_is_guessed(charset: str, stored: str) -> None:
    text = "Grüße aus Köln"
    raw = f"Subject: s\nContent-Type: text/plain; charset={charset}\n\n".encode() + text.encode(stored)
    assert read(raw).text == text


def test_headers_without_an_encoding_are_read_like_the_text() -> None:
    mail = "Subject: niños\nContent-Type: text/plain; charset=iso-8859-1\n\nel año".encode("cp1252")
    assert (read(mail).metadata["title"], read(mail).text) == ("niños", "el año")
    assert read("Subject: Köln am Rhein\n\nGrüße aus Köln".encode("cp1252")).metadata["title"] == "Köln am Rhein"


def test_attachments_have_names_and_bytes() -> None:
    inner = EmailMessage()
    inner["Subject"] = "inner"
    inner.set_content("inner text")
    mail = EmailMessage()
    mail["Subject"] = "outer"
    mail.set_content("see the files")
    mail.add_attachment(b"\0\1", maintype="application", subtype="octet-stream", filename="Grüße.bin")
    mail.add_attachment(inner)
    found = read(mail.as_bytes())
    assert found.text == "see the files"
    assert [(own.name, own.type) for own in found.attachments] == [
        ("Grüße.bin", "application/octet-stream"),
        ("", "message/rfc822"),
    ]
    assert found.attachments[0].raw == b"\0\1"
    assert read(found.attachments[1].raw).text == "inner text"


@pytest.mark.parametrize("raw", [multipart("mixed", *[PLAIN] * 1100), multipart("mixed").replace("edge", "e" * 70)])
def test_too_many_parts_and_none(raw: str) -> None:
    if "wheat" in raw:
        with pytest.raises(Unreadable, match="more than 1000 parts"):
            read(raw)
    else:
        assert read(raw).text == ""


@pytest.mark.parametrize("header", ["=?utf-8?b?!!!!=?=", "=?x-nope?q?=FC?=", "=?utf-8?q?" * 5000, "\0", "=?a?b?"])
def test_headers_that_break_the_rules(header: str) -> None:
    assert read(f"Subject: {header}\n\nwheat").text == "wheat"


def test_mails_nested_without_end_are_refused() -> None:
    raw = "".join(f"Content-Type: multipart/mixed; boundary={n}\n\n--{n}\n" for n in range(3000))
    with pytest.raises(Unreadable):
        read(raw)
