"""Gabor energies: how strongly each window is striped, by the direction and width of the stripes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from littoral.errors import InputError
from littoral.nn.fixed.base import FixedBranch, FixedConfig, grid_feature
from littoral.nn.layers import pooled, windows
from littoral.specs import FeatureSpec, ImageShape

FINEST = 0.25
"""Waves a pixel of the finest filters: stripes of two pixels each. Each further scale has half as many."""


def gabor_pairs(frequency: float, angles: int) -> Float[np.ndarray, "pairs side side"]:
    """The real parts of complex Gabor filters in `angles` directions kπ / angles, then their imaginary parts.

    A filter is exp(-(x² + y²) / 2σ²) / 2πσ² · exp(2πi · frequency · (x cos θ + y sin θ)), cut off beyond 3σ, with the σ
    that gives it a band of one octave, 3 √(ln 2 / 2) / (π · frequency). Within what scikit-image's `gabor_kernel` keeps
    they are its kernels. Daugman, Uncertainty relation for resolution in space, spatial frequency, and orientation,
    JOSA A 1985.
    """
    sigma = 3 * math.sqrt(math.log(2) / 2) / (math.pi * frequency)
    reach = math.ceil(3 * sigma)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    theta = (np.arange(angles) * (np.pi / angles))[:, None, None]
    phase = 2 * np.pi * frequency * (x * np.cos(theta) + y * np.sin(theta))
    bell = np.exp(-(x**2 + y**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    return np.concatenate([bell * np.cos(phase), bell * np.sin(phase)])


def gabor_energies(
    images: Float[Tensor, "batch channels height width"],
    pairs: Float[Tensor, "pairs side side"],
    stride: tuple[int, int],
    grid: int,
) -> Float[Tensor, "batch energies rows columns"]:
    """The root mean square length of each filter's complex answer in grid × grid equal windows, channel by channel.

    `pairs`: from `gabor_pairs`. `stride`: answers are taken at each so many pixels down and across, which changes
    little, since the length varies slowly. Beyond its edge an image is as at its edge.
    """
    reach = pairs.shape[1] // 2
    padded = F.pad(images.flatten(0, 1).unsqueeze(1), (reach,) * 4, mode="replicate")
    real, imaginary = F.conv2d(padded, pairs.unsqueeze(1), stride=stride).chunk(2, dim=1)
    energy = pooled(real.square() + imaginary.square(), grid, grid)
    # even parts are kept off 0, where the root's slope is without bound
    return energy.clamp_min(1e-24).sqrt().reshape(-1, images.shape[1] * energy.shape[1], *energy.shape[2:])


@dataclass(frozen=True)
class GaborConfig(FixedConfig):
    """Energies of filters in `angles` directions at `scales` widths, each twice the one before, in grid × grid windows.

    The filters of scale s, from 0, have 0.25 / 2^s waves a pixel, and their answers are taken at each 2^s-th pixel, or
    more of them where a window would have none. So each scale costs about the same.
    """

    scales: int = 3
    angles: int = 6
    grid: int = 3
    type: Literal["gabor"] = "gabor"

    def __post_init__(self) -> None:
        if min(self.scales, self.angles, self.grid) < 1 or self.scales > 6:
            raise InputError(f"a gabor branch needs 1 to 6 scales, and positive angles and grid, got {self}")

    @property
    def onward(self) -> str:
        """The energies."""
        return "grid"

    def features(self, image_shape: ImageShape) -> list[FeatureSpec]:
        """One tap. Its convolutions are counted, though nothing in them is learned."""
        channels, height, width = image_shape
        macs = 0
        for scale in range(self.scales):
            down, across = self.stride(image_shape, scale)
            side = gabor_pairs(FINEST / 2**scale, 1).shape[1]
            macs += 2 * self.angles * channels * side**2 * -(-height // down) * -(-width // across)
        return [grid_feature(channels * self.scales * self.angles, image_shape, self.grid, macs)]

    def stride(self, image_shape: ImageShape, scale: int) -> tuple[int, int]:
        """Pixels down and across from one answer of a scale to the next."""
        down, across = (min(2**scale, windows(side, self.grid)[1]) for side in image_shape[1:])
        return down, across

    def build(self, image_shape: ImageShape) -> GaborBranch:
        """A branch for images of this shape; it has no weights."""
        return GaborBranch(self, image_shape)


class GaborBranch(FixedBranch):
    """Tap `grid`: the energies, scale by scale; in each all directions of the first channel first."""

    def __init__(self, config: GaborConfig, image_shape: ImageShape) -> None:
        super().__init__(config.type, image_shape)
        self.config = config
        for scale in range(config.scales):
            # from NumPy, so that filters are there even where a network is made without memory behind its weights
            pairs = torch.from_numpy(gabor_pairs(FINEST / 2**scale, config.angles).astype(np.float32))
            self.register_buffer(f"pairs{scale}", pairs, persistent=False)

    def computed(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        """The one tap."""
        energies = [
            gabor_energies(x, pairs, self.config.stride(self.image_shape, scale), self.config.grid)
            for scale, pairs in enumerate(self.buffers())
        ]
        return {"grid": torch.cat(energies, dim=1)}
