"""Folders of texts and images, arrays and IDX pairs: what is read, skipped with a warning, or rejected."""

from __future__ import annotations

import gzip
import os
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hashret.documents import Content
from hashret.errors import DataError, UsageError
from hashret.readers import Fields, Stamped, read
from hashret.readers.page import text_of_page

from .samples import array_of, linux_only, posix_only


def contents(path: Path, **fields: Any) -> dict[str, Content]:
    return {document.id: document.content for document in read(path, **fields)}


def write(folder: Path, **files: str | bytes) -> None:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


# Folders


def test_files_at_any_depth_in_an_order_that_stays(tmp_path: Path) -> None:
    write(tmp_path, b_txt="b", a__z_txt="z", a__a__x="x", c__d_md="d", Z_txt="Z")
    assert list(contents(tmp_path)) == ["Z.txt", "a/a/x", "a/z.txt", "b.txt", "c/d.md"]


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, a_txt="a", _hidden="no", _git__config="no")
    assert list(contents(tmp_path)) == ["a.txt"]


@linux_only("paths of 2,400 characters")
def test_a_folder_deeper_than_python_recurses(tmp_path: Path) -> None:
    name = str(tmp_path)
    for _ in range(1200):
        name += "/d"
        os.mkdir(name)  # noqa: PTH102
    deep = Path(name)
    (deep / "a.txt").write_text("deep")
    try:
        assert list(contents(tmp_path).values()) == ["deep"]
    finally:  # the cleanup of test folders is recursive
        (deep / "a.txt").unlink()
        while deep != tmp_path:
            deep.rmdir()
            deep = deep.parent


@posix_only("links")
def test_a_file_is_read_once_and_links_to_outside_are_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "in"
    write(tmp_path, in__a__x_txt="x", secret_txt="secret", out__y_txt="y")
    (folder / "file.txt").symlink_to("a/x.txt")
    (folder / "folder").symlink_to("a")
    (folder / "again").symlink_to("a")
    (folder / "secret.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "out").symlink_to(tmp_path / "out")
    (folder / "a" / "up").symlink_to("..")
    (folder / "self").symlink_to(".")
    (folder / "loop").symlink_to("loop")
    (folder / "broken").symlink_to("nothing")
    found = contents(folder)
    assert list(found) == ["a/x.txt"]
    assert "secret" not in found.values()
    assert "link to outside the folder" in caplog.text
    assert "cannot be read" in caplog.text


@posix_only("links")
def test_links_to_hidden_files_of_the_folder_are_followed_once(tmp_path: Path) -> None:
    write(tmp_path, _store__x_txt="x", _store__d__y_txt="y")
    (tmp_path / ".store" / "d" / "up").symlink_to("..")
    for name, target in (("a.txt", "x.txt"), ("b.txt", "x.txt"), ("c", "d"), ("d", "d")):
        (tmp_path / name).symlink_to(f".store/{target}")
    assert list(contents(tmp_path)) == ["a.txt", "c/y.txt"]


@posix_only("links")
def test_strict_refuses_links_to_outside_but_not_those_inside(tmp_path: Path) -> None:
    write(tmp_path, in__a_txt="a", out_txt="out")
    (tmp_path / "in" / "b.txt").symlink_to("a.txt")
    assert list(contents(tmp_path / "in", strict=True)) == ["a.txt"]
    (tmp_path / "in" / "c.txt").symlink_to("../out.txt")
    with pytest.raises(DataError, match=r"cannot read .*c\.txt: link to outside the folder"):
        contents(tmp_path / "in", strict=True)


@posix_only("pipes")
def test_what_is_left_out_is_counted_at_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, a_txt="a", b_txt="b", _git__config="no", _hidden="no")
    os.mkfifo(tmp_path / "pipe")
    for name in ("lock", "manifest.json", "segments", "recovery"):
        write(tmp_path, **{f"index__{name.replace('.', '_')}": "x"})
    (tmp_path / "link.txt").symlink_to("a.txt")
    with caplog.at_level("INFO", "hashret"):
        assert list(contents(tmp_path, strict=True)) == ["a.txt", "b.txt"]
    assert caplog.messages == [
        f"{tmp_path}: read 2 documents; left out: hidden 2, index 1, link inside the folder 1, pipe, socket or device 1"
    ]


