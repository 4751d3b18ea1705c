"""Extract the text of PDF with PDFium. Runs in a worker."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from typing import Any

from hashret.errors import need
from hashret.worker.frames import Refused

pdfium = need("pypdfium2", "documents", "reading PDF")

MAX_VALUE = 1 << 20  # bytes of the value of a form field or of a comment

_HYPHEN = "\x02"  # PDFium's sign for a hyphen at the end of a line
_BROKEN = re.compile(r"(\w*[^\W\d_A-Z])(-|\u00ad)[ \t]*\n[ \t]*([^\W\d_]\w*)")
_WORD = re.compile(r"\w+(?:-\w+)*")
_KEPT = ("well", "self")  # first parts of many words that are written with a hyphen
_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})
_UNREADABLE = re.compile(r"[\x00-\x08\x0e-\x1f\ufffd\ufffe\uffff]+")


def text(raw: bytes) -> tuple[Any, bytes]:
    """Return numbers, and the text of all pages as UTF-8. Values of form fields and comments follow the text of a page.

    The numbers are "pages", those that are "damaged" or "blank" or have "unreadable" characters, "attachments", and 1
    for "refused" if PDFium cannot open the file.
    """
    counts = dict.fromkeys(("pages", "damaged", "blank", "unreadable", "attachments", "refused"), 0)
    try:
        document = pdfium.PdfDocument(raw)
    except pdfium.PdfiumError as error:
        if "password" in str(error).lower():
            raise Refused("protected by a password") from error
        return counts | {"refused": 1}, b""
    document.init_forms()
    counts["attachments"] = document.count_attachments()
    found = []
    for number in range(len(document)):
        counts["pages"] += 1
        try:
            page = document[number]
            own = page.get_textpage().get_text_bounded().replace("\r\n", "\n").replace(_HYPHEN, "-\n")
        except pdfium.PdfiumError:
            counts["damaged"] += 1
            continue
        counts["unreadable"] += _UNREADABLE.search(own) is not None
        own = _UNREADABLE.sub(" ", own.translate(_LIGATURES)).strip()
        own = "\n".join(filter(None, [own, *_annotations(document, page)]))
        counts["blank"] += not own
        found.append(own)
        page.close()
    return counts, mended("\n\n".join(filter(None, found))).encode("utf-8", "replace")


def _annotations(document: Any, page: Any) -> Iterator[str]:
    """Yield the values of the form fields of a page, and its comments."""
    api = pdfium.raw
    fields = (api.FPDF_FORMFIELD_TEXTFIELD, api.FPDF_FORMFIELD_COMBOBOX, api.FPDF_FORMFIELD_LISTBOX)
    for number in range(api.FPDFPage_GetAnnotCount(page)):
        annotation = api.FPDFPage_GetAnnot(page, number)
        kind = api.FPDFAnnot_GetSubtype(annotation)
        value = ""
        if kind == api.FPDF_ANNOT_WIDGET and document.formenv:
            if api.FPDFAnnot_GetFormFieldType(document.formenv, annotation) in fields:
                value = _value(api.FPDFAnnot_GetFormFieldValue, document.formenv, annotation)
        elif kind not in (api.FPDF_ANNOT_WIDGET, api.FPDF_ANNOT_LINK, api.FPDF_ANNOT_POPUP):
            value = _value(api.FPDFAnnot_GetStringValue, annotation, b"Contents")
        api.FPDFPage_CloseAnnot(annotation)
        if value := value.replace("\r\n", "\n").replace("\r", "\n").strip("\0 \n"):
            yield value


def _value(function: Any, *arguments: Any) -> str:
    """Call a function of PDFium that fills a buffer with UTF-16."""
    size = min(function(*arguments, None, 0), MAX_VALUE)
    buffer = (ctypes.c_ushort * (size // 2))()
    function(*arguments, buffer, size)
    return bytes(buffer).decode("utf-16-le", "replace").rstrip("\0")


def mended(text: str) -> str:
    """Join words that a line end breaks: "exam-", "ined". A hyphen that belongs to the word stays.

    It belongs to the word if the text has the word with a hyphen elsewhere, or has both parts as words but not both
    together, or if the second part begins with a capital letter.
    """
    words = set(_WORD.findall(_BROKEN.sub(" ", text).lower()))

    def join(found: re.Match[str]) -> str:
        first, mark, second = found.groups()
        one, other = first.lower(), second.lower()
        whole, parted = one + other in words, f"{one}-{other}" in words
        if mark == "-" and (
            second[0].isupper() or parted or (not whole and (one in _KEPT or (one in words and other in words)))
        ):
            return f"{first}-{second}"
        return first + second

    return _BROKEN.sub(join, text)
