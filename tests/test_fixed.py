"""Fixed features: what scikit-image computes where it has the same, and what a person may rely on elsewhere.

Scattering has a file of its own.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import convolve
from scipy.stats import skew
from skimage.feature import hog, local_binary_pattern
from skimage.filters import gabor_kernel

from littoral.errors import InputError, ShapeError
from littoral.images.store import ImageStore
from littoral.nn.branch import BranchConfig
from littoral.nn.fixed.colours import ColoursConfig, soft_bins
from littoral.nn.fixed.gabor import GaborConfig, gabor_energies, gabor_pairs
from littoral.nn.fixed.hog import (
    HogConfig,
    between_neighbours,
    cell_means,
    hard_histograms,
    normalised,
    soft_histograms,
)
from littoral.nn.fixed.lbp import LbpConfig, patterns, uniform_bins
from littoral.nn.fixed.moments import MomentsConfig, moments
from littoral.nn.fixed.scattering import ScatteringConfig

pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")


@pytest.mark.parametrize("shape", [(5, 1, 28, 28), (3, 3, 13, 17), (2, 1, 2, 9), (2, 1, 1, 9), (2, 3, 1, 1)])
@pytest.mark.parametrize("bins", [6, 8, 12])
def test_gradients_of_an_exported_graph_are_those_of_the_network(shape: tuple[int, ...], bins: int) -> None:
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    found = cell_means(between_neighbours(images, bins), 2)
    torch.testing.assert_close(found, soft_histograms(images, bins, 2), rtol=1e-5, atol=1e-6)


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


@pytest.mark.parametrize(("points", "radius"), [(8, 1.0), (8, 1.5), (12, 2.0), (5, 3.0)])
@pytest.mark.parametrize("rotated", [True, False])
def test_uniform_patterns_are_those_of_scikit_image(points: int, radius: float, rotated: bool) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 20, 17), np.uint8)
    ours = uniform_bins(points, rotated)[patterns(torch.tensor(images).double().unsqueeze(1), points, radius)[:, 0]]
    around = np.pad(images, ((0, 0), (4, 4), (4, 4)), mode="edge")  # scikit-image has black there
    method = "uniform" if rotated else "nri_uniform"
    theirs = np.stack([local_binary_pattern(i, points, radius, method)[4:-4, 4:-4] for i in around])
    np.testing.assert_array_equal(ours, theirs)


def test_what_lies_between_pixels_is_equally_bright_but_for_rounding() -> None:
    """On a slope, the neighbour across it lies between one as much brighter and one as much darker."""
    across, down = np.meshgrid(np.arange(12), np.arange(12))
    levels = torch.tensor(10 * (across + down))[None, None, :, :]
    exact, rounded = patterns(levels.double(), 8, 1.0), patterns(levels.float() / 255, 8, 1.0)
    assert (exact[..., 1:-1, 1:-1] == exact[0, 0, 5, 5]).all()
    assert exact[0, 0, 5, 5] & 2
    assert torch.equal(rounded, exact)


def test_pattern_histograms_of_digits_are_those_of_scikit_image(mnist: ImageStore) -> None:
    images = mnist.images[:50]  # their edges are black
    ours = LbpConfig(grid=1).build((1, 28, 28))(torch.tensor(images).permute(0, 3, 1, 2) / 255)["grid"]
    labels = [local_binary_pattern(image[..., 0], 8, 1, "uniform").astype(int) for image in images]
    theirs = np.stack([np.bincount(label.ravel(), None, 10) for label in labels])
    # equal but for ties, which float noise decides: each changes two counts, and under one pixel in a thousand has one
    assert np.abs(28 * 28 * ours[:, :, 0, 0].numpy() - theirs).sum() < 2e-3 * theirs.sum()


@given(st.integers(4, 12), st.booleans(), st.integers(1, 4), st.integers(1, 20), st.integers(1, 20))
@settings(deadline=None, max_examples=40)
def test_pattern_histograms_add_up_and_know_no_contrast(
    points: int, rotated: bool, grid: int, height: int, width: int
) -> None:
    config = LbpConfig(points, 1.0, rotated, grid)
    branch = config.build((3, height, width))
    images = torch.randint(0, 256, (2, 3, height, width)).double()
    shares = branch(images)["grid"]
    assert torch.equal(shares, branch(0.5 * images + 16)["grid"])
    each = shares.unflatten(1, (3, config.bins)).sum(2)
    torch.testing.assert_close(each, torch.ones_like(each))
    even = branch(torch.full_like(images, 0.1))["grid"].unflatten(1, (3, config.bins))
    assert (even[:, :, config.bins - 2] == 1).all()  # all neighbours are as bright


@given(st.integers(2, 9), st.sampled_from([(0.0, 1.0), (-2.0, 2.5)]))
@settings(deadline=None, max_examples=20)
def test_a_pixel_is_shared_by_the_two_bins_around_it(bins: int, span: tuple[float, float]) -> None:
    images = 4 * torch.randn(2, 3, 5, 4, dtype=torch.float64)
    shares = soft_bins(images, bins, *span).unflatten(1, (3, bins))
    torch.testing.assert_close(shares.sum(2), torch.ones_like(images))
    centres = torch.linspace(*span, bins, dtype=torch.float64).view(-1, 1, 1)
    torch.testing.assert_close((shares * centres).sum(2), images.clamp(*span))


def test_a_colour_histogram_of_centres_is_that_of_numpy() -> None:
    images = torch.randint(0, 8, (2, 3, 12, 12)) / 7
    ours = ColoursConfig(grid=2).build((3, 12, 12))(images)["grid"].unflatten(1, (3, 8))
    theirs = np.histogram(images[1, 2, 6:, :6].numpy(), 8, (-1 / 14, 15 / 14))[0] / 36
    np.testing.assert_allclose(ours[1, 2, :, 1, 0], theirs, atol=1e-6)


def test_moments_are_those_of_scipy() -> None:
    images = torch.rand(2, 3, 13, 9, dtype=torch.float64) ** 2
    means, deviations, skewnesses = moments(images, 3, 0.0).unflatten(1, (3, 3)).unbind(1)
    part = images.numpy()[:, :, 4:9, 6:9].reshape(2, 3, -1)  # the middle window down, the last one across
    np.testing.assert_allclose(means[..., 1, 2], part.mean(2))
    np.testing.assert_allclose(deviations[..., 1, 2], part.std(2))
    np.testing.assert_allclose(skewnesses[..., 1, 2], skew(part, axis=2))
    even = moments(torch.full((1, 1, 9, 9), 0.3), 3, 0.02)
    torch.testing.assert_close(even[:, 0], torch.full((1, 3, 3), 0.3))
    assert even[:, 1:].abs().max() < 1e-4


@pytest.mark.parametrize("frequency", [0.25, 0.125])
def test_gabor_filters_are_those_of_scikit_image(frequency: float) -> None:
    pairs = gabor_pairs(frequency, 6)
    for number, (real, imaginary) in enumerate(zip(*np.split(pairs, 2), strict=True)):
        theirs = gabor_kernel(frequency, number * np.pi / 6)
        down, across = ((mine - kept) // 2 for mine, kept in zip(real.shape, theirs.shape, strict=True))
        kept = np.s_[down : len(real) - down, across : len(real) - across]
        np.testing.assert_allclose(real[kept] + 1j * imaginary[kept], theirs, atol=1e-12)


def test_gabor_energies_are_those_of_scipy() -> None:
    images = torch.rand(2, 3, 18, 15, dtype=torch.float64)
    pairs = gabor_pairs(0.25, 4)
    ours = gabor_energies(images, torch.tensor(pairs), (1, 1), 3).unflatten(1, (3, 4))
    answers = [convolve(images[1, 2].numpy(), pairs[2 + part], mode="nearest") for part in (0, 4)]
    energy = np.square(answers).sum(0)[6:12, 10:15].mean()
    np.testing.assert_allclose(ours[1, 2, 2, 1, 2], np.sqrt(energy))


def test_stripes_have_most_energy_in_their_own_direction_and_width() -> None:
    down, across = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    for scale, frequency in enumerate((0.25, 0.125, 0.0625)):
        for number in range(6):
            angle = torch.tensor(number * torch.pi / 6)
            stripes = torch.cos(2 * torch.pi * frequency * (across * angle.cos() + down * angle.sin()))[None, None]
            energies = GaborConfig().build((1, 64, 64))(stripes)["grid"][0, :, 1, 1]
            assert energies.argmax() == 6 * scale + number


FIXED: tuple[BranchConfig, ...] = (
    HogConfig(),
    HogConfig(coarse=3),
    HogConfig(coarse=None),
    LbpConfig(),
    LbpConfig(12, 2.5, rotated=False, grid=2),
    ColoursConfig(),
    MomentsConfig(),
    GaborConfig(),
    ScatteringConfig(),
)


@pytest.mark.parametrize("config", FIXED, ids=str)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 33, 20), (1, 8, 224), (1, 1, 9), (3, 3, 2), (1, 1, 1)])
def test_the_branch_gives_the_taps_that_it_declares(shape: tuple[int, int, int], config: BranchConfig) -> None:
    if isinstance(config, ScatteringConfig) and min(shape[1:]) <= 4:
        return
    branch = config.build(shape)
    images = torch.rand(2, *shape, requires_grad=True)
    declared = config.features(shape)
    for count in (2, 1, 0):
        given = branch(images[:count])
        assert [(spec.name, spec.shape) for spec in declared] == [
            (name, tuple(t.shape[1:])) for name, t in given.items()
        ]
        assert all(tap.isfinite().all() and len(tap) == count and not tap.requires_grad for tap in given.values())
    assert config.onward in given
    assert not branch.state_dict()


def test_formulas_without_steps_have_the_gradients_of_finite_differences() -> None:
    images = torch.rand(1, 2, 6, 5, dtype=torch.float64, requires_grad=True)
    pairs = torch.tensor(gabor_pairs(0.25, 2))
    for formula in (
        lambda x: soft_histograms(x[:, :1], 8, 2),
        lambda x: soft_bins(x, 4, 0.0, 1.0),
        lambda x: moments(x, 2, 0.02),
        lambda x: gabor_energies(x, pairs, (1, 1), 2),
    ):
        assert torch.autograd.gradcheck(formula, images)
    even = torch.zeros(1, 1, 6, 6, requires_grad=True)
    (moments(even, 2, 0.02).sum() + gabor_energies(even, pairs.float(), (1, 1), 2).sum()).backward()
    assert even.grad is not None
    assert even.grad.isfinite().all()


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (HogConfig, {"bins": 7}),
        (LbpConfig, {"points": 3}),
        (LbpConfig, {"radius": 0.5}),
        (ColoursConfig, {"low": 1.0}),
        (ColoursConfig, {"bins": 1}),
        (MomentsConfig, {"grid": 0}),
        (GaborConfig, {"scales": 7}),
    ],
)
def test_settings_that_cannot_be_are_refused(config: type[BranchConfig], settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"an? {config.type} branch needs"):
        config(**settings)


@pytest.mark.parametrize("config", FIXED, ids=str)
def test_images_of_another_shape_are_refused(config: BranchConfig) -> None:
    with pytest.raises(ShapeError, match="built for images"):
        config.build((1, 28, 28))(torch.rand(2, 3, 28, 28))
