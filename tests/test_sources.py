"""The contract of all registered sources, and `read`, which detects the format."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faiss
import numpy as np
import pytest
from PIL import Image

from hashret.documents import Document
from hashret.errors import DataError, UsageError
from hashret.readers import SOURCES, Fields, Source, Stamped, as_source, read
from hashret.readers.memory import Memory
from hashret.testing import SourceSuite
from hashret.testing.sources import COUNT, label_of, same

from .samples import posix_only

# A factory a source: writes COUNT documents with the labels of label_of, gives the path and the fields to read it with


def write_stdin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Fields]:
    lines = "".join(json.dumps({"id": f"d{n}", "text": f"text {n}", "label": label_of(n)}) + "\n" for n in range(COUNT))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(lines.encode())))
    return Path("-"), Fields()


def write_beir(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Fields]:
    write_jsonl(folder, monkeypatch)
    (folder / "data").rename(folder / "corpus.jsonl")
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "a query"}\n')
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\td1\t1\n")
    return folder, Fields()


def write_idx(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Fields]:
    images = np.arange(COUNT * 6, dtype=np.uint8).reshape(COUNT, 2, 3)
    (folder / "some-images").write_bytes(b"\0\0\x08\x03" + np.array([COUNT, 2, 3], ">i4").tobytes() + images.tobytes())
    labels = bytes(n % 2 for n in range(COUNT))
    (folder / "some-labels").write_bytes(b"\0\0\x08\x01" + np.array([COUNT], ">i4").tobytes() + labels)
    return folder / "some-images", Fields()


def write_arrays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Fields]:
    with (folder / "data").open("wb") as stream:
        np.savez(stream, x=np.eye(COUNT), y=np.array([label_of(n) for n in range(COUNT)]))
    return folder / "data", Fields()


def write_faiss(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Fields]:
    index = faiss.IndexFlatL2(COUNT)
    index.add(np.eye(COUNT, dtype=np.float32))
    faiss.write_index(index, str(folder / "data"))
    return folder / "data", Fields()


def write_parquet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Fields]:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [{"id": f"d{n}", "text": f"text {n}", "label": label_of(n)} for n in range(COUNT)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "data")
    return folder / "data", Fields()


def write_images(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Fields]:
    for number in range(COUNT):
        (folder / label_of(number)).mkdir(exist_ok=True)
        Image.new("RGB", (4, 3), (number, 0, 0)).save(folder / label_of(number) / f"{number}", format="PNG")
    return folder, Fields(label="folder")


def write_texts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Fields]:
    for number in range(COUNT):
        (folder / label_of(number)).mkdir(exist_ok=True)
        (folder / label_of(number) / f"{number}.weird").write_text(f"text {number}")
    return folder, Fields(label="folder")


def write_jsonl(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Fields]:
    lines = [json.dumps({"id": f"d{n}", "text": f"text {n}", "label": label_of(n)}) for n in range(COUNT)]
    (folder / "data").write_text("\n".join(lines) + "\n")
    return folder / "data", Fields()


def write_csv(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Fields]:
    rows = [f"d{n}\ttext {n}\t{label_of(n)}" for n in range(COUNT)]
    (folder / "data").write_text("\n".join(["id\ttext\tlabel", *rows]) + "\n")
    return folder / "data", Fields()


def write_lines(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Fields]:
    (folder / "data").write_text("".join(f"text {n}\n\n" for n in range(COUNT)))
    return folder / "data", Fields()


def write_json(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Fields]:
    items = [{"id": f"d{n}", "text": f"text {n}", "label": label_of(n)} for n in range(COUNT)]
    (folder / "data").write_text(json.dumps({"version": 1, "found": {"items": items}}, indent=1))
    return folder / "data", Fields()


def write_shards(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Fields]:
    lines = [json.dumps({"id": f"d{n}", "text": f"text {n}"}) + "\n" for n in range(COUNT)]
    for label in {label_of(n) for n in range(COUNT)}:
        (folder / f"label={label}").mkdir()
        own = [line for n, line in enumerate(lines) if label_of(n) == label]
        (folder / f"label={label}" / "part-0").write_text("".join(own))
    return folder, Fields()


def write_arrow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Fields]:
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"id": [f"d{n}" for n in range(COUNT)], "text": [f"text {n}" for n in range(COUNT)]})
    table = table.append_column("label", [[label_of(n) for n in range(COUNT)]])
    with pyarrow.OSFile(str(folder / "data"), "wb") as sink, pyarrow.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return folder / "data", Fields()


FACTORIES = {
    "arrow": write_arrow,
    "shards": write_shards,
    "json": write_json,
    "stdin": write_stdin,
    "beir": write_beir,
    "idx": write_idx,
    "arrays": write_arrays,
    "faiss": write_faiss,
    "parquet": write_parquet,
    "images": write_images,
    "texts": write_texts,
    "jsonl": write_jsonl,
    "csv": write_csv,
    "lines": write_lines,
}
LIMITS: dict[str, dict[str, Any]] = {
    "stdin": {"movable": False},
    "idx": {"kind": "image", "labels": ("0", "1"), "broken": b""},
    "arrays": {"kind": "vector", "broken": b""},
    "faiss": {"kind": "vector", "labels": (), "broken": b""},
    "parquet": {"broken": b""},
    "arrow": {"broken": b""},
    "images": {"kind": "image", "fields": Fields(label="folder"), "broken": b""},
    "texts": {"fields": Fields(label="folder"), "broken": b""},
    "shards": {"broken": b""},
    "csv": {"deciding": (".html",), "broken": b"x\tmore\tfields\tthan the header\n"},
    "lines": {"labels": (), "deciding": (".csv", ".html", ".jsonl"), "broken": b""},
}
"""What the suite cannot ask of a source, and how it reads its example."""


class Suite(SourceSuite):
    def write(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        return FACTORIES[self.source.name](folder, monkeypatch)[0]


class Pair(Suite):
    """Two files that are moved together."""

    def move(self, path: Path, target: Path) -> Path:
        target = target.with_name(f"{target.name}-images") if path.parent != target.parent else target
        path.with_name("some-labels").rename(target.with_name(target.name.replace("images", "labels")))
        return path.rename(target)


class Beir(Suite):
    """A folder, of which one file holds the documents."""

    def spoil(self, path: Path) -> None:
        super().spoil(path / "corpus.jsonl")


for _name in SOURCES.entries:
    _base = {"idx": Pair, "beir": Beir}.get(_name, Suite)
    _attributes = {"source": SOURCES.get(_name), "__module__": __name__, **LIMITS.get(_name, {})}
    globals()[f"Test_{_name}"] = type(f"Test_{_name}", (_base,), _attributes)


def test_every_source_has_its_name() -> None:
    assert {name: SOURCES.get(name).name for name in SOURCES.entries} == {name: name for name in SOURCES.entries}
    assert FACTORIES.keys() == SOURCES.entries.keys()


@pytest.mark.parametrize("name", ["texts", "images"])
def test_files_are_read_one_after_the_other(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files after the first one become too large to be read."""
    path, fields = FACTORIES[name](tmp_path, monkeypatch)
    source = iter(read(path, fields=fields))
    assert next(source).id
    monkeypatch.setattr("hashret.readers.texts.MAX_BYTES", 0)
    monkeypatch.setattr("hashret.images.MOST_PIXELS", 0)
    assert list(source) == []


