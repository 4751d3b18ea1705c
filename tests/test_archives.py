"""Containers as sources: zip, tar and mbox, compressed files, and containers inside of containers."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hashret
from hashret.errors import DataError
from hashret.index import Index
from hashret.readers import archives, read

Files = list[tuple[str, bytes]]

MBOX = (
    b"From a@b Mon Jan  1 10:00:00 2024\nFrom: a@b\nTo: c@d\nSubject: First\nMessage-ID: <one@x>\n\n"
    b"Wheat was dear.\n\nFrom here the road goes north.\n>From quoted\n\n"
    b"From a@b Mon Jan  1 11:00:00 2024\nFrom: a@b\nSubject: Second\nMessage-ID: <one@x>\n\nRye\n\n"
    b"From a@b Mon Jan  1 12:00:00 2024\nFrom: a@b\nSubject: Third\n\nBarley\n"
)


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, raw in files:
            archive.writestr(zipfile.ZipInfo(name), raw, method)
    return packed.getvalue()


def tarred(files: Files, links: tuple[str, ...] = (), encoding: str = "utf-8") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", encoding=encoding, format=tarfile.GNU_FORMAT) as archive:
        for name, raw in files:
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
        for name in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.LNKTYPE, "../secret.txt"
            archive.addfile(info)
    return packed.getvalue()


def texts_of(path: Path) -> dict[str, str]:
    return {document.id: str(document.content) for document in read(path)}


PACKERS: dict[str, Callable[[Files], bytes]] = {
    "a.zip": zipped,
    "a.tar": tarred,
    "a.tar.gz": lambda files: gzip.compress(tarred(files)),
    "a.tgz": lambda files: gzip.compress(tarred(files)),
    "a.tar.bz2": lambda files: bz2.compress(tarred(files)),
    "a.tar.xz": lambda files: lzma.compress(tarred(files)),
    "a": zipped,
}


@pytest.mark.parametrize("name", PACKERS)
def test_entries_are_documents(tmp_path: Path, name: str) -> None:
    page = b"<html><body><p>Rye &amp; barley</p></body></html>"
    files = [("wheat.txt", b"Wheat was dear."), ("sub/Grüße.html", page), ("x.bin", b"\0\1")]
    (tmp_path / name).write_bytes(PACKERS[name](files))
    wanted = {f"{name}!/wheat.txt": "Wheat was dear.", f"{name}!/sub/Grüße.html": "Rye & barley"}
    assert texts_of(tmp_path / name) == wanted
    assert texts_of(tmp_path) == wanted


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gzip", "bzip2", "xz"])
def test_a_compressed_file_keeps_its_name(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / "a.html.z").write_bytes(pack(b"<html><p>Wheat</p></html>"))
    (tmp_path / "b.txt").write_text("Rye")
    assert texts_of(tmp_path) == {"a.html.z": "Wheat", "b.txt": "Rye"}


def test_zstandard(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    (tmp_path / "a.txt.zst").write_bytes(zstandard.compress(b"Wheat") + zstandard.compress(b" and rye"))
    (tmp_path / "b.tar.zst").write_bytes(zstandard.compress(tarred([("c.txt", b"Barley")])))
    (tmp_path / "d.zst").write_bytes(zstandard.compress(b"Oats" * 100)[:15])
    assert texts_of(tmp_path) == {"a.txt.zst": "Wheat and rye", "b.tar.zst!/c.txt": "Barley"}


def test_containers_inside_of_containers(tmp_path: Path) -> None:
    inner = zipped([("deep/x.txt", b"Wheat"), ("y.txt.gz", gzip.compress(b"Rye"))])
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(tarred([("b.zip", inner), ("c.mbox", MBOX)])))
    found = texts_of(tmp_path)
    assert found["a.tar.gz!/b.zip!/deep/x.txt"] == "Wheat"
    assert found["a.tar.gz!/b.zip!/y.txt.gz"] == "Rye"
    assert found["a.tar.gz!/c.mbox!/3"] == "Third\nBarley"


def test_a_word_file_is_no_container(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(zipped([("[Content_Types].xml", b"<x/>"), ("word/document.xml", b"<x/>")]))
    assert archives.container_kind(tmp_path / "a.docx") is None


def test_messages_of_an_mbox(tmp_path: Path) -> None:
    (tmp_path / "inbox").write_bytes(MBOX)
    found = texts_of(tmp_path / "inbox")
    assert found == {
        "inbox!/one@x": "First\nWheat was dear.\n\nFrom here the road goes north.\nFrom quoted",
        "inbox!/one@x#2": "Second\nRye",
        "inbox!/3": "Third\nBarley",
    }


def test_names_that_are_there_twice_or_not_utf8(tmp_path: Path) -> None:
    word = "収穫の記録.txt"
    raw = zipped([("xxxxxxxxxxxxxx", b"Harvest"), ("n.txt", b"A"), ("m.txt", b"B"), ("k.txt", b"C")])
    raw = raw.replace(b"xxxxxxxxxxxxxx", word.encode("shift_jis")).replace(b"m.txt", b"n.txt")
    (tmp_path / "a.zip").write_bytes(raw)
    assert texts_of(tmp_path) == {
        f"a.zip!/{word}": "Harvest",
        "a.zip!/n.txt": "A",
        "a.zip!/n.txt#2": "B",
        "a.zip!/k.txt": "C",
    }
    (tmp_path / "a.zip").unlink()
    (tmp_path / "b.tar").write_bytes(tarred([("ber\xfchmte B\xe4ume.txt", b"Oak")], encoding="latin-1"))
    [id] = texts_of(tmp_path)
    assert id.isprintable()
    assert id.startswith("b.tar!/ber")


def test_what_cannot_be_read_is_named_with_its_path(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    locked = bytearray(zipped([("secret.txt", b"x" * 20), ("open.txt", b"Wheat")], zipfile.ZIP_STORED))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(mark) + place] |= 1
    (tmp_path / "a.tar").write_bytes(tarred([("in.zip", bytes(locked))], links=("evil",)))
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04 none")
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"cut" * 1000)[:30])
    assert texts_of(tmp_path) == {"a.tar!/in.zip!/open.txt": "Wheat"}
    for reason in (
        "a.tar!/in.zip!/secret.txt (it is encrypted)",
        "a.tar!/evil (it is a link)",
        "b.zip (",
        "c.txt.gz (it is cut short)",
    ):
        assert reason in caplog.text
    with pytest.raises(DataError, match=r"cannot read .*secret\.txt: it is encrypted"):
        list(read(tmp_path, strict=True))


class TestLimits:
    def test_depth(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        raw = zipped([("x.txt", b"Wheat")])
        for number in range(9):
            raw = zipped([(f"{number}.zip", raw), (f"{number}.txt", b"Rye")])
        (tmp_path / "a.zip").write_bytes(raw)
        assert len(texts_of(tmp_path)) == archives.MAX_DEPTH + 1
        assert "it is nested deeper than 5 containers" in caplog.text

    def test_bytes_of_an_entry_and_of_all(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(archives, "MAX_ENTRY", 1000)
        monkeypatch.setattr(archives, "MAX_TOTAL", 5000)
        monkeypatch.setattr(archives, "MAX_RATIO", 0)
        (tmp_path / "a.zip").write_bytes(zipped([("long.txt", b"x" * 1001), ("short.txt", b"Wheat")]))
        assert texts_of(tmp_path) == {"a.zip!/short.txt": "Wheat"}
        assert "a.zip!/long.txt (it is longer than 1,000 bytes)" in caplog.text
        inner = [(f"{n}.zip", zipped([("x.txt", b"y" * 900)])) for n in range(9)]
        (tmp_path / "b.zip").write_bytes(zipped(inner))
        assert len(texts_of(tmp_path)) < 7
        assert "b.zip (more bytes come out of it than are allowed; unpack it yourself)" in caplog.text

    def test_a_size_that_is_not_true(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        raw = zipped([("a.txt", b"x" * 5_000_000)])
        (tmp_path / "a.zip").write_bytes(raw.replace((5_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
        (tmp_path / "b.txt").write_text("Rye")
        assert texts_of(tmp_path) == {"b.txt": "Rye"}
        assert "a.zip!/a.txt (" in caplog.text

    def test_entries(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        monkeypatch.setattr(archives, "MAX_ENTRIES", 3)
        (tmp_path / "a.tar").write_bytes(tarred([(f"{n}.txt", b"Wheat") for n in range(9)]))
        assert len(texts_of(tmp_path)) == 3
        assert "a.tar (it has more than 3 entries; unpack it yourself)" in caplog.text


def test_images_of_a_container(tmp_path: Path) -> None:
    files = []
    for name, value in (("cats/a.png", 10), ("dogs/b.png", 200)):
        packed = io.BytesIO()
        Image.fromarray(np.full((8, 9, 3), value, np.uint8)).save(packed, "png")
        files.append((name, packed.getvalue()))
    (tmp_path / "photos.zip").write_bytes(zipped(files))
    source = read(tmp_path / "photos.zip", label="folder")
    assert source.name == "images"
    found = list(source)
    assert [(document.id, document.labels) for document in found] == [
        ("photos.zip!/cats/a.png", ("cats",)),
        ("photos.zip!/dogs/b.png", ("dogs",)),
    ]
    assert np.asarray(found[1].content).shape == (8, 9, 3)
    with Index.create(tmp_path / "index", source, encoder="lsh", bits=16) as index:
        assert index.search(found[1].content, k=1)[0].id == "photos.zip!/dogs/b.png"


class TestChanges:
    """`add` with `replace` and `prune` takes up single entries of a container that changed."""

    TEXTS = (
        "wheat was dear that year",
        "rye grew by the river",
        "barley was sold at the market",
        "oats for the horses",
    )

    def build(self, tmp_path: Path) -> tuple[Path, Path]:
        source = tmp_path / "source"
        source.mkdir()
        files = [(f"{n}.txt", text.encode()) for n, text in enumerate(self.TEXTS)]
        (source / "a.zip").write_bytes(zipped(files[:2]))
        (source / "b.tar.gz").write_bytes(gzip.compress(tarred(files[2:])))
        (source / "c!").mkdir()
        (source / "c!" / "d.txt").write_text("a mark in the name of a folder")
        Index.create(tmp_path / "index", source, encoder="lsh", bits=16).close()
        return source, tmp_path / "index"

    def test_nothing_changed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder, path = self.build(tmp_path)
        source = read(folder)
        monkeypatch.setattr("hashret.readers.folder.entries", None)  # no container is read
        with Index.open(path) as index:
            assert index.add(source, replace=True, prune=True) == 0
            assert len(index) == 5

    def test_an_entry_that_is_new_changed_or_gone(self, tmp_path: Path) -> None:
        source, path = self.build(tmp_path)
        (source / "a.zip").write_bytes(zipped([("1.txt", b"rye failed that year"), ("9.txt", b"a new entry")]))
        with Index.open(path) as index:
            index.add(source, replace=True)
            assert index["a.zip!/1.txt"].content == "rye failed that year"
            assert "a.zip!/9.txt" in index
            assert "a.zip!/0.txt" in index
        (source / "a.zip").write_bytes(zipped([("1.txt", b"rye failed that year, too")]))
        with Index.open(path) as index:
            index.add(source, replace=True, prune=True)
            assert sorted(index.ids) == ["a.zip!/1.txt", "b.tar.gz!/2.txt", "b.tar.gz!/3.txt", "c!/d.txt"]

    def test_a_container_that_is_gone(self, tmp_path: Path) -> None:
        source, path = self.build(tmp_path)
        (source / "b.tar.gz").unlink()
        with Index.open(path) as index:
            index.add(source, skip=True, prune=True)
            assert sorted(index.ids) == ["a.zip!/0.txt", "a.zip!/1.txt", "c!/d.txt"]

    def test_several_folders(self, tmp_path: Path) -> None:
        source, _ = self.build(tmp_path)
        other = tmp_path / "other"
        other.mkdir()
        (other / "z.zip").write_bytes(zipped([("1.txt", b"one more"), ("2.txt", b"and another")]))
        with Index.create(tmp_path / "both", hashret.read(source, other), encoder="lsh", bits=16) as index:
            (other / "z.zip").write_bytes(zipped([("2.txt", b"and another one")]))
            assert index.add(hashret.read(source, other), replace=True, prune=True) == 1
            assert "other/z.zip!/1.txt" not in index
            assert index["other/z.zip!/2.txt"].content == "and another one"


def test_workers_read_the_same(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in "ab":
        files = [(f"{n}.txt", f"wheat {name} {n} and rye {n * n}".encode()) for n in range(30)]
        (source / f"{name}.zip").write_bytes(zipped(files))
    (source / "c.txt").write_text("a text beside them")
    with (
        Index.create(tmp_path / "one", source, encoder="lsh", bits=16) as one,
        Index.create(tmp_path / "two", source, encoder="lsh", bits=16, workers=2) as two,
    ):
        assert one.ids == two.ids
        assert (one.codes == two.codes).all()


def test_a_maildir(tmp_path: Path) -> None:
    def mail(subject: str) -> bytes:
        return f"From: a@b\nMessage-ID: <{subject}@x>\nSubject: {subject}\n\nWheat {subject}\n".encode()

    source = tmp_path / "mail"
    for folder in ("", "/.Sent"):
        for part in ("cur", "new", "tmp"):
            Path(f"{source}{folder}/{part}").mkdir(parents=True)
    (source / "new" / "1.host").write_bytes(mail("one"))
    (source / "cur" / "2.host:2,S").write_bytes(mail("two"))
    (source / "tmp" / "3.host").write_bytes(mail("three"))
    (source / ".Sent" / "cur" / "4.host:2,").write_bytes(mail("four"))
    wanted = {".Sent!/4.host": "four\nWheat four", "2.host": "two\nWheat two", "1.host": "one\nWheat one"}
    assert texts_of(source) == wanted
    assert set(texts_of(tmp_path)) == {"mail/.Sent!/4.host", "mail!/2.host", "mail!/1.host"}
    with Index.create(tmp_path / "index", source, encoder="lsh", bits=16) as index:
        (source / "new" / "1.host").rename(source / "cur" / "1.host:2,RS")
        (source / "cur" / "2.host:2,S").unlink()
        assert index.add(source, replace=True, prune=True) == 0
        assert sorted(index.ids) == [".Sent!/4.host", "1.host"]
