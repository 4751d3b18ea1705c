"""Random transformations of images in training."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from hashret.encoders.nn import noise
from hashret.encoders.nn.noise import moved


@pytest.fixture(autouse=True)
def drawn() -> Iterator[None]:
    """Fixed random numbers, without changing the state of the caller."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only mirrored, without rotation, scaling, shift or light."""
    for name in ("TURN", "GROW", "SHIFT", "LIGHT"):
        monkeypatch.setattr(noise, name, 0.0)


@pytest.mark.parametrize("shape", [(20, 1, 8, 8), (20, 3, 16, 16), (5, 3, 9, 7), (1, 1, 1, 1), (2, 3, 1, 5)])
def test_they_keep_their_shape_and_range(shape: tuple[int, ...]) -> None:
    copies = moved(torch.rand(*shape))
    assert copies.shape == shape
    assert copies.dtype == torch.float32
    assert float(copies.min()) >= 0
    assert float(copies.max()) <= 1 + 1e-6  # interpolation rounds


@pytest.mark.parametrize("channels", [1, 3])
def test_each_is_moved_by_itself(channels: int) -> None:
    x = torch.rand(1, channels, 12, 12).repeat(30, 1, 1, 1)
    copies = moved(x)
    assert ((copies - x).abs().amax((1, 2, 3)) > 0.05).all()
    apart = (copies[:, None] - copies[None]).abs().amax((2, 3, 4)) + torch.eye(30)
    assert float(apart.min()) > 1e-3


@pytest.mark.usefixtures("still")
def test_writing_is_not_mirrored() -> None:
    x = torch.rand(40, 1, 10, 12)
    torch.testing.assert_close(moved(x), x, atol=1e-5, rtol=0)


@pytest.mark.usefixtures("still")
def test_about_half_of_the_colour_images_are_mirrored_from_side_to_side() -> None:
    x = torch.rand(200, 3, 10, 12)
    copies = moved(x)
    same = (copies - x).abs().amax((1, 2, 3)) < 1e-4
    mirrored = (copies - x.flip(3)).abs().amax((1, 2, 3)) < 1e-4
    assert (same ^ mirrored).all()
    assert 70 < int(mirrored.sum()) < 130


def test_only_colour_images_change_their_light() -> None:
    for channels, changes in ((1, False), (3, True)):
        x = torch.full((50, channels, 20, 20), 0.5)
        centre = moved(x)[:, :, 8:12, 8:12]  # too far inside for effects of the border
        assert bool((centre - 0.5).abs().amax() > 0.02) == changes
        assert float((centre - 0.5).abs().max()) <= noise.LIGHT / 2 + 1e-5


@pytest.mark.usefixtures("still")
def test_turning_and_mirroring_keep_what_is_round_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "TURN", 0.2)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 33), torch.linspace(-1, 1, 33), indexing="ij")
    ring = torch.exp(-(((x**2 + y**2).sqrt() - 0.5) ** 2) * 40)  # rotations do not change it
    rings = ring.expand(60, 3, 33, 33)
    torch.testing.assert_close(moved(rings), rings, atol=0.05, rtol=0)