def test_lines_come_before_the_end_of_the_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = write_lines(tmp_path, monkeypatch)
    first = next(iter(read(path)))
    with path.open("ab") as stream:
        stream.write(b"x\tno json and no row\n\n")
    assert next(iter(read(path))).id == first.id


def test_listing_imports_nothing_heavy() -> None:
    code = (
        "import sys, hashret.readers as s\n"
        "for n in s.SOURCES.names(): s.SOURCES.get(n)\n"
        "heavy = {'h5py', 'PIL', 'pyarrow', 'xberg', 'pypdfium2', 'chardet', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_memory_keeps_the_contract() -> None:
    documents = [
        Document("a", "text", ("x", "y"), {"n": 1, "deep": {"list": [1, "é"]}}),
        Document("b", Path("some/image.png")),
        Document("c", np.arange(24, dtype=np.uint8).reshape(2, 4, 3)),
        Document("d", np.array([1.5, -2.0], np.float32)),
        Document("e", np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3))),
    ]
    for items in (documents, iter(documents), (document for document in documents)):
        source = Memory(items)
        for _ in range(2):
            assert all(same(*pair) for pair in zip(source, documents, strict=True))
        assert source.kind == "text"
    assert Memory(documents).count() == 5


def test_memory_numbers_bare_contents_and_reads_once_only() -> None:
    read_so_far = []

    def texts() -> Iterator[str]:
        for text in ("one", "two"):
            read_so_far.append(text)
            yield text

    source = as_source(texts())
    assert [document.id for document in source] == ["0", "1"]
    assert [document.content for document in source] == ["one", "two"]
    assert read_so_far == ["one", "two"]


