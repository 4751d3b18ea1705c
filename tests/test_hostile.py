"""Files made to hang a reader or exhaust memory: each ends within seconds and limits, with one line or a result.

The files are created here and read in a separate process, whose CPU time and memory are measured including its
children.
"""

from __future__ import annotations

import gzip
import io
import json
import signal
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from typer.testing import CliRunner

from hashret.cli.app import app
from hashret.documents import Document
from hashret.errors import DataError
from hashret.index import Index
from hashret.readers import read
from hashret.tokens import tokens

from .office import docx, paragraphs, xlsx
from .samples import make_pdf, posix_only

FLATE = b"/Filter /FlateDecode"

SECONDS, MEMORY = 5, 300  # CPU time; MiB in addition to those for harmless files of the same kinds

# reads each path and its words; prints [path, seconds, MiB, number of documents or error line]
MEASURE = """
import json, logging, resource, sys, threading, time
import psutil, hashret
from hashret.tokens import tokens
logging.disable(50)
me, peak = psutil.Process(), 0
def everyone():
    return [me, *me.children(recursive=True)]
def sum_of(measure):
    total = 0
    for process in everyone():
        try:
            total += measure(process)
        except psutil.Error:
            pass
    return total
def memory(): return sum_of(lambda process: process.memory_info().rss)
def seconds():
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum_of(lambda process: sum(process.cpu_times()[:2])) + ended.ru_utime + ended.ru_stime
def watch():
    global peak
    while True:
        peak = max(peak, memory())
        time.sleep(.005)
def use(path):
    number = 0
    try:
        for document in hashret.read(path):
            number += 1
            for word in tokens(document.content) if isinstance(document.content, str) else ():
                pass
    except hashret.HashretError as error:
        return str(error)
    return number
harmless, bombs = json.loads(sys.argv[1])
for path in harmless:
    use(path)
usual = memory()
threading.Thread(target=watch, daemon=True).start()
for path in bombs:
    begun, peak = seconds(), 0
    found = use(path)
    spent = seconds() - begun
    time.sleep(.02)
    print(json.dumps([path, spent, (peak - usual) >> 20, found]), flush=True)
"""


def measured(folder: Path, harmless: list[str]) -> dict[str, int | str]:
    """What comes of each file of the folder, the harmless ones first; each checked to be in bounds and one line."""
    pytest.importorskip("resource", reason="measures with what Windows lacks")
    good = [str(folder / name) for name in harmless]
    bombs = [str(path) for path in sorted(folder.iterdir()) if path.name not in harmless]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, json.dumps([good, bombs])], capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr
    found = {}
    for line in done.stdout.splitlines():
        path, seconds, memory, what = json.loads(line)
        print(f"{Path(path).name}: {seconds:.1f} s, {memory} MiB, {str(what)[:150]}")
        assert seconds < SECONDS, path
        assert memory < MEMORY, path
        assert isinstance(what, int) or "\n" not in what
        found[Path(path).name] = what
    assert len(found) == len(bombs)
    return found


def packed(content: bytes) -> bytes:
    return gzip.compress(content, 1)


def expect(found: dict[str, int | str], wanted: dict[str, int | str]) -> None:
    """Compare results: a number is the number of documents, a text is part of the error line."""
    assert found.keys() == wanted.keys()
    for name, what in wanted.items():
        assert what == found[name] if isinstance(what, int) else what in str(found[name]), (name, found[name])


# Pages and texts


@pytest.mark.slow
def test_pages(tmp_path: Path) -> None:
    pages = {
        "a.html": "<p>harmless",
        "comments.txt": "<!---->" * 60 + "x",
        "open-tags.html": "<html>words<br>" + "<a " * 8000,
        "nested.html": "<html>" + "<div>" * 100_000 + "x",
        "attributes.html": "<html><a " + " ".join(f"b{number}" for number in range(20_000)) + ">x</a>",
        "end-tags.html": "<html>" + "<div>" * 20_000 + "</x>" * 50_000,
        "formats.html": "<html>" + "<b><i><u>" * 5000 + "<p>x</b>" * 5000,
        "less-than.html": "<html>x" + "<" * 300_000,
        "ampersands.html": "<html>" + "&" * 300_000,
        "marks.txt": "e" + "\u0301\u0334" * 40_000 + "\nx",
        "replaced.txt": "\ufffd" * 3_000_000,
        "spaces.txt": " " * 65_000 + "x",
        "list-of-spaces.txt": "[" + " " * 65_000 + "x",
    }
    for name, page in pages.items():
        (tmp_path / name).write_text(page)
    expect(
        measured(tmp_path, ["a.html"]),
        {
            "comments.txt": 1,
            "open-tags.html": 1,
            "nested.html": "nested.html (took more than 2.5 s of CPU time)",
            "attributes.html": 1,
            "end-tags.html": "no words",
            "formats.html": 1,
            "less-than.html": 1,
            "ampersands.html": 1,
            "marks.txt": 2,
            "replaced.txt": 1,
            "spaces.txt": 1,
            "list-of-spaces.txt": 1,
        },
    )


