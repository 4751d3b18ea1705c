"""Which small images are the same: copies are, whatever was done to them; other images, also alike ones, are not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from hashret import Index, duplicates
from hashret.deduplication.images import NEAR, SIMILAR, Prepared, similarity
from hashret.documents import Document
from hashret.images import load
from hashret.testing.corpora import digits
from tests.edited_images import EDITS, Pixels, edited, kept, originals, photographs

COUNT = 20


@pytest.fixture(scope="module")
def prepared() -> list[Prepared]:
    return [Prepared(image) for image in photographs(COUNT)]


def drawn(size: int, ears: bool = True, fill: str = "orange") -> Pixels:
    """An icon of an animal's head, larger by whole factors of 16."""
    image = Image.new("RGB", (16, 16), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((3, 4, 12, 13), fill=fill)
    if ears:
        draw.polygon([(3, 6), (3, 1), (7, 4)], fill=fill)
        draw.polygon([(12, 6), (12, 1), (9, 4)], fill=fill)
    draw.point([(6, 8), (9, 8)], fill="black")
    draw.line((7, 11, 10, 10), fill="black")
    return np.asarray(image.resize((size, size), Image.Resampling.BOX if size < 16 else Image.Resampling.NEAREST))


class TestCopies:
    @pytest.mark.parametrize("edit", EDITS)
    def test_near(self, edit: str, prepared: list[Prepared]) -> None:
        copies = (Prepared(edited(image, edit)) for image in originals()[:COUNT])
        found = [similarity(one, copy) for one, copy in zip(prepared, copies, strict=True)]
        assert np.mean(np.array(found) >= NEAR) >= 0.95

    def test_crops_are_similar(self, prepared: list[Prepared]) -> None:
        copies = (Prepared(edited(image, "cropped by 20 %")) for image in originals()[:COUNT])
        assert all(similarity(one, copy) >= SIMILAR for one, copy in zip(prepared, copies, strict=True))

    def test_the_same_pixels(self) -> None:
        image = photographs(1)[0]
        grey = image[..., 0]
        assert similarity(Prepared(image), Prepared(image.copy())) == 1
        assert similarity(Prepared(grey), Prepared(np.stack([grey] * 3, axis=-1))) == 1

    def test_an_icon_of_other_sizes(self) -> None:
        large = Prepared(drawn(64))
        assert all(similarity(large, Prepared(drawn(size))) >= NEAR for size in (16, 32, 48))

    def test_a_mirror_image_is_another_one(self, prepared: list[Prepared]) -> None:
        for one in prepared:
            assert similarity(one, Prepared(one.image[:, ::-1])) < SIMILAR


class TestOthers:
    def test_photographs(self, prepared: list[Prepared]) -> None:
        pairs = [(one, other) for i, one in enumerate(prepared) for other in prepared[:i]]
        assert max(similarity(*pair) for pair in pairs) < SIMILAR

    def test_digits(self) -> None:
        """Digits of one kind are alike, and still not copies."""
        images, kinds = digits()
        sevens = [Prepared(image) for image in images[kinds == 7][:12]]
        found = [similarity(one, other) for i, one in enumerate(sevens) for other in sevens[:i]]
        assert np.mean(np.array(found) >= NEAR) < 0.1

    def test_other_colours(self) -> None:
        orange = Prepared(drawn(48))
        assert similarity(orange, Prepared(drawn(48, fill="dodgerblue"))) < SIMILAR
        assert similarity(orange, Prepared(np.asarray(Image.fromarray(drawn(48)).convert("L")))) >= NEAR

    def test_a_part_that_differs(self) -> None:
        assert similarity(Prepared(drawn(48)), Prepared(drawn(48, ears=False))) < NEAR

    def test_the_negative(self, prepared: list[Prepared]) -> None:
        assert all(similarity(one, Prepared(255 - one.image)) < SIMILAR for one in prepared)


class TestFlat:
    @pytest.mark.parametrize("level", [0, 128, 255])
    def test_only_equal_ones_are_the_same(self, level: int) -> None:
        flat = np.full((32, 32), level, np.uint8)
        other = flat.copy()
        other[5, 5] ^= 1
        assert similarity(Prepared(flat), Prepared(np.stack([flat] * 3, axis=-1))) == 1
        assert similarity(Prepared(flat), Prepared(other)) == 0
        assert similarity(Prepared(flat), Prepared(flat[:16])) == 0
        assert similarity(Prepared(flat), Prepared(photographs(1)[0])) == 0


def test_the_order_does_not_matter(prepared: list[Prepared]) -> None:
    crops = [Prepared(edited(image, "cropped by 10 %")) for image in originals()[:8]]
    for one in prepared[:8]:
        for other in (*prepared[:8], *crops):
            assert similarity(one, other) == similarity(other, one)


def test_tiny_and_narrow_images() -> None:
    rng = np.random.default_rng(0)
    shapes = ((1, 1), (1, 64), (64, 1), (2, 3, 3), (5, 5), (64, 3, 3))
    images = [Prepared(rng.integers(0, 256, shape, dtype=np.uint8)) for shape in shapes]
    assert all(0 <= similarity(one, other) <= 1 for one in images for other in images)


def test_an_opaque_alpha_channel_changes_nothing() -> None:
    image = Image.fromarray(originals()[0])
    opaque = image.copy()
    opaque.putalpha(255)
    assert similarity(Prepared(_stored(image)), Prepared(_stored(opaque))) == 1


def _stored(image: Image.Image) -> Pixels:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return kept(np.asarray(load(buffer.getvalue())))


def test_groups_of_copies() -> None:
    """Groups have the copies of one photograph; black images are together only if their sizes are equal."""
    found = originals()[:12]
    documents = [Document(f"{number}", image) for number, image in enumerate(found)]
    documents += [Document(f"{number}-half", edited(image, "half the size")) for number, image in enumerate(found)]
    documents += [Document(f"{number}-cut", edited(image, "cropped by 5 %")) for number, image in enumerate(found)]
    documents += [Document(f"black-{number}", np.zeros((20 + number // 2, 20), np.uint8)) for number in range(6)]
    groups = duplicates(documents).groups
    assert sorted(sorted([group.keep, *group.drop]) for group in groups) == sorted(
        [
            *(sorted([f"{number}", f"{number}-half", f"{number}-cut"]) for number in range(12)),
            *(["black-0", "black-1"], ["black-2", "black-3"], ["black-4", "black-5"]),
        ]
    )


def test_new_images_against_those_of_an_index(tmp_path: Path) -> None:
    """The pairs are those of one collection with both."""
    old = [Document(f"old-{number}", image) for number, image in enumerate(originals()[:8])]
    new = [Document(f"new-{number}", edited(image, "cropped by 5 %")) for number, image in enumerate(originals()[4:12])]
    with Index.create(tmp_path / "index", old, bits=16, encoder="lsh") as index:
        found = index.duplicates(new)
        assert sorted((pair.first, pair.second) for pair in found.pairs) == [
            (f"old-{number + 4}", f"new-{number}") for number in range(4)
        ]
        index.add(new)
        together = {frozenset((pair.first, pair.second)) for pair in index.duplicates().pairs}
        assert together == {frozenset((pair.first, pair.second)) for pair in found.pairs}
