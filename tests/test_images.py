"""Images: deep values, transparency, several frames, HEIC, orientation."""

from __future__ import annotations

import base64
import io
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, PngImagePlugin

from hashret.errors import DataError
from hashret.images import load
from hashret.readers import read
from hashret.worker import image as worker_image

RAMP = np.linspace(0, 1, 64 * 64).reshape(64, 64)
# 24 x 16 pixels, the upper half red and the lower half blue
HEIC = zlib.decompress(
    base64.b85decode(
        "c-mc2J4*vW5T3mw;gG1o2Lur@AifGAB4T;?C@j)hiJ<4^jx5|IOA;lqGLXhj5G`!XFVM<H5VW)qEd@nP;j>T?!3U9Z=5mTS>@qXod^0;c"
        "0|4z-t{{`9;DF)?D@L{>3=4qmJ7&&+nnaTcJLB6R1<%1h84`BdD>ANw0*owHscDorVkpYMFVcl~M2M8-c@%9$$Mk5(NiOmj`~ewJCi23g"
        "H%O6lz-K~L$c#jNAtX<uUclTjrV_O3kvg8C`t|+}(5TK~Mnq>J=DI{siJ{Wz*i&=^gMFin{fm@4i-C=Y?aiC3X!&3nAhb+yX&%|ZadwzJ"
        "T){V*dD_mTxSdC|9)d`L7Lk>v|6AR^z1%jav54P$n6&G<XEX!Ur~WL$Qsf0Cs+y(|Ur6U?6%1IQsHlMw+HE3ZT0Y*u6It%fo+=ldgh5N1"
        ">}5O6(d?RjJvi(Z*PdoRU+n&^VtBVQJAJ(LQF&XRdOI@fmAjMui_6e+tTdLWb_Y#u{q^>~d_J9;s0)NQOVvovBNhwRHV}_PKYAK4)<i?1"
        "Nz{7y27YXQ$p"
    )
)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def grey(raw: bytes) -> npt.NDArray[np.uint8]:
    loaded = load(raw)
    assert loaded.mode == "L"
    return np.asarray(loaded)


@pytest.mark.parametrize(
    ("highest", "kind", "format"),
    [
        (4095, np.uint16, "PNG"),
        (255, np.uint16, "PNG"),
        (256, np.uint16, "PNG"),
        (65535, np.uint16, "TIFF"),
        (65535, np.uint16, "JPEG2000"),
        (10**6, np.int32, "TIFF"),
        (1.0, np.float32, "TIFF"),
        (1e30, np.float32, "TIFF"),
    ],
)
def test_a_gradient_is_the_same_at_any_depth(highest: float, kind: type, format: str) -> None:
    values = grey(encoded(Image.fromarray((RAMP * highest).astype(kind)), format)).astype(int)
    assert np.abs(values - np.rint(RAMP * 255)).max() <= 1


@given(arrays(np.float32, (3, 4), elements=st.floats(width=32)))
def test_any_floats_become_grey(values: npt.NDArray[np.float32]) -> None:
    found = np.asarray(worker_image._plain(Image.fromarray(values)))
    finite = np.isfinite(values)
    assert (found[~finite] == 0).all()
    if finite.any() and (values[finite].max() > max(0, -values[finite].min() * 1e-3)):
        assert found[values == values[finite].max()].min() == 255
    order = np.argsort(values[finite], kind="stable")
    assert (np.diff(found[finite][order].astype(int)) >= 0).all()


def test_negative_values_are_darker_than_zero() -> None:
    assert grey(encoded(Image.fromarray(np.array([[-2, 0, 2]], np.float32)), "TIFF")).tolist() == [[0, 128, 255]]


def test_transparent_pixels_of_16_bit_grey_are_white_and_do_not_count() -> None:
    values = np.array([[0, 1000, 5000, 65535]], np.uint16)
    raw = encoded(Image.fromarray(values), "PNG", transparency=65535)
    assert grey(raw).tolist() == [[0, 51, 255, 255]]


def test_a_large_deep_image_is_scaled_by_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = encoded(Image.fromarray((np.linspace(0, 4095, 600 * 500).reshape(600, 500)).astype(np.uint16)), "TIFF")
    whole = worker_image.shrunk(raw, 256, 10**8, 10**9)
    monkeypatch.setattr(worker_image, "AT_ONCE", 0)
    monkeypatch.setattr(worker_image, "STRIP", 10_000)
    pieces = worker_image.shrunk(raw, 256, 10**8, 10**9)
    assert np.abs(np.asarray(whole, int) - np.asarray(pieces, int)).max() <= 3


@pytest.mark.parametrize("format", ["GIF", "TIFF", "WEBP", "PNG", "AVIF"])
def test_the_first_of_several_frames_counts(format: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "green")]
    loaded = load(encoded(frames[0], format, save_all=True, append_images=frames[1:]))
    assert np.abs(np.asarray(loaded.convert("RGB"), int)[8, 8] - [255, 0, 0]).max() < 5


def test_the_largest_image_of_an_icon_counts() -> None:
    raw = encoded(Image.new("RGBA", (64, 64), "red"), "ICO", sizes=[(16, 16), (64, 64), (32, 32)])
    assert load(raw).size == (64, 64)


def test_heic_is_read(tmp_path: Path) -> None:
    pytest.importorskip("pi_heif")
    (tmp_path / "photo").write_bytes(HEIC)
    (document,) = read(tmp_path)
    assert isinstance(document.content, Path)
    loaded = np.asarray(load(document.content), int)
    assert loaded.shape == (16, 24, 3)
    assert np.abs(loaded[2, 2] - [255, 0, 0]).max() < 9 > np.abs(loaded[-2, 2] - [0, 0, 255]).max()


def test_heic_without_the_extra_is_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    (tmp_path / "a.heic").write_bytes(HEIC)
    Image.new("RGB", (5, 5)).save(tmp_path / "b.png")
    assert [document.id for document in read(tmp_path)] == ["b.png"]
    assert "skipped 1 file (missing package: pip install 'hashret[heic]'): .heic 1" in caplog.text


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_an_image_is_turned_upright(format: str) -> None:
    picture = Image.new("RGB", (40, 20), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    assert load(encoded(picture, format, exif=exif)).size == (20, 40)


@pytest.mark.parametrize("format", ["JPEG2000", "ICO", "AVIF"])
def test_an_image_cut_short_is_refused_or_read(format: str) -> None:
    raw = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)), format)
    for end in range(20, len(raw), len(raw) // 9):
        with suppress(DataError):
            load(raw[:end])


def test_a_text_chunk_is_not_a_pixel() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("transparency", "7")
    raw = encoded(Image.fromarray(np.array([[0, 7]], np.uint16)), "PNG", pnginfo=info)
    assert grey(raw).tolist() == [[0, 255]]
