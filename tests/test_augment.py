"""Augmentation: pure functions of images and numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.errors import InputError
from littoral.images.store import ImageStore
from littoral.training.augment import Moves, draw, moved
from littoral.training.recipe import Augment

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

strengths = st.builds(
    Augment,
    rotate=st.floats(0, 180),
    scale=st.floats(0, 0.9),
    shear=st.floats(0, 1),
    shift=st.floats(0, 0.5),
    elastic=st.floats(0, 0.2),
    mirror=st.booleans(),
)
shapes = st.tuples(st.integers(1, 5), st.sampled_from([1, 3]), st.integers(1, 20), st.integers(1, 20))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(shapes)
@settings(deadline=None, max_examples=40)
def test_no_strength_is_the_identity(shape: tuple[int, int, int, int]) -> None:
    images = torch.rand(shape)
    torch.testing.assert_close(moved(images, draw(Augment(), shape[0], generator())), images, atol=1e-5, rtol=0)


@given(shapes, strengths, st.integers(0, 1000))
@settings(deadline=None, max_examples=60)
def test_shape_range_and_input_are_kept_and_the_same_numbers_give_the_same_images(
    shape: tuple[int, int, int, int], strength: Augment, seed: int
) -> None:
    images = torch.rand(shape)
    before = images.clone()
    once = moved(images, draw(strength, shape[0], generator(seed)))
    again = moved(images, draw(strength, shape[0], generator(seed)))
    assert torch.equal(once, again)
    assert torch.equal(images, before)
    assert once.shape == images.shape
    assert once.min() >= images.min() - 1e-5
    assert once.max() <= images.max() + 1e-5


@given(shapes, strengths)
@settings(deadline=None, max_examples=30)
def test_an_even_image_stays_what_it_is(shape: tuple[int, int, int, int], strength: Augment) -> None:
    images = torch.full(shape, 0.7)
    torch.testing.assert_close(moved(images, draw(strength, shape[0], generator())), images)


def test_a_turn_is_one_of_pixels_on_images_that_are_not_square() -> None:
    image = torch.zeros(1, 1, 61, 201)
    image[..., 30, :] = image[..., 100] = 1  # a level and an upright line through the middle
    cos, sin = math.cos(math.radians(20)), math.sin(math.radians(20))
    turn = Moves(torch.tensor([[[cos, -sin, 0], [sin, cos, 0]]]), None)
    upright, level = image.clone(), image.clone()
    upright[..., :100], upright[..., 101:], level[..., :30, :], level[..., 31:, :] = 0, 0, 0, 0
    for line, way in ((upright, 1), (level, 0)):
        turned = moved(line, turn)[0, 0]
        turned = turned[10:51] if way else turned[:, 75:126]
        places = turned.argmax(way).numpy()
        slope = np.polyfit(np.arange(len(places)), places, 1)[0]
        assert math.degrees(math.atan(abs(slope))) == pytest.approx(20, abs=1)


@given(strengths)
@settings(deadline=None, max_examples=30)
def test_each_image_is_moved_by_its_own_numbers_alone(strength: Augment) -> None:
    images = torch.rand(6, 1, 12, 12)
    moves = draw(strength, 6, generator())
    whole = moved(images, moves)
    torch.testing.assert_close(
        torch.cat([moved(images[:2], moves.part(0, 2)), moved(images[2:], moves.part(2, 6))]), whole
    )


def test_a_shift_moves_by_the_share_that_it_says() -> None:
    images = torch.rand(1, 1, 10, 10)
    two_right = Moves(torch.tensor([[[1.0, 0, -0.4], [0, 1, 0]]]), None)  # looks two pixels to the left
    torch.testing.assert_close(moved(images, two_right)[..., 2:], images[..., :-2], atol=1e-5, rtol=0)


def test_strengths_are_reached_and_not_passed() -> None:
    moves = draw(Augment(shift=0.1), 4000, generator())
    reach = moves.affine[:, :, 2] / 2
    assert 0.098 < reach.abs().max() <= 0.1
    turned = draw(Augment(rotate=30.0), 4000, generator()).affine
    angles = torch.rad2deg(torch.atan2(turned[:, 1, 0], turned[:, 0, 0]))
    assert 29.5 < angles.abs().max() <= 30.001
    knots = draw(Augment(elastic=0.05), 4000, generator()).knots
    assert knots is not None
    assert knots.std().item() == pytest.approx(0.1, rel=0.02)


@given(shapes, st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_mirrored_images_are_the_images_themselves_or_their_mirror_images(
    shape: tuple[int, int, int, int], seed: int
) -> None:
    images = torch.rand(shape)
    given = moved(images, draw(Augment(mirror=True), shape[0], generator(seed)))
    for image, mirrored in zip(images, given, strict=True):
        assert min((image - mirrored).abs().max(), (image.flip(2) - mirrored).abs().max()) < 1e-5


def test_every_second_image_is_mirrored_about() -> None:
    turned = draw(Augment(rotate=10.0, mirror=True), 4000, generator()).affine[:, 0, 0] < 0
    assert 0.47 < turned.float().mean() < 0.53
    plain, mirrored = (draw(Augment(shift=0.1, mirror=mirror), 5, generator()).affine for mirror in (False, True))
    torch.testing.assert_close(plain[..., 2], mirrored[..., 2])  # what else is drawn is drawn as before


@given(st.integers(1, 20), st.integers(1, 20), st.booleans(), st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_images_that_are_shifted_alone_stay_sharp(height: int, width: int, mirror: bool, seed: int) -> None:
    images = torch.randint(2, (4, 1, height, width), generator=generator(seed)).float()
    shifted = moved(images, draw(Augment(shift=0.4, mirror=mirror), 4, generator(seed)))
    torch.testing.assert_close(shifted, shifted.round(), atol=1e-4, rtol=0)


def test_a_digit_stays_readable(mnist: ImageStore) -> None:
    """The strengths of the presets keep most of the ink in the image."""
    from littoral.training.presets import PRESETS

    images = torch.tensor(mnist.images[:500]).permute(0, 3, 1, 2).float() / 255
    for preset in PRESETS.values():
        if preset.recipe.augment is not None:
            ink = moved(images, draw(preset.recipe.augment, 500, generator())).sum((1, 2, 3)) / images.sum((1, 2, 3))
            assert 0.8 < float(np.median(ink.numpy())) < 1.2
            assert ink.min() > 0.4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_moves_alike() -> None:
    images = torch.rand(8, 3, 24, 24)
    moves = draw(Augment(20.0, 0.2, 0.2, 0.1, 0.05), 8, generator())
    there = moved(images.cuda(), moves.to(torch.device("cuda")))
    torch.testing.assert_close(there.cpu(), moved(images, moves), atol=1e-3, rtol=0)


def test_strengths_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="0 or more"):
        Augment(rotate=-1.0)
    with pytest.raises(InputError, match="below 1"):
        Augment(scale=1.0)
    with pytest.raises(InputError, match="0 or more"):
        Augment(shear=float("nan"))
