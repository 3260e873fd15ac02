"""Oriented gradients: what scikit-image computes where it has the same, and what a person may rely on elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import hog

from littoral.errors import InputError, ShapeError
from littoral.images.store import ImageStore
from littoral.nn.fixed.hog import HogConfig, hard_histograms, normalised, soft_histograms

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")


@pytest.mark.parametrize(("bins", "cell", "side"), [(9, 4, 28), (6, 7, 28), (8, 8, 32)])
@pytest.mark.parametrize("channels", [1, 3])
def test_hard_histograms_are_those_of_scikit_image(bins: int, cell: int, side: int, channels: int) -> None:
    images = np.random.default_rng(0).random((5, side, side, channels))
    ours = normalised(hard_histograms(torch.tensor(images).permute(0, 3, 1, 2), bins, cell), 1, 1e-5)
    for image, histograms in zip(images, ours, strict=True):
        theirs = hog(
            image,
            bins,
            (cell, cell),
            cells_per_block=(1, 1),
            block_norm="L2",
            feature_vector=False,
            channel_axis=-1,
        )[:, :, 0, 0]
        np.testing.assert_allclose(histograms.permute(1, 2, 0).numpy(), theirs, atol=2e-5)


def test_on_digits_too(mnist: ImageStore) -> None:
    images = mnist.images[:50].astype(float) / 255
    ours = normalised(hard_histograms(torch.tensor(images).permute(0, 3, 1, 2), 9, 4), 1, 1e-5)
    theirs = np.stack([hog(i[..., 0], 9, (4, 4), (1, 1), "L2", feature_vector=False)[:, :, 0, 0] for i in images])
    np.testing.assert_allclose(ours.permute(0, 2, 3, 1).numpy(), theirs, atol=1e-4)


@given(st.sampled_from([6, 8, 12]), st.integers(1, 9), st.sampled_from([1, 3]), st.integers(1, 20), st.integers(1, 20))
@settings(deadline=None, max_examples=60)
def test_every_pixel_counts_about_alike_wherever_it_points(
    bins: int, cell: int, channels: int, height: int, width: int
) -> None:
    """The soft bins share out a gradient's length, up to the ripple that comes of not computing the angle."""
    images = torch.rand(2, channels, height, width, dtype=torch.float64)
    soft, hard = soft_histograms(images, bins, cell).sum(1), hard_histograms(images, bins, cell).sum(1)
    w = 2 * np.pi / bins
    most = 2 * (np.cos(w / 2) - np.sin(w / 2) / np.tan(w))  # half-way between two centres
    assert (soft >= hard * min(1, most) - 1e-9).all()
    assert (soft <= hard * max(1, most) + 1e-9).all()


def test_a_gradient_at_a_centre_falls_into_its_bin_alone() -> None:
    ramp = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 1, 8, 8) / 8
    for turns, bin_ in enumerate((0, 6, 4, 2)):  # to the right, up, to the left, down
        filled = soft_histograms(ramp.rot90(turns, (2, 3)), 8, 8)[0, :, 0, 0]
        assert filled.argmax() == bin_
        assert filled.sum() == filled[bin_]


def test_a_quarter_turn_moves_the_bins_by_a_quarter() -> None:
    images = torch.rand(3, 1, 16, 16, dtype=torch.float64)
    before = soft_histograms(images, 8, 4)
    after = soft_histograms(images.rot90(1, (2, 3)), 8, 4)
    torch.testing.assert_close(after, before.rot90(1, (2, 3)).roll(-2, 1))


def test_contrast_and_brightness_change_nothing_where_there_is_structure() -> None:
    images = torch.rand(3, 1, 16, 16, dtype=torch.float64)
    plain = normalised(soft_histograms(images, 8, 4), 3, 1e-6)
    torch.testing.assert_close(plain, normalised(soft_histograms(0.3 * images + 0.5, 8, 4), 3, 1e-6))
    assert normalised(soft_histograms(torch.zeros(1, 1, 8, 8), 8, 4), 3, 0.05).abs().max() < 1e-3


@pytest.mark.parametrize("coarse", [2, 3, None])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 33, 20), (1, 1, 9), (3, 3, 2), (1, 1, 1)])
def test_the_branch_gives_the_taps_that_it_declares(shape: tuple[int, int, int], coarse: int | None) -> None:
    branch = HogConfig(coarse=coarse).build(shape)
    given = branch(torch.rand(2, *shape))
    declared = HogConfig(coarse=coarse).features(shape)
    assert [spec.name for spec in declared] == list(given) == (["fine"] if coarse is None else ["fine", "coarse"])
    assert [spec.shape for spec in declared] == [tuple(tap.shape[1:]) for tap in given.values()]
    assert all(tap.isfinite().all() for tap in given.values())
    assert not list(branch.parameters())


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="even number of bins"):
        HogConfig(bins=7)
    with pytest.raises(ShapeError, match="built for images"):
        HogConfig().build((1, 28, 28))(torch.rand(2, 3, 28, 28))
