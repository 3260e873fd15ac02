"""Wavelet scattering: kymatio's coefficients (reference/make_scattering.py), and what a person may rely on besides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from littoral.errors import InputError, ShapeError
from littoral.nn.fixed.scattering import PART, Filters, ScatteringConfig, filter_arrays, paths, scattering


def filters(height: int, width: int, scales: int, angles: int) -> Filters:
    return Filters(*([torch.tensor(a) for a in arrays] for arrays in filter_arrays(height, width, scales, angles)))


@pytest.mark.parametrize(("scales", "angles"), [(1, 5), (2, 8), (3, 6)])
def test_the_coefficients_are_those_of_kymatio(scales: int, angles: int) -> None:
    stored = np.load(Path(__file__).parent / "reference/scattering.npz")
    images, theirs = torch.tensor(stored["images"]), torch.tensor(stored[f"J{scales}_L{angles}"]).double()
    # their Gaussians are divided by 3.1415, ours by π, once for each filter that an order goes through
    filtered = torch.tensor([1] + [2] * (scales * angles) + [3] * (paths(scales, angles) - 1 - scales * angles))
    theirs = theirs * (3.1415 / torch.pi) ** filtered.view(-1, 1, 1)
    ours = scattering(images.double().unsqueeze(1), filters(29, 20, scales, angles))
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    single = ScatteringConfig(scales, angles).build((1, 29, 20))(images.unsqueeze(1))["coefficients"]
    torch.testing.assert_close(single.double(), theirs, atol=2e-6, rtol=0)


def test_channels_and_images_go_by_themselves_however_many_there_are() -> None:
    shape = (3, 24, 20)
    images = torch.rand(PART // (8 * 28 * 24), *shape)  # three parts
    branch = ScatteringConfig().build(shape)
    together = branch(images)["coefficients"]
    alone = ScatteringConfig().build((1, 24, 20))
    for number, channel in ((0, 0), (0, 2), (-1, 1)):
        one = alone(images[number, channel][None, None])["coefficients"][0]
        torch.testing.assert_close(together[number].unflatten(0, (3, -1))[channel], one)
    assert branch(images[:0])["coefficients"].shape == (0, *together.shape[1:])


def test_an_even_image_has_its_brightness_alone_and_its_gradient_is_finite() -> None:
    images = torch.full((1, 1, 16, 16), 0.3, dtype=torch.float64, requires_grad=True)
    found = scattering(images, filters(16, 16, 2, 8))
    torch.testing.assert_close(found[:, 0], torch.full((1, 4, 4), 0.3, dtype=torch.float64))
    assert found[:, 1:].abs().max() < 1e-9
    found.sum().backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()


def test_gradients_are_those_of_finite_differences() -> None:
    images = torch.rand(1, 1, 9, 8, dtype=torch.float64, requires_grad=True)
    constants = filters(9, 8, 2, 4)
    assert torch.autograd.gradcheck(lambda x: scattering(x, constants)[:, ::9], images)


def test_what_cannot_be_is_refused() -> None:
    for scales, angles in ((0, 8), (2, 3)):
        with pytest.raises(InputError, match="1 to 6 scales and 4 to 16 angles"):
            ScatteringConfig(scales, angles)
    for refused in (ScatteringConfig(3).features, ScatteringConfig(3).build):
        with pytest.raises(ShapeError, match="needs sides of more than 8 pixels, got 28×8; take fewer scales"):
            refused((1, 28, 8))