@pytest.mark.parametrize("content", [b"\0\1\2", b"", b" \n", b"\x89PNG\r\n\x1a\n"])
def test_strict_refuses_what_would_be_skipped(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, a_txt="text", b_txt=content)
    assert list(contents(tmp_path)) == ["a.txt"]
    with pytest.raises(DataError, match=r"cannot read .*b\.txt: no"):
        contents(tmp_path, strict=True)


@posix_only("links")
def test_a_folder_given_by_a_link_is_read(tmp_path: Path) -> None:
    write(tmp_path, real__a_txt="a")
    (tmp_path / "link").symlink_to("real")
    assert contents(tmp_path / "link") == {"a.txt": "a"}


def test_the_metadata_tell_a_change(tmp_path: Path) -> None:
    write(tmp_path, a_txt="text")
    os.utime(tmp_path / "a.txt", ns=(1, 123456789))
    (document,) = read(tmp_path)
    assert document.metadata == {"bytes": 4, "modified": 123456789}


def test_the_label_is_the_folder_that_holds_the_file(tmp_path: Path) -> None:
    write(tmp_path, sport__a_txt="a", world__asia__b_txt="b", c_txt="c")
    labels = {document.id: document.labels for document in read(tmp_path, label="folder")}
    assert labels == {"c.txt": (tmp_path.name,), "sport/a.txt": ("sport",), "world/asia/b.txt": ("asia",)}
    assert all(document.labels == () for document in read(tmp_path))


def test_only_the_chosen_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, a_txt="a", b_txt="b", c_txt="c")
    source = read(tmp_path)
    opened = []
    real = open

    def noted(path: Any, *args: Any, **kwargs: Any) -> Any:
        opened.append(Path(path).name)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", noted)
    monkeypatch.setattr("builtins.open", noted)
    assert isinstance(source, Stamped)
    assert len(list(source.stamps())) == 3
    assert opened == []
    assert [document.id for document in source.only({"b.txt"})] == ["b.txt"]
    assert set(opened) == {"b.txt"}


def test_a_mixed_folder_is_what_most_of_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, a_txt="a", b_txt="b")
    Image.new("L", (2, 2)).save(tmp_path / "p.png")
    assert list(contents(tmp_path)) == ["a.txt", "b.txt"]
    assert "skipped 1 file (not text): .png 1" in caplog.text
    for number in range(3):
        Image.new("L", (2, 2)).save(tmp_path / f"p{number}.png")
    caplog.clear()
    assert list(contents(tmp_path)) == ["p.png", "p0.png", "p1.png", "p2.png"]
    assert "skipped 2 files (not an image): .txt 2" in caplog.text


# Texts


def test_what_is_no_text_is_told_once_at_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", "hashret")
    write(tmp_path, a_txt="text", b_bin=b"\0\1\2", c_bin=b"\x7fELF\0", d_exe=b"MZ\0", e_txt="", f_txt=" \n")
    source = read(tmp_path)
    assert next(iter(source)).id == "a.txt"
    assert caplog.messages == []
    for _ in range(2):
        assert [document.id for document in source] == ["a.txt"]
    assert caplog.messages == [
        f"{tmp_path}: skipped 3 files (not text): .bin 2, .exe 1",
        f"{tmp_path}: skipped 2 files (no words): .txt 2",
    ]


def test_a_text_with_some_control_characters_is_a_text(tmp_path: Path) -> None:
    text = "some words\x01\x02 and more of them \x7f" * 5
    write(tmp_path, a_txt=text)
    assert contents(tmp_path) == {"a.txt": text}


@posix_only("names of two lines")
def test_a_log_line_is_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", "hashret")
    write(tmp_path, a_txt="text")
    (tmp_path / "x.new\nline").write_bytes(b"\0")
    for number in range(9):
        (tmp_path / f"x.{number}").write_bytes(b"\0")
    list(read(tmp_path))
    (message,) = caplog.messages
    assert "\n" not in message
    assert message.endswith("and 5 more kinds")