def test_inline_tags_nested_by_the_thousand_keep_their_words(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<html>" + "<span>" * 100_000 + "deep" + "</span>" * 100_000 + " end")
    (document,) = read(tmp_path / "a.html")
    assert document.content == "deep end"


def test_a_long_run_of_marks_is_cut_and_a_short_one_is_not() -> None:
    word = "e" + "\u0334\u0301" * 15
    assert list(tokens(f"{word} on")) == list(tokens(word + "\u0301" * 50_000 + " on"))
    assert list(tokens("\uff9e\u0334" * 20_000 + " on"))[-1] == "on"


# Office


CELL = "<w:tbl><w:tr><w:tc><w:tcPr>{}</w:tcPr>" + paragraphs("cell") + "</w:tc></w:tr></w:tbl>"


def test_pdf_and_word_files(tmp_path: Path) -> None:
    pytest.importorskip("xberg")
    files = {
        "a.docx": docx(CELL.format("")),
        "a.pdf": make_pdf(zlib.compress(b"BT /F1 12 Tf (words) Tj ET"), FLATE),
        "span.docx": docx(CELL.format('<w:gridSpan w:val="2000000000"/>')),
        "text.docx": docx(paragraphs("a" * 200_000_000)),
        "deep.docx": docx("<w:p>" * 500_000),
        "deep.xlsx": xlsx({"A": [["x"]]}, files={"docProps/app.xml": "<a>" * 50_000 + "</a>" * 50_000}),
        "box.pdf": make_pdf(b"BT (a) Tj ET").replace(b"[0 0 612 792]", b"[0 0 99999999999 792]"),
        "packed.pdf": make_pdf(zlib.compress(b" " * 200_000_000, 1), FLATE),
        "words.pdf": make_pdf(zlib.compress(b"BT /F1 12 Tf " + b"(a) Tj " * 3_000_000 + b"ET"), FLATE),
        "lists.pdf": make_pdf(b"[" * 100_000),
        "loop.pdf": make_pdf(b"", FLATE, kids=b"2 0 R 2 0 R"),
    }
    for name, raw in files.items():
        (tmp_path / name).write_bytes(raw)
    found = measured(tmp_path, ["a.docx", "a.pdf"])
    assert found["span.docx"] == 1
    assert "deep.xlsx (its parser crashed (signal" in str(found["deep.xlsx"])
    for name in ("text.docx", "deep.docx", "packed.pdf", "words.pdf", "lists.pdf", "loop.pdf"):
        assert "1 file" in str(found[name])


# Images


def of_scans(size: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    out = io.BytesIO()
    Image.new("RGB", (size, size), "red").save(out, "JPEG", progressive=True)
    whole = out.getvalue()[:-2]
    return whole + whole[whole.rindex(b"\xff\xda") :] * scans + b"\xff\xd9"


def save(path: Path, mode: str, width: int, height: int, **options: Any) -> None:
    Image.new(mode, (width, height)).save(path, **options)


@pytest.mark.slow
def test_images(tmp_path: Path) -> None:
    save(tmp_path / "a.webp", "RGB", 600, 600)
    (tmp_path / "scans.jpg").write_bytes(of_scans(4000, 2000))
    (tmp_path / "small-scans.jpg").write_bytes(of_scans(200, 2000))
    save(tmp_path / "rgb.png", "RGB", 10_000, 10_000, compress_level=1)
    save(tmp_path / "palette.png", "P", 8000, 8000, compress_level=1, transparency=0)
    save(tmp_path / "deep.png", "I;16", 8000, 8000, compress_level=1)
    save(tmp_path / "one-bit.tif", "1", 10_000, 10_000, compression="group4")
    save(tmp_path / "float.tif", "F", 7500, 7500, compression="tiff_lzw")
    save(tmp_path / "cmyk.jpg", "CMYK", 6000, 6000, progressive=True)
    texts = PngImagePlugin.PngInfo()
    for number in range(60):
        texts.add_text(f"text{number}", "a" * 1_000_000, zip=True)
    save(tmp_path / "texts.png", "L", 8, 8, pnginfo=texts)
    (tmp_path / "claim.ppm").write_bytes(b"P3 10000 10000 255\n1 1 1")
    found = measured(tmp_path, ["a.webp"])
    assert "rgb.png (needs 381 MiB of memory, more than" in str(found["rgb.png"])
    assert "claim.ppm (needs 381 MiB" in str(found["claim.ppm"])
    assert "scans.jpg (took more than" in str(found["scans.jpg"])
    assert [found[name] for name in ("one-bit.tif", "palette.png", "small-scans.jpg", "texts.png")] == [1, 1, 1, 1]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "I;16"])
