"""A server of a few small indexes, in this process or as one of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hashret.documents import Document
from hashret.index import Index

from .conftest import make_images, make_texts, make_vectors

TOKEN = "token-of-the-tests"
HOSTILE = '<img src=x onerror="window.ran=1">&amp;"\'</td><script>window.ran=1</script>'
"""An id, label and text that would run in a page that does not escape."""


def make_indexes(folder: Path) -> dict[str, str]:
    """Three small indexes by name: texts, images, vectors."""
    texts = [
        *make_texts(),
        Document(HOSTILE, f"{HOSTILE} zebra and harbour", (HOSTILE,), {HOSTILE: HOSTILE}),
        Document("a/b?c#d", "a zebra in a folder", ("odd",)),
        Document("..", "zebra with dots", ("odd",)),
        Document("a%2Fb", "zebra with a per cent sign", ("odd",)),
    ]
    kinds = {"texts": texts, "images": make_images()[:60], "vectors": make_vectors()[:60]}
    for name, documents in kinds.items():
        Index.create(folder / name, documents, bits=32, encoder="itq").close()
    return {name: str(folder / name) for name in kinds}


def png(size: int = 8, seed: int = 0) -> bytes:
    """A small image."""
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (size, size), np.uint8)).save(out, "PNG")
    return out.getvalue()


@contextmanager
def running(arguments: Sequence[object], wait: float = 60) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`hashret serve` as a process of its own; yields its address. It is stopped at the end."""
    command = [sys.executable, "-c", "from hashret.cli import main; main()", "serve", "--port", "0"]
    process = subprocess.Popen(
        [*command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        began, line = time.monotonic(), ""
        while not (found := re.search(r" at (http://\S+/);", line)):
            assert time.monotonic() - began < wait
            line = process.stdout.readline()
            assert line, "the server ended"
        yield found[1], process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