def test_files_that_cannot_be_opened_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, a_txt="a", locked_txt="b")
    source = read(tmp_path)
    real = open

    def guarded(path: Any, *args: Any, **kwargs: Any) -> Any:
        if Path(path).name == "locked.txt":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr("builtins.open", guarded)
    assert [document.id for document in source] == ["a.txt"]
    assert "skipped 1 file that cannot be read: locked.txt (Permission denied)" in caplog.text


def test_a_file_that_is_too_large_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashret.readers.texts.MAX_BYTES", 10)
    write(tmp_path, a_txt="a", large_txt="x" * 11)
    assert list(contents(tmp_path)) == ["a.txt"]
    assert "larger than 10 bytes): large.txt 1" in caplog.text


def test_a_folder_without_a_single_text_is_refused(tmp_path: Path) -> None:
    write(tmp_path, a_txt=" ", b_txt="\n\n")
    with pytest.raises(DataError, match=r"no text in .*skipped 2 files \(no words\): \.txt 2"):
        list(read(tmp_path))


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "cp1251", "gb18030"]
)
def test_encodings_are_guessed(tmp_path: Path, encoding: str) -> None:
    texts = {
        "cp1251": "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 4,
        "gb18030": "今天天气很好,我们去公园散步。" * 8,
    }
    text = texts.get(encoding, "Füße, Köln, Straße und noch mehr schöne Wörter für die Prüfung über Häuser. " * 4)
    mark = b"\xff\xfe" if encoding == "utf-16-le" else b""
    write(tmp_path, x_txt=mark + text.encode(encoding))
    assert contents(tmp_path)["x.txt"] == text


def test_bytes_that_fit_no_encoding_are_replaced_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, x_txt=b"\xef\xbb\xbfcaf\xff\xfe and more", y_txt="fine")
    assert contents(tmp_path)["x.txt"] == "caf�� and more"
    assert "files with bytes that are not utf-8, replaced by U+FFFD: 1" in caplog.text


PAGE = """<!DOCTYPE html>
<html><head><title>The &amp; title</title><style>p { color: red }</style>
<script>var x = "<p>not this</p>";</script></head>
<body><h1>Head</h1><p>One <b>bo</b>ld&nbsp;word,<br>caf&eacute; &#x263A;</p>
<!-- not this either --><p>Two</body></html>"""


def test_a_page_is_read_without_its_tags(tmp_path: Path) -> None:
    write(tmp_path, page=PAGE, page_html=PAGE, fragment_htm="just <i>a</i> fragment", plain_txt="a < b and <b> stays")
    words = "The & title\nHead\nOne bold word,\ncafé ☺\nTwo"
    assert contents(tmp_path) == {
        "page": words,
        "page.html": words,
        "fragment.htm": "just a fragment",
        "plain.txt": "a < b and <b> stays",
    }
    assert contents(tmp_path / "page") == {"page": words}


@given(page=st.text(alphabet='<>![]-/="&#; abpscript\n?CDATA', max_size=80))
def test_any_page_can_be_read(page: str) -> None:
    text_of_page(page)


@pytest.mark.parametrize(
    "page", ["<![foo[x", "<![if !x]>a<![endif]>", "<!", "<!--", "<", "</", "&#99999999;", "<a " * 99]
)
def test_broken_pages(page: str) -> None:
    text_of_page(page)


# Images


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "ICO", "AVIF"])
def test_images_are_known_by_content(tmp_path: Path, format: str) -> None:
    Image.new("RGB", (20, 16), "red").save(tmp_path / "image.txt", format=format)
    (document,) = read(tmp_path)
    assert document.id == "image.txt"
    assert document.content == tmp_path / "image.txt"
    assert document.kind == "image"
    assert contents(tmp_path / "image.txt") == {"image.txt": tmp_path / "image.txt"}


@pytest.mark.parametrize(
    "text", ["BMW is a car", "P6 is the sixth", "P2 3 is a place", "II*", "RIFF raff", "GIF8 is what?", "On aftypheic"]
)
def test_texts_that_begin_like_images(tmp_path: Path, text: str) -> None:
    write(tmp_path, a=text)
    assert read(tmp_path).name == "texts"


