"""Sources at addresses: s3://, memory://, file://, with wildcards."""

from __future__ import annotations

import gc
import gzip
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hashret.documents import Document
from hashret.errors import DataError, MissingExtra, UsageError
from hashret.index import Index
from hashret.readers import Source, read
from hashret.readers.remote import Remote

from .conftest import make_texts

fsspec = pytest.importorskip("fsspec")


def lines(documents: list[Document]) -> bytes:
    return b"".join(
        json.dumps({"id": d.id, "text": d.content, "label": d.labels[0]}).encode() + b"\n" for d in documents
    )


@pytest.fixture
def bucket() -> Iterator[str]:
    """An empty folder of the file system in memory."""
    files = fsspec.filesystem("memory")
    yield "memory://news"
    if files.exists("/news"):
        files.rm("/news", recursive=True)


def put(address: str, data: bytes) -> None:
    with fsspec.open(address, "wb") as stream:
        stream.write(data)


def test_wildcards_name_files_in_order(bucket: str) -> None:
    texts = make_texts(9)
    put(f"{bucket}/b.jsonl", lines(texts[3:6]))
    put(f"{bucket}/a.jsonl.gz", gzip.compress(lines(texts[:3])))
    put(f"{bucket}/c/d.jsonl", lines(texts[6:]))
    put(f"{bucket}/other.csv", b"id,text\n")
    assert list(read(f"{bucket}/*.jsonl*")) == list(texts[:6])
    assert list(read(f"{bucket}/**/*.jsonl*")) == list(texts)


def test_one_file_of_any_format(bucket: str) -> None:
    put(f"{bucket}/rows.csv", b"name,body,topic\na,wheat was dear,grain\nb,a ship sailed north,sea\n")
    source = read(f"{bucket}/rows.csv", id="name", text="body", label="topic")
    assert [(d.id, d.content, d.labels) for d in source] == [
        ("a", "wheat was dear", ("grain",)),
        ("b", "a ship sailed north", ("sea",)),
    ]
    assert source.kind == "text"


def test_lines_without_an_id_get_the_name_of_their_file(bucket: str) -> None:
    put(f"{bucket}/letters.jsonl", b'{"text": "wheat was dear"}\n{"text": "a ship sailed north"}\n')
    assert [d.id for d in read(f"{bucket}/letters.jsonl")] == ["letters.jsonl:1", "letters.jsonl:2"]


def test_an_index_of_an_address_is_that_of_the_same_files(bucket: str, tmp_path: Path) -> None:
    texts = make_texts(60)
    for name, part in (("a.jsonl", texts[:30]), ("b.jsonl", texts[30:])):
        put(f"{bucket}/{name}", lines(part))
        (tmp_path / name).write_bytes(lines(part))
    remote = Index.create(tmp_path / "remote", f"{bucket}/*.jsonl", bits=8, encoder="itq")
    local = Index.create(tmp_path / "local", read(tmp_path / "a.jsonl", tmp_path / "b.jsonl"), bits=8, encoder="itq")
    assert remote.ids == local.ids
    assert (remote.codes == local.codes).all()
    assert remote.info()["sources"] == [f"{bucket}/*.jsonl"]
    put(f"{bucket}/c.jsonl", b'{"id": "new", "text": "barley was cheap"}\n')
    assert remote.add(read(f"{bucket}/c.jsonl")) == 1
    assert remote.info()["sources"] == [f"{bucket}/*.jsonl", f"{bucket}/c.jsonl"]


@pytest.mark.parametrize("place", ["memory", "file"])
def test_a_file_that_changes_after_it_was_listed_is_refused(place: str, bucket: str, tmp_path: Path) -> None:
    address = bucket if place == "memory" else f"file://{tmp_path}"
    texts = make_texts(6)
    put(f"{address}/a.jsonl", lines(texts[:3]))
    put(f"{address}/b.jsonl", lines(texts[3:]))
    source = read(f"{address}/*.jsonl")
    assert len(list(source)) == 6
    put(f"{address}/b.jsonl", lines(texts[3:])[::-1])  # of the same size
    with pytest.raises(DataError, match=r"b\.jsonl has changed since it was listed; read it again"):
        list(source)
    put(f"{address}/b.jsonl", lines(texts[3:5]))
    assert len(list(read(f"{address}/*.jsonl"))) == 5  # a new listing sees the new file


