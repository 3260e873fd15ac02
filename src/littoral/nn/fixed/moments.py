"""Colour moments: mean, spread and lopsidedness of each channel, window by window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from littoral.errors import InputError
from littoral.nn.fixed.base import FixedBranch, FixedConfig, grid_feature
from littoral.nn.layers import windows
from littoral.specs import FeatureSpec, ImageShape


def moments(
    images: Float[Tensor, "batch channels height width"], grid: int, epsilon: float
) -> Float[Tensor, "batch 3*channels rows columns"]:
    """In grid × grid equal windows: the mean μ of each channel, then each standard deviation, then each skewness.

    With v and t the means of (x - μ)² and (x - μ)³, the deviation is √v and the skewness t / (v + epsilon²)^1.5, so
    that windows whose deviation is well under `epsilon`, in units of the image's values, count as even. After Stricker
    and Orengo, Similarity of color images, SPIE 1995.
    """
    (_, down, high), (_, across, wide) = windows(images.shape[2], grid), windows(images.shape[3], grid)
    parts = images.unfold(2, high, down).unfold(3, wide, across)
    mean = parts.mean((-2, -1), keepdim=True)
    apart = parts - mean
    square = apart.square()
    variance = square.mean((-2, -1))
    third = (square * apart).mean((-2, -1))
    # an even window is kept off 0, where the root's slope is without bound
    deviation = variance.clamp_min(1e-24).sqrt()
    return torch.cat([mean[..., 0, 0], deviation, third / (variance + epsilon**2) ** 1.5], dim=1)


@dataclass(frozen=True)
class MomentsConfig(FixedConfig):
    """Mean, standard deviation and skewness of each channel in grid × grid windows."""

    grid: int = 3
    type: Literal["moments"] = "moments"

    def __post_init__(self) -> None:
        if self.grid < 1:
            raise InputError(f"a moments branch needs a positive grid, got {self}")

    @property
    def onward(self) -> str:
        """The moments."""
        return "grid"

    def features(self, image_shape: ImageShape) -> list[FeatureSpec]:
        """One tap; a few elementary operations a pixel are no multiply-accumulates."""
        return [grid_feature(3 * image_shape[0], image_shape, self.grid)]

    def build(self, image_shape: ImageShape) -> MomentsBranch:
        """A branch for images of this shape; it has no weights."""
        return MomentsBranch(self, image_shape)


class MomentsBranch(FixedBranch):
    """Tap `grid`: the means of all channels, then their standard deviations, then their skewnesses."""

    EPSILON = 0.02

    def __init__(self, config: MomentsConfig, image_shape: ImageShape) -> None:
        super().__init__(config.type, image_shape)
        self.config = config

    def computed(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        """The one tap."""
        return {"grid": moments(x, self.config.grid, self.EPSILON)}