def test_a_images_path_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    for path in (".", "a.png"):
        (document,) = read(path)
        assert isinstance(document.content, Path)
        assert document.content.is_absolute()
        assert document.id == "a.png"


def test_damaged_images_are_passed_over_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / "good.png")
    whole = (tmp_path / "good.png").read_bytes()
    write(tmp_path, cut_png=whole[:100], mark_png=whole[:8], flipped_png=whole[:60] + b"\0\1\2\3" + whole[64:])
    write(
        tmp_path,
        mark_jpg=b"\xff\xd8\xff\xe0",
        mark_gif=b"GIF89a",
        mark_tif=b"II*\0\xff\xff\xff\xff",
        mark_ppm=b"P6\n3 3\n",
    )
    assert list(contents(tmp_path)) == ["good.png"]
    assert "cut.png" in caplog.text
    (tmp_path / "good.png").unlink()
    with pytest.raises(DataError, match=r"no image in .*cannot be read: .*cut.png \("):
        contents(tmp_path)


def test_a_image_bomb_is_refused_by_its_header(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for name, width, height in (("bomb", 30_000, 30_000), ("large", 10_001, 10_000)):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        data = chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
        (tmp_path / f"{name}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header + data)
    Image.new("L", (2, 2)).save(tmp_path / "good.png")
    assert list(contents(tmp_path)) == ["good.png"]
    assert (
        "2 files that cannot be read: bomb.png (more than 100,000,000 pixels), "
        "large.png (10001 x 10000 pixels, more than 100,000,000)" in caplog.text
    )


def test_an_animated_image_counts_once(tmp_path: Path) -> None:
    frames = [Image.new("P", (3, 3), number) for number in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert list(contents(tmp_path)) == ["a.gif"]


# Arrays


def save(path: Path, **arrays: Any) -> Path:
    """As .npy, .npz or HDF5, by the extension."""
    if path.suffix == ".npy":
        np.save(path, arrays["x"])
    elif path.suffix == ".npz":
        np.savez_compressed(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                text = array.dtype.kind == "U"
                file.create_dataset(name, data=array.astype(object) if text else array)
    return path


EACH = pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
NAMED = pytest.mark.parametrize("suffix", [".npz", ".h5"])


@EACH
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ">f4", np.int64, np.uint8, bool])
@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_of_a_matrix_are_vectors(
    tmp_path: Path, suffix: str, dtype: npt.DTypeLike, order: Literal["C", "F"]
) -> None:
    x = np.asarray(np.arange(24).reshape(6, 4) % 3, dtype=dtype, order=order)
    path = save(tmp_path / f"v{suffix}", x=x)
    source = read(path)
    documents = list(source)
    assert source.kind == "vector"
    assert source.count() == 6
    assert [document.id for document in documents] == [f"v{suffix}:{n}" for n in range(1, 7)]
    assert all(array_of(document).dtype == np.float32 for document in documents)
    np.testing.assert_array_equal([array_of(document) for document in documents], x.astype(np.float32))


@EACH
@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 4, 6, 3)])
def test_bytes_of_three_or_four_dimensions_are_images(tmp_path: Path, suffix: str, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    source = read(save(tmp_path / f"p{suffix}", x=x))
    assert source.kind == "image"
    for document, image in zip(source, x, strict=True):
        assert array_of(document).dtype == np.uint8
        np.testing.assert_array_equal(document.content, image)


@NAMED
@pytest.mark.parametrize(
    "y", [np.array([0, 1, 1]), np.array([0.0, 1.0, 1.0]), np.array(["0", "1", "1"]), np.array([b"0", b"1", b"1"])]
)
def test_labels_and_ids(tmp_path: Path, suffix: str, y: np.ndarray) -> None:
    path = save(tmp_path / f"v{suffix}", X=np.eye(3), y=y, ids=np.array(["a", "b", "ü"]), other=np.zeros((2, 2)))
    assert [(d.id, d.labels) for d in read(path)] == [("a", ("0",)), ("b", ("1",)), ("ü", ("1",))]


@NAMED
def test_arrays_can_be_named(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"v{suffix}", a=np.eye(2), b=np.ones((2, 3)), topic=np.array([5, 6]), key=np.array([8, 9]))
    with pytest.raises(
        DataError, match=r"no array x or X and 2 of 2 or more dimensions; it has .*choose one with text"
    ):
        list(read(path))
    documents = list(read(path, fields=Fields(id="key", text=("b",), label="topic")))
    assert [(d.id, d.labels, len(array_of(d))) for d in documents] == [("8", ("5",), 3), ("9", ("6",), 3)]
    with pytest.raises(DataError, match="no array 'c'; it has "):
        list(read(path, text="c"))


@pytest.mark.parametrize("shape", [(9000, 2000), (5000, 30, 100), (7, 20_000)])
@pytest.mark.parametrize("packed", [False, True])
def test_an_array_that_lies_column_by_column(tmp_path: Path, shape: tuple[int, ...], packed: bool) -> None:
    """Read in several parts, it gives the rows and keeps them with their labels."""
    x = np.asfortranarray(np.arange(np.prod(shape)).reshape(shape).astype(np.uint8))
    (np.savez_compressed if packed else np.savez)(tmp_path / "v.npz", x=x, y=np.arange(len(x)))
    number = 0
    for number, document in enumerate(read(tmp_path / "v.npz"), 1):
        assert document.labels == (str(number - 1),)
        assert np.array_equal(array_of(document), x[number - 1])
    assert number == len(x)


def test_texts_of_no_characters_are_no_labels(tmp_path: Path) -> None:
    header = npy_header("{'descr': '|S0', 'fortran_order': False, 'shape': (3,)}")
    np.savez(tmp_path / "v.npz", x=np.eye(3))
    with zipfile.ZipFile(tmp_path / "v.npz", "a") as archive:
        archive.writestr("y.npy", header)
    assert [document.labels for document in read(tmp_path / "v.npz")] == [()] * 3


def test_a_dataset_in_a_group_is_found(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["group/deep/vectors"] = np.eye(2)
    assert len(list(read(tmp_path / "v.h5"))) == 2


@EACH
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_a_row_that_no_vector_holds_is_named(tmp_path: Path, suffix: str, bad: float) -> None:
    x = np.ones((4, 2))
    x[2, 1] = bad
    with pytest.raises(DataError, match=rf"row 3 \(id 'v{suffix}:3'\) holds a NaN"):
        list(read(save(tmp_path / f"v{suffix}", x=x)))


@EACH
@pytest.mark.parametrize(
    "x",
    [
        np.ones(3),
        np.ones((2, 2, 2)),
        np.zeros((2, 2, 2, 4), np.uint8),
        np.zeros((1, 1, 1, 1, 1), np.uint8),
        np.ones((2, 2), complex),
        np.ones((2, 0)),
    ],
)
def test_shapes_that_are_no_documents(tmp_path: Path, suffix: str, x: np.ndarray) -> None:
    with pytest.raises(DataError) as caught:
        list(read(save(tmp_path / f"v{suffix}", x=x)))
    assert "\n" not in str(caught.value)


@NAMED
def test_labels_that_do_not_fit(tmp_path: Path, suffix: str) -> None:
    for y, match in [
        (np.arange(2), "'y' has 2 rows, but x has 3"),
        (np.eye(3), "'y' must be one number"),
    ]:
        with pytest.raises(DataError, match=match):
            list(read(save(tmp_path / f"v{suffix}", x=np.eye(3), y=y)))


@EACH
def test_an_empty_matrix_has_no_documents(tmp_path: Path, suffix: str) -> None:
    source = read(save(tmp_path / f"v{suffix}", x=np.ones((0, 3))))
    assert list(source) == []
    assert source.count() == 0


def test_many_rows_come_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hashret.readers.arrays.CHUNK_BYTES", 100)
    x = np.random.default_rng(0).random((50, 3))
    for suffix in (".npy", ".npz", ".h5"):
        documents = list(read(save(tmp_path / f"v{suffix}", x=x, y=np.arange(50))))
        vectors = [array_of(document) for document in documents]
        np.testing.assert_allclose(np.array(vectors), x, rtol=1e-6)
        base: Any = vectors[0].base
        assert base is None or base.size <= 3
        assert suffix == ".npy" or [document.labels for document in documents] == [(str(n),) for n in range(50)]


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("unpickled",))


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    objects = np.empty((2, 2), object)
    objects[:] = Trap()
    np.save(tmp_path / "v.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "v.npz", x=np.eye(2), ids=np.array([Trap(), Trap()], object))
    for name in ("v.npy", "v.npz"):
        with pytest.raises(DataError, match="Python objects"):
            list(read(tmp_path / name))


def npy_header(text: str) -> bytes:
    line = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(line)) + line


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 1000)}",
        "{'descr': '<f8', 'fortran_order': True, 'shape': (4611686018427387904, 4611686018427387904)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 1)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-3, 1)}",
        "{'descr': '<f8', 'fortran_order': False}",
        "{'descr': 'nonsense', 'fortran_order': False, 'shape': (1, 1)}",
        "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1, 1)}",
        "__import__('os').system('false')",
        "(" * 3000,
        "{",
        "",
    ],
)
def test_headers_that_lie(tmp_path: Path, header: str) -> None:
    raw = npy_header(header) + b"\0" * 16
    (tmp_path / "v.npy").write_bytes(raw)
    with zipfile.ZipFile(tmp_path / "v.npz", "w") as archive:
        archive.writestr("x.npy", raw)
    for name in ("v.npy", "v.npz"):
        with pytest.raises(DataError) as caught:
            list(read(tmp_path / name))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_files_cut_anywhere_are_refused(tmp_path: Path, suffix: str) -> None:
    whole = save(tmp_path / f"v{suffix}", x=np.random.default_rng(0).random((50, 8)), y=np.arange(50)).read_bytes()
    for part in (12, len(whole) // 3, len(whole) // 2, len(whole) - 9):
        (tmp_path / "cut").write_bytes(whole[:part])
        with pytest.raises(DataError) as caught:
            list(read(tmp_path / "cut", source="arrays"))
        assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1), byte=st.integers(0, 255), suffix=st.sampled_from([".npy", ".npz", ".h5"]))