def test_a_large_image_converted_in_strips_is_the_same(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from hashret.worker import image

    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 4), np.uint8), "RGBA").resize((1300, 1000))
    if mode == "I;16":
        large = Image.fromarray(np.asarray(coarse.convert("L")).astype(np.uint16) * 257)
    else:
        large = coarse.convert("RGB").convert(mode) if mode == "P" else coarse.convert(mode)
    out = io.BytesIO()
    large.save(out, "PNG", exif=Image.Exif() if mode == "P" else _turned())
    whole = image.shrunk(out.getvalue(), 256, 10**8, 10**9)
    monkeypatch.setattr(image, "AT_ONCE", 0)
    monkeypatch.setattr(image, "STRIP", 100_000)
    pieces = image.shrunk(out.getvalue(), 256, 10**8, 10**9)
    assert (pieces.size, pieces.mode) == (whole.size, whole.mode)
    difference = np.abs(np.asarray(whole, int) - np.asarray(pieces, int))
    assert difference.mean() < 3


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


# Records


def test_json_and_lines(tmp_path: Path) -> None:
    many = b'{"text": "a", "v": [' + b"[]," * 5_000_000 + b"1]}"
    files = {
        "a.jsonl": b'{"text": "harmless"}\n',
        "line.jsonl.gz": packed(b'{"text": "' + b"x" * 150_000_000 + b'"}'),
        "values.jsonl": many,
        "values.jsonl.gz": packed(many),
        "dicts.jsonl.gz": packed(b'{"text": "a", "v": [' + b'{"a":1},' * 1_900_000 + b"1]}"),
        "nested.jsonl": b'{"text": "a", "v": ' + b"[" * 500_000 + b"]" * 500_000 + b"}",
        "digits.jsonl": b'{"text": "a", "v": [' + b",".join([b"9" * 4299] * 3000) + b"]}",
        "escapes.jsonl": b'{"text": "' + b'\\"' * 5_000_000,
        "keys.jsonl": b'{"id": 1, ' + b",".join(b'"k%d":0' % number for number in range(300_000)) + b"}",
        "blank.jsonl.gz": packed(b'{"text": "a"}\n' + b" \n" * 50_000_000),
        "members.jsonl.gz": packed(b'{"text": "a"}\n') + packed(b"") * 100_000,
        "wide.jsonl.gz": packed(('{"text": "' + "x" * 40_000_000).encode("utf-16")),
        "commas.jsonl": b'{"text": "' + b"1," * 2_000_000 + b'"}',
    }
    for name, raw in files.items():
        (tmp_path / name).write_bytes(raw)
    expect(
        measured(tmp_path, ["a.jsonl"]),
        {
            "line.jsonl.gz": "line 1: longer than 16777216 bytes",
            "values.jsonl": "line 1: more than 1,000,000 values",
            "values.jsonl.gz": "line 1: more than 1,000,000 values",
            "dicts.jsonl.gz": "line 1: more than 1,000,000 values",
            "nested.jsonl": "line 1: nested deeper than 100 levels",
            "digits.jsonl": 1,
            "escapes.jsonl": "line 1: not JSON",
            "keys.jsonl": "it has id, k0, k1",
            "blank.jsonl.gz": "more than 1,000,000 empty lines in a row",
            "members.jsonl.gz": 1,
            "wide.jsonl.gz": "line 1: longer than 16777216 bytes",
            "commas.jsonl": 1,
        },
    )


