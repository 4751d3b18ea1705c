"""Descriptors of images: edges, brightness and colours."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from hashret import quantizer
from hashret.descriptors import BRIGHTNESS, CELLS, COLOUR, DIRECTIONS, EDGES, describe, described, edges, layout
from hashret.documents import Document
from hashret.vectorizers.pixels import Pixels


def stripes(angle: float, size: int = 32) -> np.ndarray:
    down, across = np.mgrid[:size, :size]
    waves = np.sin((across * np.cos(angle) + down * np.sin(angle)) * 2 * np.pi / 8) / 2 + 0.5
    return np.asarray(waves, np.float32).reshape(1, 1, size, size)


@pytest.mark.parametrize("direction", range(DIRECTIONS))
def test_the_direction_of_stripes_is_the_strongest(direction: int) -> None:
    found = edges(stripes(np.pi * direction / DIRECTIONS)).reshape(DIRECTIONS, CELLS, CELLS)
    assert (found.argmax(axis=0) == direction).all()
    assert (np.sort(found, axis=0)[-2] < 0.6 * found.max(axis=0)).all()


def test_a_direction_between_two_bins_counts_in_both() -> None:
    found = edges(stripes(np.pi * 2.5 / DIRECTIONS)).reshape(DIRECTIONS, -1)
    order = np.argsort(found, axis=0)[-2:]
    assert (np.sort(order, axis=0) == np.array([[2], [3]])).all()


def test_light_and_colour_change_edges_little_and_a_negative_nothing() -> None:
    images = np.random.default_rng(0).random((5, 3, 20, 27)).astype(np.float32)
    found = edges(images)
    assert found.shape == (5, EDGES)
    np.testing.assert_allclose(edges(1 - images), found, atol=1e-3)
    np.testing.assert_allclose(edges(images[:, ::-1]), found, atol=1e-5)
    np.testing.assert_allclose(edges(images * np.float32(0.5)), found, atol=1e-2)


def test_faint_noise_is_no_edge() -> None:
    image = np.ones((1, 1, 32, 32), np.float32)
    image[:, :, 4:14, 4:14] = 0
    noise = 0.03 * np.random.default_rng(0).standard_normal(image.shape).astype(np.float32)
    clean, noisy = edges(image), edges(image + noise)
    assert np.linalg.norm(noisy - clean) < 0.35 * np.linalg.norm(clean)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 3), (3, 3, 50), (1, 16, 5)])
def test_images_of_any_size_are_described(shape: tuple[int, int, int]) -> None:
    found = describe(np.random.default_rng(0).random((3, *shape)).astype(np.float32))
    assert found.shape == (3, described(shape[0]))
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert not edges(np.ones((1, *shape), np.float32)).any()
    np.testing.assert_allclose(layout(np.full((1, *shape), 0.25, np.float32))[:, 0], 0.25, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_description_does_not_depend_on_other_images(channels: int) -> None:
    images = np.random.default_rng(0).random((150, channels, 17, 23)).astype(np.float32)
    alone = np.concatenate([describe(image[None]) for image in images])
    np.testing.assert_array_equal(describe(images), alone)


def test_layout_holds_brightness_and_opponent_colours() -> None:
    colours = {"grey": (0.5, 0.5, 0.5), "red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0)}
    images = np.array([np.broadcast_to(np.reshape(c, (3, 1, 1)), (3, 8, 8)) for c in colours.values()], np.float32)
    wanted = [[1 / 2, 0, 0], [1 / 3, 1 / 2, 1 / 4], [1 / 3, -1 / 2, 1 / 4], [1 / 3, 0, -1 / 2], [2 / 3, 0, 1 / 2]]
    found = layout(images)
    np.testing.assert_allclose(found, np.repeat(np.array(wanted)[:, :, None], CELLS**2, axis=2), atol=1e-6)
    half = np.zeros((1, 1, 16, 16), np.float32)
    half[..., 8:] = 1
    assert (np.diff(layout(half).reshape(CELLS, CELLS), axis=1) > 0).all()


def test_brightness_and_colour_are_weighted_and_black_is_described() -> None:
    images = np.random.default_rng(0).random((4, 3, 16, 16)).astype(np.float32)
    found, means = describe(images)[:, EDGES:].reshape(4, 3, -1), layout(images)
    np.testing.assert_allclose(found[:, 0], BRIGHTNESS * (means[:, 0] + 1), rtol=1e-5)
    np.testing.assert_allclose(found[:, 1:], COLOUR * means[:, 1:], rtol=1e-4, atol=1e-6)
    assert describe(np.zeros((1, 1, 16, 16), np.float32)).any()


@pytest.mark.parametrize("colour", [False, True])
def test_images_are_compared_by_pixels_edges_and_colours(colour: bool) -> None:
    rng = np.random.default_rng(0)
    size = (9, 12, 3) if colour else (9, 12)
    documents = [Document(str(i), rng.integers(0, 256, size, np.uint8)) for i in range(40)]
    views = Pixels().fit(documents).views
    assert [view.shape[1] for view in map(np.asarray, views)][1:] == ([EDGES, 3 * CELLS**2] if colour else [EDGES])
    for view in views:
        assert len(view) == 40
        assert np.abs(np.asarray(view).mean(axis=0)).max() < 1e-4


def glyphs(size: int) -> list[Image.Image]:
    """Letters and signs of a font at a size."""
    matplotlib = pytest.importorskip("matplotlib")
    path = Path(matplotlib.__file__).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    font, drawn = ImageFont.truetype(str(path), round(size * 0.8)), []
    for number in (*range(ord("a"), ord("z") + 1), *range(0x2200, 0x2240), *range(0x2600, 0x2640)):
        image = Image.new("L", (size, size), 255)
        ImageDraw.Draw(image).text((size / 2, size / 2), chr(number), font=font, fill=0, anchor="mm")
        drawn.append(image)
    return drawn


def compressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=50)
    return Image.open(buffer)


def cut(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.crop((width // 16, height // 24, width - width // 24, height - height // 16))


@pytest.mark.parametrize("change", ["none", "compressed", "cut"])
def test_vectors_find_an_icon_at_another_size(change: str) -> None:
    changed = {"none": lambda image: image, "compressed": compressed, "cut": cut}[change]
    documents = [Document(str(n), np.asarray(image)) for n, image in enumerate(glyphs(48))]
    questions = [Document(str(n), np.asarray(changed(image))) for n, image in enumerate(glyphs(24))]
    vectorizer = Pixels(size=32)
    own = vectorizer.for_vectors(vectorizer.fit(documents).input)
    made = quantizer.fit(own, quantizer.BYTES, vectorizer.centred)
    asked = made.prepared(vectorizer.for_vectors(vectorizer.transform(questions).input))
    near = asked @ made.decode(made.encode(own)).T
    better = (near > near.diagonal()[:, None]).sum(axis=1)
    assert (better < 5).mean() >= 0.95