def test_a_flipped_byte_is_read_or_refused_in_our_own_words(
    tmp_path: Path, place: float, byte: int, suffix: str
) -> None:
    path = tmp_path / f"v{suffix}"
    if not path.exists():
        save(path, x=np.arange(12.0).reshape(4, 3), y=np.arange(4), ids=np.array(list("abcd")))
    raw = bytearray(path.read_bytes())
    raw[min(int(place * len(raw)), len(raw) - 1)] = byte
    (tmp_path / "flipped").write_bytes(raw)
    try:
        list(read(tmp_path / "flipped", source="arrays"))
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_a_row_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hashret.readers.arrays.MAX_ROW", 100)
    for suffix in (".npy", ".npz", ".h5"):
        with pytest.raises(DataError, match="a row of 160 bytes"):
            list(read(save(tmp_path / f"v{suffix}", x=np.ones((2, 20)))))


def test_hdf5_that_reaches_out_of_its_file_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "other.h5", x=np.eye(2))
    (tmp_path / "secret").write_bytes(b"secret!!" * 8)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["x"] = h5py.ExternalLink("other.h5", "/x")
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout((2, 2), "f8")
        layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "x", (2, 2))
        file.create_virtual_dataset("x", layout)
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset("x", (4, 16), "u1", external=[(str(tmp_path / "secret"), 0, 64)])
    for name in ("link.h5", "virtual.h5", "external.h5"):
        with pytest.raises(DataError, match=r"other file|another file"):
            list(read(tmp_path / name))


