"""Read damaged files of all formats for a time; only HashretError may be raised, and one bad file must not end a run.

    python scripts/soak_readers.py [--seconds N] [--seed N]

Each round changes some bytes of a sound file, or of one file inside it if it is a zip file, and reads it by itself and
in a folder beside a sound file, within limits of time and memory. Figures are appended to docs/figures/readers.jsonl;
docs/limits.md ends with them. A file that fails is kept beside them.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import logging
import lzma
import os
import random
import resource
import signal
import sys
import tarfile
import tempfile
import time
import zipfile
from collections import Counter
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

import h5py
import numpy as np
import pyarrow
import pyarrow.parquet
from PIL import Image

import hashret
from figures import Run, add_run, read_runs
from hashret import HashretError
from soak_store import mutated
from tests import office

DOCS = Path(__file__).parent.parent / "docs"
RUNS, PAGE = DOCS / "figures" / "readers.jsonl", DOCS / "limits.md"
SECONDS, BYTES = 60, 2 << 30  # that one file may take, and how much more memory than before


class Sound(NamedTuple):
    """A file that can be read."""

    name: str
    raw: bytes


def samples() -> list[Sound]:
    """A sound file of each format."""
    record = {"id": "a", "text": "one two", "label": ["x"], "n": {"deep": [1, [2]]}}
    rows = (json.dumps(record) + '\n{"title": "t", "text": "b"}\n').encode()
    page = "<html><head><meta charset=utf-8><title>t</title><body><p>Grüße &amp; <b>wheat</b></p><script>x</script>"
    texts = {
        "a.jsonl": rows,
        "b.jsonl.gz": gzip.compress(rows),
        "c.json": json.dumps([record, record | {"id": "b"}]).encode(),
        "d.csv": b'id,text,label\n1,"a, b",x\n2,c,y\n',
        "e.tsv": b"id\ttext\n1\ta b\n",
        "f.txt": "Grüße, 世界 and more".encode(),
        "g.txt": "el año y los niños".encode("cp1252"),
        "h.html": page.encode(),
        "i.eml": _mail(),
        "j-images-idx3-ubyte": b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (2, 4, 4)) + bytes(32),
    }
    containers = {
        "k.zip": office.packed({"a.txt": "one two", "b/c.html": page, "d.zip": office.packed({"e.txt": "three"})}),
        "l.tar.gz": _tar({"a.txt": b"one two", "b.eml": _mail()}),
        "m.mbox": b"From a@example.org Mon Jan  5 10:00:00 2026\n" + _mail() + b"\n",
        "n.txt.xz": lzma.compress(b"one two three"),
        "o.rss": b"<rss version='2.0'><channel><item><guid>1</guid><title>one</title></item></channel></rss>",
        "p.bib": b'@article{a, title = {Gr{\\"o}sse}, year = 1950}\n@book{b, title = {two}}\n',
        "q.ipynb": b'{"cells": [{"cell_type": "code", "source": ["n = 1"]}], "nbformat": 4}',
        "r.srt": b"1\n00:00:01,000 --> 00:00:02,000\n<i>one</i>\n\n2\n00:00:03,000 --> 00:00:04,000\ntwo\n",
        "s.xml": b"<?xml version='1.0' encoding='iso-8859-1'?><doc><p>one</p><![CDATA[two]]></doc>",
    }
    documents = {
        "docx": office.docx(office.paragraphs("R&D", "second") + "<w:tbl><w:tr><w:tc/></w:tr></w:tbl>"),
        "pptx": office.pptx(["first", "second"], notes="notes"),
        "xlsx": office.xlsx({"A": [["name", "007"]], "B": [["x"]]}, hidden=["B"]),
        "odt": office.opendocument("text", "<text:p>R&amp;D</text:p>"),
        "odp": office.opendocument("presentation", "<draw:page><text:p>R&amp;D</text:p></draw:page>"),
        "epub": office.epub({"a": "one<br/>two", "b": "three"}, ["b", "a"]),
        "rtf": office.rtf("Grüße\nmore"),
        "pdf": office.pdf(office.lines("exam-", "ined"), office.lines("second")),
        "doc": office.doc("Grüße\rsecond"),
        "xls": office.xls([["a", "b"]], hidden="c"),
        "msg": office.msg("subject", "body", {"a.txt": b"attached", "b.docx": office.docx(office.paragraphs("in"))}),
    }
    found = {
        **texts,
        **containers,
        **{f"document.{kind}": raw for kind, raw in documents.items()},
        **_images(),
        **_arrays(),
    }
    return [Sound(name, raw) for name, raw in found.items()]


def _mail() -> bytes:
    mail, inner = EmailMessage(), EmailMessage()
    inner["Subject"] = "inner"
    inner.set_content("inner text")
    mail["From"], mail["Subject"], mail["Date"] = "Jörg <a@example.org>", "Köln", "Mon, 5 Jan 2026 10:00:00 +0100"
    mail.set_content("Grüße aus Köln")
    mail.add_alternative("<p>Grüße<br>aus", subtype="html")
    mail.add_attachment(b"attached", maintype="text", subtype="plain", filename="ü.txt")
    mail.add_attachment(inner)
    return mail.as_bytes()


def _tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, raw in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(raw)
            archive.addfile(entry, io.BytesIO(raw))
    return out.getvalue()


def _images() -> dict[str, bytes]:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)
    found = {}
    for format in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "ICO", "AVIF"):
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, format)
        found[f"image.{format.lower()}"] = out.getvalue()
    for name, deep in {"grey16.png": np.uint16, "float.tiff": np.float32}.items():
        out = io.BytesIO()
        Image.fromarray(pixels[..., 0].astype(deep)).save(out, name.partition(".")[2].upper())
        found[name] = out.getvalue()
    return found


def _arrays() -> dict[str, bytes]:
    npy, npz, hdf5, parquet = io.BytesIO(), io.BytesIO(), io.BytesIO(), io.BytesIO()
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.save(npy, x)
    np.savez(npz, x=x, y=np.arange(4))
    with h5py.File(hdf5, "w") as file:
        file["x"], file["y"] = x, np.arange(4)
    table = pyarrow.table({"id": ["a", "b"], "text": ["one two", "three"], "n": [{"deep": [1]}, None]})
    pyarrow.parquet.write_table(table, parquet)
    arrow = io.BytesIO()
    with pyarrow.ipc.new_file(arrow, table.schema) as writer:
        writer.write_table(table)
    names = {"x.npy": npy, "x.npz": npz, "x.h5": hdf5, "x.parquet": parquet, "x.arrow": arrow}
    return {name: own.getvalue() for name, own in names.items()}


def damaged(raw: bytes, chance: random.Random) -> bytes:
    """Change some bytes, for a zip file often those of one file inside it."""
    if not raw.startswith(b"PK") or chance.random() < 0.3:
        return mutated(raw, chance)
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    chosen = chance.choice(list(files))
    return office.packed(files | {chosen: mutated(files[chosen], chance)}, first_stored="mimetype" in files)


def read(path: Path) -> int:
    """Read all documents, and decode the images; return how many there are, or raise HashretError."""
    from hashret.images import load

    count = 0
    for document in hashret.read(path):
        count += 1
        if isinstance(document.content, Path):
            load(document.content)
    return count


def soak(folder: Path, seconds: float, seed: int, kept: Path) -> dict[str, Any]:
    """Read damaged files until the time is over; return how many, and how many of these were refused."""
    chance, cases = random.Random(seed), samples()
    sound = {sound.name: sound.raw for sound in cases}
    tries, refused = Counter[str](), Counter[str]()
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError("it takes too long")))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        name = chance.choice(list(sound))
        raw = damaged(sound[name], chance)
        path = folder / name
        path.write_bytes(raw)
        is_image = name.startswith(("image.", "grey16", "float"))
        beside = folder / ("0.png" if is_image else "0.txt")
        beside.write_bytes(sound["image.png"] if is_image else b"sound")
        signal.alarm(SECONDS)
        try:
            tries[name] += 1
            try:
                read(path)
            except HashretError:
                refused[name] += 1
            texts = [document.id for document in hashret.read(folder, source="images" if is_image else "texts")]
            assert beside.name in texts, "a sound file beside it was not read"
        except BaseException:
            kept.write_bytes(raw)
            print(f"{name}: reading these bytes, kept in {kept}, fails (seed {seed})", flush=True)
            raise
        finally:
            signal.alarm(0)
            path.unlink()
            beside.unlink()
    return {"formats": len(tries), "files": tries.total(), "refused": refused.total()}


def summary(runs: list[Run]) -> str:
    """The end of the page."""
    files, refused = (sum(run[name] for run in runs) for name in ("files", "refused"))
    minutes = sum(run["seconds"] for run in runs) / 60
    formats = max(run["formats"] for run in runs)
    return (
        "## Damaged files\n\n"
        f"`scripts/soak_readers.py` changed some bytes of files of {formats} formats and read {files:,} of them in "
        f"{minutes:.0f} minutes. {refused:,} were refused with a reason, the others were read. No other exception came "
        f"out, no file took more than {SECONDS} seconds, and a sound file in the same folder was always read."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    chosen = parser.parse_args()
    logging.disable()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, resource.RLIM_INFINITY))
    with tempfile.TemporaryDirectory() as folder:
        found = soak(Path(folder), chosen.seconds, chosen.seed, RUNS.parent / "failing.bin")
    add_run(RUNS, {**found, "seconds": round(chosen.seconds), "seed": chosen.seed, "cores": os.cpu_count()})
    before = PAGE.read_text("utf-8").partition("## Damaged files\n")[0]
    PAGE.write_text(f"{before.rstrip()}\n\n{summary(read_runs(RUNS))}\n", "utf-8")


if __name__ == "__main__":
    main()