def test_a_file_that_changes_while_it_is_read_is_refused(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = make_texts(6)
    put(f"{bucket}/a.jsonl", lines(texts))
    source = read(f"{bucket}/a.jsonl")
    files = type(fsspec.filesystem("memory"))
    original = files._open

    def changing(self: object, path: str, mode: str = "rb", **options: object) -> object:
        if mode != "rb":
            return original(self, path, mode, **options)
        stream = original(self, path, mode, **options)
        put(f"{bucket}/a.jsonl", lines(texts[:2]))
        return stream

    monkeypatch.setattr(files, "_open", changing)
    with pytest.raises(DataError, match="has changed since it was listed"):
        list(source)


def test_a_read_that_is_cut_short_is_refused(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(f"{bucket}/a.jsonl", lines(make_texts(6)))
    source = read(f"{bucket}/a.jsonl")
    monkeypatch.setattr("hashret.readers.remote.shutil.copyfileobj", lambda source, copy, size: copy.write(b"{"))
    with pytest.raises(DataError, match=r"is cut short: 1 of [0-9,]+ bytes"):
        list(source)


def test_a_file_that_is_gone_is_named(bucket: str) -> None:
    put(f"{bucket}/a.jsonl", lines(make_texts(6)))
    source = read(f"{bucket}/a.jsonl")
    fsspec.filesystem("memory").rm("/news/a.jsonl")
    with pytest.raises(DataError, match=r"news/a\.jsonl no longer exists"):
        list(source)


def test_copies_are_removed(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in "abc":
        put(f"{bucket}/{name}.jsonl", lines(make_texts(3)))
    source: Source | None = read(f"{bucket}/*.jsonl")
    assert source is not None
    for _ in source:
        assert len(list(tmp_path.rglob("*.jsonl"))) == 1
    first, second = iter(source), iter(source)
    for _ in range(4):
        next(first)
    assert len(list(second)) == len(list(first)) + 4
    del first, second, source
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_wrong_addresses_are_refused(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(f"{bucket}/a.jsonl", b"{}")
    for address, words in (
        (f"{bucket}/b.jsonl", "no such file: memory://news/b.jsonl"),
        (f"{bucket}/*.csv", r"no files match memory://news/\*.csv"),
        (bucket, r"memory://news is a folder; name its files, such as memory://news/\*.jsonl"),
        ("nonsense://news/a.jsonl", "cannot read nonsense://news/a.jsonl: Protocol not known: nonsense"),
    ):
        with pytest.raises(UsageError, match=words):
            read(address)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtra, match=r"pip install 'hashret\[remote\]'"):
        read(f"{bucket}/a.jsonl")


def test_an_error_of_the_file_system_is_reported(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(f"{bucket}/a.jsonl", b"{}")

    def refuse(self: object, path: str, **options: object) -> None:
        raise RuntimeError("the token\nhas expired")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "info", refuse)
    with pytest.raises(DataError, match=r"cannot read memory://news/a\.jsonl: the token has expired"):
        read(f"{bucket}/a.jsonl")


def test_a_server_of_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a server, not a mock of the client: an object that is rewritten with the same size has another ETag."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        files = fsspec.filesystem("s3")
        files.mkdir("news")
        texts = make_texts(6)
        files.pipe("news/2026/a.jsonl.gz", gzip.compress(lines(texts[:3])))
        files.pipe("news/2026/b.jsonl", lines(texts[3:]))
        source = read("s3://news/2026/*.jsonl*")
        assert isinstance(source, Remote)
        assert list(source) == list(texts)
        files.pipe("news/2026/b.jsonl", lines(texts[3:])[::-1])
        with pytest.raises(DataError, match=r"s3://news/2026/b\.jsonl has changed since it was listed"):
            list(source)
        files.pipe("news/2026/b.jsonl", lines(texts[3:5]))
        assert len(list(read("s3://news/2026/*.jsonl*"))) == 5
    finally:
        server.stop()