def test_hdf5_that_claims_what_is_not_stored_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file.create_dataset("x", (2**40, 100), "f4", chunks=(1, 100), compression="gzip")
    with pytest.raises(DataError, match="has almost no data"):
        list(read(tmp_path / "v.h5"))


def test_fields_of_a_single_array(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.eye(2))
    with pytest.raises(UsageError, match="has no fields"):
        read(tmp_path / "v.npy", label="y")


def test_what_is_not_read_may_be_anything(tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", x=np.eye(2), words=np.array(["a", None], object))
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["x"] = np.eye(2)
        file["elsewhere"] = h5py.ExternalLink("nothing.h5", "/x")
        file.create_dataset("sparse", (2**40,), "f4", chunks=(100,))
    for name in ("v.npz", "v.h5"):
        assert len(list(read(tmp_path / name))) == 2


# IDX


def write_idx(
    folder: Path, name: str, images: np.ndarray, labels: Sequence[int] | None = None, packed: bool = False
) -> Path:
    data = b"\0\0\x08\x03" + np.array(images.shape, ">i4").tobytes() + images.tobytes()
    files = {name: data}
    if labels is not None:
        marks = b"\0\0\x08\x01" + np.array([len(labels)], ">i4").tobytes() + bytes(labels)
        files[name.replace("images-idx3", "labels-idx1")] = marks
    for file, raw in files.items():
        (folder / (file + ".gz" * packed)).write_bytes(gzip.compress(raw) if packed else raw)
    return folder / (name + ".gz" * packed)


IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)