def test_csv(tmp_path: Path) -> None:
    files = {
        "a.csv": b"id,text\n1,harmless\n",
        "fields.csv": b"id,text\n" + b"ab," * 5_000_000,
        "header.csv": b"ab," * 5_000_000 + b"\n1\n",
        "quote.csv.gz": packed(b'id,text\n1,"abc' + b"words of text\n" * 1_500_000),
        "quotes.csv.gz": packed(b"id,text\n1," + b'"words of text\n",' * 1_200_000),
        "quotes.tsv": b"id\ttext\n" + b'1\t"a\n' * 100_000,
        "blank.tsv": b'id\ttext\n1\t"a\n' + b"\n" * 2_000_000,
    }
    for name, raw in files.items():
        (tmp_path / name).write_bytes(raw)
    expect(
        measured(tmp_path, ["a.csv"]),
        {
            "fields.csv": "line 2 has more than 100,000 fields",
            "header.csv": "line 1 has more than 100,000 fields",
            "quote.csv.gz": "line 2 is longer than 16777216 characters; close the quote in it",
            "quotes.csv.gz": "line 2 is longer than 16777216 characters",
            "quotes.tsv": 100_000,
            "blank.tsv": "empty lines in a row",
        },
    )


def test_parquet(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    tables = {
        "a": {"text": ["harmless"]},
        "text": {"text": ["a" * 200_000_000]},
        "list": {"text": ["a"], "v": arrow.ListArray.from_arrays([0, 30_000_000], np.zeros(30_000_000, np.int64))},
        "rows": {"text": arrow.array(["a"]).take(arrow.array(np.zeros(10_000_000, np.int32)))},
    }
    for name, columns in tables.items():
        parquet.write_table(arrow.table(columns), tmp_path / name, compression="zstd")
    expect(
        measured(tmp_path, ["a"]),
        {
            "text": "took more than 192 MiB of memory",
            "list": "took more than 192 MiB of memory",
            "rows": "claims 10,000,000 rows but has almost no data",
        },
    )


# Arrays


def endless_hdf5(path: Path) -> None:
    """A file on which libhdf5 loops forever: the size of an object in its global heap is wrong."""
    with h5py.File(path, "w", libver="earliest") as file:
        file["x"] = np.ones((64, 4))
        file["ids"] = np.array([f"id{number}" for number in range(64)], object)
    raw = bytearray(path.read_bytes())
    struct.pack_into("<Q", raw, raw.index(b"id30") - 8, 1408)
    path.write_bytes(raw)


def directory(names: int) -> bytes:
    """A zip file that consists of a directory only."""
    entries = b"".join(
        b"PK\1\2" + struct.pack("<6H3I5H2I", 20, 20, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0) + b"%07d.npy" % number
        for number in range(names)
    )
    end = struct.pack("<4H2IH", 0, 0, 65535, 65535, len(entries), 30, 0)
    return b"PK\3\4" + b"\0" * 26 + entries + b"PK\5\6" + end


@pytest.mark.slow
def test_arrays(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.ones((3, 3))
    endless_hdf5(tmp_path / "endless.h5")
    with h5py.File(tmp_path / "chunk.h5", "w") as file:
        x = file.create_dataset("x", (40_000_000, 8), "u1", chunks=(40_000_000, 8), compression="gzip")
        x.id.write_direct_chunk((0, 0), zlib.compress(b"\0" * 320_000_000, 1))
    np.savez_compressed(tmp_path / "columns.npz", x=np.zeros((200_000, 160), "f4", order="F"))
    with zipfile.ZipFile(tmp_path / "header.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", 400_000_000) + b" " * 50_000_000)
    with zipfile.ZipFile(tmp_path / "lzma.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x.npy", b"")
    np.savez_compressed(tmp_path / "labels.npz", x=np.zeros((1000, 2)), y=np.zeros(1000, "S100000"))
    with zipfile.ZipFile(tmp_path / "many.npz", "w") as archive:
        for number in range(30_000):
            archive.writestr(f"{number}.npy", b"")
    (tmp_path / "names.npz").write_bytes(directory(500_000))
    idx = b"\0\0\x08\3" + struct.pack(">III", 1, 16_000, 10_000)
    (tmp_path / "images-idx3.gz").write_bytes(packed(idx + b"\0" * 1_000_000))
    expect(
        measured(tmp_path, ["a.h5"]),
        {
            "endless.h5": "s of CPU time",
            "chunk.h5": "cannot be read as HDF5",
            "columns.npz": "is in column-major order and would unpack to 128,000,000 bytes",
            "header.npz": "has a damaged header",
            "lzma.npz": "unsupported compression",
            "labels.npz": "has texts of 100000 bytes",
            "many.npz": "holds 30,000 arrays; allowed: at most 10,000",
            "names.npz": "has an unknown format",
            "images-idx3.gz": "claims images of 16000 x 10000",
        },
    )


# A run


def test_a_folder_with_bombs_reads_the_rest_and_names_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("xberg")
    caplog.set_level("WARNING", "hashret")
    for number in range(50):
        (tmp_path / f"{number}.txt").write_text(f"text {number}")
    deep = xlsx({"A": [["x"]]}, files={"docProps/app.xml": "<a>" * 50_000 + "</a>" * 50_000})
    (tmp_path / "bomb.xlsx").write_bytes(deep)
    (tmp_path / "cut.pdf").write_bytes(b"%PDF-1.7\n")
    source = read(tmp_path)
    begun = time.process_time()
    for _ in range(3):  # a file that exceeds the limits is tried only once
        assert len(list(source)) == 50
    assert time.process_time() - begun < 3
    (line,) = caplog.messages
    assert "skipped 2 files that cannot be read: bomb.xlsx (its parser crashed (signal " in line
    assert "), cut.pdf (" in line


def test_strict_stops_at_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.7\n")
    assert [document.id for document in read(tmp_path)] == ["a.txt"]
    with pytest.raises(DataError, match=r"cannot read .*b\.pdf: .*cross-reference"):
        list(read(tmp_path, strict=True))
    done = CliRunner().invoke(app, ["fit", str(tmp_path), "--hasher", str(tmp_path / "h"), "--strict"])
    assert done.exit_code == 1
    assert "b.pdf" in done.stderr


def test_a_query_with_a_file_that_cannot_be_read_exits_with_1(tmp_path: Path) -> None:
    texts = [Document(str(number), f"wheat {number} ship") for number in range(8)]
    Index.create(tmp_path / "index", texts, bits=8, encoder="lsh").close()
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7\n")
    done = CliRunner().invoke(app, ["query", "--file", str(tmp_path / "a.pdf"), "-i", str(tmp_path / "index")])
    assert done.exit_code == 1
    assert "cannot be read: a.pdf (" in done.stderr
    assert done.stderr.count("\n") == 1


def test_any_exception_of_a_reader_costs_one_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text(name)
    source = read(tmp_path)

    def content(found: Document, *_: object) -> tuple[str, dict[str, str]]:
        if found.id == "b.txt":
            raise ZeroDivisionError("by \x1b[31m zero")
        return "text", {}

    monkeypatch.setattr(source, "content", content)
    assert list(source) == [Document(d.id, "text", (), d.metadata) for d in source]
    assert "skipped 1 file that cannot be read: b.txt (ZeroDivisionError: by \\x1b[31m zero)" in caplog.text


@posix_only("signals")
def test_ctrl_c_ends_the_reading_of_an_endless_file_within_a_second(tmp_path: Path) -> None:
    endless_hdf5(tmp_path / "endless.h5")
    code = "import hashret, sys; print('reading', flush=True); list(hashret.read(sys.argv[1]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "endless.h5")], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(1)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert time.monotonic() - begun < 1
    assert errors.rstrip().endswith(b"KeyboardInterrupt")


@posix_only("signals")
def test_a_copy_of_standard_input_goes_with_a_killed_process(tmp_path: Path) -> None:
    code = """
import os, hashret
source = hashret.read("-")
assert len(list(source)) == len(list(source)) == 2
os.kill(os.getpid(), 9)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=b'{"text": "a"}\n{"text": "b"}\n',
        env={"TMPDIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []
