"""Colour histograms: how much of each window has each brightness, channel by channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from littoral.errors import InputError
from littoral.nn.fixed.base import FixedBranch, FixedConfig, grid_feature
from littoral.nn.layers import pooled
from littoral.specs import FeatureSpec, ImageShape


def soft_bins(
    images: Float[Tensor, "batch channels height width"], bins: int, low: float, high: float
) -> Float[Tensor, "batch shares height width"]:
    """How much each pixel belongs to each bin: 1 at the bin's centre, falling straight to 0 at the next centre.

    Centres are spread evenly from `low` to `high`, in units of the image's values; what is beyond counts as `low` or
    `high`. The shares of a pixel add up to 1. All bins of the first channel come first.
    """
    width = (high - low) / (bins - 1)
    centres = torch.arange(bins, device=images.device, dtype=images.dtype).view(-1, 1, 1)
    places = (images.clamp(low, high) - low) / width
    return F.relu(1 - (places.unsqueeze(2) - centres).abs()).flatten(1, 2)


@dataclass(frozen=True)
class ColoursConfig(FixedConfig):
    """Soft histograms of `bins` bins a channel, with centres from `low` to `high`, in grid × grid windows.

    `low` and `high` are in the units that a network sees: 0 and 1 where pixels are divided by 255 and nothing else.
    """

    bins: int = 8
    low: float = 0.0
    high: float = 1.0
    grid: int = 3
    type: Literal["colours"] = "colours"

    def __post_init__(self) -> None:
        if self.bins < 2 or self.grid < 1 or not float("-inf") < self.low < self.high < float("inf"):
            raise InputError(f"a colours branch needs two bins or more, low below high and a positive grid, got {self}")

    @property
    def onward(self) -> str:
        """The histograms."""
        return "grid"

    def features(self, image_shape: ImageShape) -> list[FeatureSpec]:
        """One tap; a few elementary operations for each bin of each pixel are no multiply-accumulates."""
        return [grid_feature(image_shape[0] * self.bins, image_shape, self.grid)]

    def build(self, image_shape: ImageShape) -> ColoursBranch:
        """A branch for images of this shape; it has no weights."""
        return ColoursBranch(self, image_shape)


class ColoursBranch(FixedBranch):
    """Tap `grid`: the share of each bin in each window, all bins of the first channel first."""

    def __init__(self, config: ColoursConfig, image_shape: ImageShape) -> None:
        super().__init__(config.type, image_shape)
        self.config = config

    def computed(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        """The one tap."""
        shares = soft_bins(x, self.config.bins, self.config.low, self.config.high)
        return {"grid": pooled(shares, self.config.grid, self.config.grid)}
