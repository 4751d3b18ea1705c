"""What several test modules need: marks for systems, a small PDF, and the output of a process on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from hashret.documents import Document
from hashret.features import CSRMatrix, Floats


def posix_only(what: str) -> pytest.MarkDecorator:
    """Skips a test on Windows, which lacks these things of POSIX."""
    return pytest.mark.skipif(os.name != "posix", reason=f"{what} of POSIX")


def linux_only(why: str) -> pytest.MarkDecorator:
    """Skips a test on Windows and macOS."""
    return pytest.mark.skipif(sys.platform != "linux", reason=why)


def dense(features: Floats | CSRMatrix) -> Floats:
    """The features of documents that are not sparse."""
    assert isinstance(features, np.ndarray)
    return features


def array_of(document: Document) -> np.ndarray:
    """The content of a document that is a vector or an image."""
    assert isinstance(document.content, np.ndarray)
    return document.content


def make_pdf(content: bytes, filters: bytes = b"", kids: bytes = b"3 0 R") -> bytes:
    """A PDF of one page, by default, with this content stream."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count 1 >>" % kids,
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), filters, content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    rows = b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + b"xref\n0 6\n0000000000 65535 f \n%strailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (
        rows,
        len(out),
    )


def read_terminal(master: int) -> Iterator[bytes]:
    """Yield the output of a process to the terminal until it closes the other end."""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # as Linux reports that the other end is closed
            return
        if not part:
            return
        yield part
