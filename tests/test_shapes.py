"""Histograms of oriented gradients."""

from __future__ import annotations

import numpy as np
import pytest

from hashret.documents import Document
from hashret.vectorizers.pixels import Pixels
from hashret.vectorizers.shapes import CELLS, DIRECTIONS, shapes


def stripes(angle: float, size: int = 32) -> np.ndarray:
    down, across = np.mgrid[:size, :size]
    return np.asarray(np.sin((across * np.cos(angle) + down * np.sin(angle)) * 2 * np.pi / 8) / 2 + 0.5, np.float32)


@pytest.mark.parametrize("direction", range(DIRECTIONS))
def test_the_direction_of_stripes_is_the_strongest(direction: int) -> None:
    found = shapes(stripes(np.pi * direction / DIRECTIONS).reshape(1, -1), (1, 32, 32)).reshape(
        DIRECTIONS, CELLS, CELLS
    )
    assert (found.argmax(axis=0) == direction).all()


def test_light_and_colour_change_little_and_a_negative_nothing() -> None:
    images = np.random.default_rng(0).random((5, 3, 20, 27)).astype(np.float32)
    flat = images.reshape(5, -1)
    found = shapes(flat, (3, 20, 27))
    assert found.shape == (5, DIRECTIONS * CELLS**2)
    np.testing.assert_allclose(shapes(1 - flat, (3, 20, 27)), found, atol=1e-4)
    np.testing.assert_allclose(shapes(images[:, ::-1].reshape(5, -1), (3, 20, 27)), found, atol=1e-5)
    np.testing.assert_allclose(shapes(flat * np.float32(0.5), (3, 20, 27)), found, atol=1e-2)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 3), (3, 3, 50)])
def test_images_of_any_size_have_shapes(shape: tuple[int, int, int]) -> None:
    found = shapes(np.random.default_rng(0).random((3, int(np.prod(shape)))).astype(np.float32), shape)
    assert np.isfinite(found).all()
    assert not shapes(np.ones((1, int(np.prod(shape))), np.float32), shape).any()


def test_images_are_compared_by_pixels_and_shapes() -> None:
    rng = np.random.default_rng(0)
    documents = [Document(str(i), rng.integers(0, 256, (9, 12), np.uint8)) for i in range(40)]
    pixels, edges = Pixels().fit(documents).views
    assert len(pixels) == len(edges) == 40
    assert np.abs(np.asarray(edges).mean(axis=0)).max() < 1e-5
    assert np.abs(np.asarray(pixels).mean(axis=0)).max() < 1e-4
