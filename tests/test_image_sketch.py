"""Sketches of images: near for copies, far for other images, digests for flat ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from hashret.image_sketch import BITS, JOINS, RADIUS, VIEWS, image_sketches, image_views
from tests.edited_images import EDITS, edited, originals, photographs

Image = npt.NDArray[np.uint8]


def distances(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """The smallest distance over the views that are compared, of each row with each row: [first, second]."""
    found = np.full((len(first), len(second)), BITS)
    for one, other in (*JOINS, *((b, a) for a, b in JOINS)):
        differ = np.bitwise_count(first[:, None, one] ^ second[None, :, other]).sum(axis=-1)
        found = np.minimum(found, differ)
    return found


class TestSketches:
    def test_shape_and_first_view(self) -> None:
        images = photographs(4)
        views = image_views(images)
        assert views.shape == (4, VIEWS, BITS // 8)
        assert (views[:, 0] == image_sketches(images)).all()

    def test_nothing_to_sketch(self) -> None:
        assert image_sketches([]).shape == (0, BITS // 8)

    @pytest.mark.parametrize("edit", EDITS)
    def test_copies_are_near(self, edit: str) -> None:
        copies = [edited(image, edit) for image in originals()[:30]]
        found = distances(image_views(photographs(30)), image_views(copies))
        assert (found.diagonal() <= RADIUS).mean() >= 0.85

    def test_strangers_are_far(self) -> None:
        views = image_views(photographs(30))
        strangers = distances(views, views)[~np.eye(30, dtype=bool)]
        assert (strangers <= RADIUS).mean() < 0.01
        assert strangers.mean() > 45

    def test_a_sketch_does_not_depend_on_the_others(self) -> None:
        images = photographs(6)
        assert (image_sketches(images)[3:4] == image_sketches(images[3:4])).all()

    def test_grey_in_one_channel_or_three(self) -> None:
        grey = photographs(1)[0][..., 0]
        one, three = image_sketches([grey, np.stack([grey] * 3, axis=-1)])
        assert np.bitwise_count(one ^ three).sum() <= 2

    def test_mirror_images_are_far(self) -> None:
        images = photographs(20)
        turned = image_views([np.ascontiguousarray(image[:, ::-1]) for image in images])
        assert (distances(image_views(images), turned).diagonal() > RADIUS).mean() >= 0.9


class TestFlatImages:
    """They have no pattern, so only equal ones are near: no sketch is shared by all of them."""

    def test_equal_ones(self) -> None:
        black = np.zeros((32, 32), np.uint8)
        views = image_views([black, np.zeros((32, 32, 3), np.uint8), black.copy()])
        assert (views == views[:1]).all()

    def test_others_are_far_from_each_other(self) -> None:
        flat = [np.full((32, 32, 3), level, np.uint8) for level in range(0, 256, 8)]
        flat += [np.zeros((size, 32), np.uint8) for size in range(8, 31)]
        speck = np.zeros((32, 32), np.uint8)
        speck[3, 3] = 1
        found = distances(image_views([*flat, speck]), image_views([*flat, speck]))
        assert found[~np.eye(len(found), dtype=bool)].min() > RADIUS

    def test_tiny_images(self) -> None:
        rng = np.random.default_rng(0)
        images = [rng.integers(0, 256, size, dtype=np.uint8) for size in ((1, 1), (1, 64), (2, 3, 3), (64, 1, 3))]
        assert image_views(images).shape == (4, VIEWS, BITS // 8)
