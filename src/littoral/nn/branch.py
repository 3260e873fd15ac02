"""The contract of a branch: what it takes, what it gives, and how it declares that without running.

A branch turns a batch of images into named taps. Fusions and heads size themselves from what it declares.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from littoral.specs import FeatureSpec, ImageShape


class Branch(nn.Module, ABC):
    """A module from images to taps. A fusion takes the last tap; the others are there for who asks by name.

    `onward` names the tap, a map, that the next branch of a cascade goes on from.
    """

    onward: str

    @abstractmethod
    def forward(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        """Every tap by name, in order of depth: (batch, channels, height, width) or (batch, channels)."""

    @abstractmethod
    def features(self, image_shape: ImageShape) -> list[FeatureSpec]:
        """What `forward` gives for images of this shape, in the same order, without running it.

        Raises ShapeError for a shape that this branch cannot take.
        """