@pytest.mark.parametrize("packed", [False, True])
def test_an_idx_pair(tmp_path: Path, packed: bool) -> None:
    path = write_idx(tmp_path, "train-images-idx3-ubyte", IMAGES, [5, 0, 4, 1, 9], packed)
    labels = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
    for way in (path, labels, tmp_path):
        source = read(way)
        assert (source.name, source.kind, source.count(), source.path) == ("idx", "image", 5, path)
        documents = list(source)
        assert [document.id for document in documents] == [f"{path.name}:{n}" for n in range(1, 6)]
        assert [document.labels for document in documents] == [("5",), ("0",), ("4",), ("1",), ("9",)]
        np.testing.assert_array_equal([document.content for document in documents], IMAGES)


def test_idx_images_without_labels_and_labels_without_images(tmp_path: Path) -> None:
    path = write_idx(tmp_path, "train-images-idx3-ubyte", IMAGES, [1, 2, 3, 4, 5])
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.rename(tmp_path / "elsewhere")
    assert {document.labels for document in read(path)} == {()}
    with pytest.raises(DataError, match="holds labels, but the matching file of images is missing"):
        read(tmp_path / "elsewhere")


def test_a_folder_of_several_pairs_lists_them(tmp_path: Path) -> None:
    for name in ("train", "t10k"):
        write_idx(tmp_path, f"{name}-images-idx3-ubyte", IMAGES, [1] * 5)
    with pytest.raises(UsageError, match=r"t10k-images-idx3-ubyte, .*train-images-idx3-ubyte"):
        read(tmp_path)


def test_idx_files_that_do_not_fit(tmp_path: Path) -> None:
    path = write_idx(tmp_path, "a-images-idx3-ubyte", IMAGES, [1] * 4)
    with pytest.raises(DataError, match="has 4 labels, a-images-idx3-ubyte 5 images"):
        list(read(path))
    labels = tmp_path / "a-labels-idx1-ubyte"
    labels.write_bytes(b"\0\0\x08\x01\0\0\0\5\1\2")
    with pytest.raises(DataError, match="cut short after label 2 of 5"):
        list(read(path))
    labels.write_bytes(b"something else")
    with pytest.raises(DataError, match="not an IDX file of labels"):
        list(read(path))
    labels.unlink()
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(DataError, match="cut short in image 5 of 5"):
        list(read(path))
    path.write_bytes(whole + b"\0")
    with pytest.raises(DataError, match="has more data after its 5 images"):
        list(read(path))
    path.write_bytes(gzip.compress(whole)[:-20])
    with pytest.raises(DataError, match="cut short"):
        list(read(path))
    path.write_bytes(b"\0\0\x08\x03" + b"\xff" * 12)
    with pytest.raises(DataError, match="claims images of"):
        list(read(path))
    path.write_bytes(b"\0\0\x08\x03\0\0")
    with pytest.raises(DataError, match="not an IDX file of images"):
        list(read(path))
