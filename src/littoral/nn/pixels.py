"""The shallowest branch: the pixels themselves, for a linear head to weigh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

from littoral.nn.branch import Branch, BranchConfig
from littoral.specs import FeatureSpec, ImageShape


@dataclass(frozen=True)
class PixelsConfig(BranchConfig):
    """There is nothing to set."""

    type: Literal["pixels"] = "pixels"

    @property
    def onward(self) -> str:
        """The pixels."""
        return "pixels"

    def features(self, image_shape: ImageShape) -> list[FeatureSpec]:
        """One tap, of the image's shape, for nothing."""
        return [FeatureSpec("pixels", *image_shape, 0)]

    def build(self, image_shape: ImageShape) -> Pixels:
        """A branch that takes images of any shape; it has no weights."""
        return Pixels()


class Pixels(Branch):
    """Tap `pixels`: what it was given."""

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        """The one tap."""
        return {"pixels": x}
