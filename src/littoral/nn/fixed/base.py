"""What all fixed branches share: they learn nothing and stop gradients, and most end in a small grid of windows."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from littoral.errors import ShapeError
from littoral.nn.branch import Branch, BranchConfig
from littoral.nn.layers import in_float32, windows
from littoral.specs import FeatureSpec, ImageShape


class FixedConfig(BranchConfig):
    """What describes a branch that has no weights."""

    @property
    def fixed(self) -> bool:
        """It has nothing to learn."""
        return True


class FixedBranch(Branch):
    """A branch without weights for images of one shape. Constants that it needs are no part of a model file."""

    def __init__(self, kind: str, image_shape: ImageShape) -> None:
        super().__init__()
        self.kind = kind
        self.image_shape = image_shape

    @abstractmethod
    def computed(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        """The taps of images of the right shape; called where no gradients are kept."""

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        """The taps. Gradients are stopped: there is nothing before them that learns."""
        if tuple(x.shape[1:]) != self.image_shape:
            raise ShapeError(
                f"this {self.kind} branch was built for images (channels, height, width) of {self.image_shape}, "
                f"got {tuple(x.shape[1:])}; bring the images to that shape"
            )
        with torch.no_grad(), in_float32(x):
            return self.computed(x)


def grid_feature(channels: int, image_shape: ImageShape, grid: int, macs: int = 0) -> FeatureSpec:
    """The tap `grid`: one vector of channels for each of grid × grid windows, or of as many as a side has pixels."""
    return FeatureSpec("grid", channels, windows(image_shape[1], grid)[0], windows(image_shape[2], grid)[0], macs)