def test_memory_refuses_what_cannot_be_kept_and_never_pickles() -> None:
    for document in (Document("a", "t", (), {"x": object()}), Document("a", np.array([object()]))):
        with pytest.raises(DataError, match="'a'"):
            Memory(iter([document]))


def test_memory_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    source = Memory(iter(["text"]))
    assert [document.content for document in source] == ["text"]
    assert list(tmp_path.iterdir()) == []


def test_as_source(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    source = read(tmp_path)
    assert as_source(source) is source
    assert [document.id for document in as_source(str(tmp_path))] == ["a.txt"]
    assert as_source(["a", "b"]).count() == 2


# read


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no such file or folder: .*nothing"):
        read(tmp_path / "nothing")
    with pytest.raises(UsageError, match="no such file or folder"):
        read("a\0b")
    with pytest.raises(UsageError, match="nothing to read"):
        read()


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no files in"):
        read(tmp_path)
    (tmp_path / ".hidden").write_text("text")
    with pytest.raises(DataError, match="no files in"):
        read(tmp_path)
    (tmp_path / "empty.txt").touch()
    with pytest.raises(DataError, match="is empty"):
        read(tmp_path / "empty.txt")
    (tmp_path / "program").write_bytes(b"\x7fELF\0\0\1\2")
    with pytest.raises(DataError, match=r"ELF.*hashret reads .*jsonl") as caught:
        read(tmp_path / "program")
    assert "\n" not in str(caught.value)
    (tmp_path / "empty.txt").unlink()
    with pytest.raises(DataError, match="neither texts nor images"):
        read(tmp_path)


@posix_only("named pipes")
def test_a_pipe_is_sent_to_stdin(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="send JSON lines"):
        read(tmp_path / "pipe")


def test_the_source_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = write_jsonl(tmp_path, monkeypatch)
    assert read(path, source="lines").name == "lines"
    assert str(next(iter(read(path, source="lines"))).content).startswith('{"id"')
    with pytest.raises(UsageError, match="did you mean 'jsonl'"):
        read(path, source="jsonnl")
    with pytest.raises(UsageError, match="standard input"):
        read("-", source="csv")
    with pytest.raises(UsageError, match="standard input"):
        read(path, source="stdin")


@pytest.mark.parametrize("wrong", ["jsonl", "csv", "parquet", "arrays", "idx", "images", "texts", "lines", "beir"])
def test_a_source_named_wrongly_says_so(tmp_path: Path, wrong: str) -> None:
    """Bytes that are nothing at all, and a folder of them."""
    (tmp_path / "noise").write_bytes(np.random.default_rng(0).integers(0, 256, 999, np.uint8).tobytes())
    for path in (tmp_path / "noise", tmp_path):
        if wrong == "lines" and path.is_file():
            continue
        with pytest.raises((DataError, UsageError)) as caught:
            list(read(path, source=wrong))
        assert "\n" not in str(caught.value)


def test_fields_by_keyword_replace_those_given(tmp_path: Path) -> None:
    record = {"id": "a", "key": "k", "head": "H", "body": "B", "topic": "t", "label": "l"}
    (tmp_path / "x.jsonl").write_text(json.dumps(record))
    fields = Fields(id="key", text=("head", "body"), label="topic")
    (document,) = read(tmp_path / "x.jsonl", fields=fields)
    assert document == Document("k", "H\nB", ("t",), {"id": "a", "label": "l"})
    for text in ("body, head", ["body", "head"]):
        (document,) = read(tmp_path / "x.jsonl", fields=fields, text=text, id="id", label="label")
        assert document == Document("a", "B\nH", ("l",), {"key": "k", "topic": "t"})
    assert Fields.from_json(json.loads(json.dumps(fields.as_json()))) == fields


def test_label_folder_is_for_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, write in FACTORIES.items():
        folder = tmp_path / name
        folder.mkdir()
        path, _ = write(folder, monkeypatch)
        if name in ("texts", "images"):
            assert {document.labels for document in read(path, label="folder")} == {("even",), ("odd",)}
            for fields in (Fields(label="topic"), Fields(id="id"), Fields(text=("body",))):
                with pytest.raises(UsageError, match="only the label 'folder' is allowed"):
                    read(path, fields=fields)
        else:
            with pytest.raises(UsageError):
                read(path, label="folder")


def test_several_sources_are_one(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder / "deep").mkdir(parents=True)
        (tmp_path / folder / "deep" / "a.txt").write_text(f"in {folder}")
        (tmp_path / folder / "b.txt").write_text(f"beside {folder}")
    (tmp_path / "lines.txt").write_text("first\nsecond\n")
    (tmp_path / "data.jsonl").write_text('{"text": "x"}\n{"id": "own", "text": "y"}\n')
    source = read(tmp_path / "one", tmp_path / "lines.txt", tmp_path / "data.jsonl", str(tmp_path / "two") + "/")
    assert [document.id for document in source] == [
        *("one/b.txt", "one/deep/a.txt", "lines.txt:1", "lines.txt:2", "data.jsonl:1", "own"),
        *("two/b.txt", "two/deep/a.txt"),
    ]
    assert not isinstance(source, Stamped)
    assert source.kind == "text"
    assert source.count() is None
    assert source.path == tmp_path


def test_several_folders_tell_what_changed(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text(f"in {folder}")
    source = read(tmp_path / "one", tmp_path / "two")
    assert isinstance(source, Stamped)
    assert dict(source.stamps()) == {document.id: document.metadata for document in source}
    assert [document.id for document in source.only({"two/a.txt"})] == ["two/a.txt"]
    only = source.only({"two/a.txt"})
    assert isinstance(only, Stamped)
    assert [id for id, _ in only.stamps()] == ["two/a.txt"]


def test_several_sources_that_do_not_go_together(tmp_path: Path) -> None:
    for parent in ("a", "b"):
        (tmp_path / parent / "news").mkdir(parents=True)
        (tmp_path / parent / "news" / "x.txt").write_text("text")
    with pytest.raises(UsageError, match="two folders are named 'news'"):
        read(tmp_path / "a" / "news", tmp_path / "b" / "news")
    np.save(tmp_path / "v.npy", np.eye(2))
    with pytest.raises(DataError, match="one kind"):
        assert read(tmp_path / "a", tmp_path / "v.npy").kind


def test_the_two_files_of_an_idx_pair_are_one_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, _ = write_idx(tmp_path, monkeypatch)
    labels = tmp_path / "some-labels"
    assert [document.id for document in read(images, labels)] == [document.id for document in read(labels)]
    assert read(labels, images).name == "idx"


def test_gzip_is_known_by_its_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for write in (write_jsonl, write_csv, write_lines):
        path, _ = write(tmp_path, monkeypatch)
        plain = read(path)
        packed = tmp_path / "packed"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        again = read(packed)
        assert again.name == plain.name
        assert [d.content for d in again] == [d.content for d in plain]


def test_the_first_documents_of_a_large_file_come_at_once(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "large", "wt") as stream:
        stream.writelines('{"text": "x"}\n' for _ in range(100_000))
    source = read(tmp_path / "large")
    assert len(list(islice(source, 1))) == 1


def test_a_source_of_another_package_comes_before_the_one_that_takes_any_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Poem(Source):
        name, summary = "poem", "poems"

        @classmethod
        def recognises(cls, path: Path) -> bool:
            return path.suffix == ".poem"

        def __iter__(self) -> Iterator[Document]:
            yield Document("a", "verse")

    foreign = SimpleNamespace(name="poem", load=lambda: Poem)
    monkeypatch.setattr(SOURCES, "_foreign", lambda: [foreign])
    (tmp_path / "x.poem").write_text("roses\n")
    (tmp_path / "x.txt").write_text("roses\n")
    assert read(tmp_path / "x.poem").name == "poem"
    assert read(tmp_path / "x.txt").name == "lines"
