"""The plain convolutional branch: 3×3 convolutions with ReLU, some with a 2×2 max-pool, then maybe a dense layer.

A side that is one pixel long stays so in a pool: images of 1×n are taken too.

Both branches of the published network are this one, one shallower than the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from littoral.errors import InputError, ShapeError
from littoral.nn.branch import Branch, BranchConfig, nearby, scaled
from littoral.nn.layers import flatten, glorot_conv, glorot_linear
from littoral.specs import FeatureSpec, ImageShape


@dataclass(frozen=True)
class ConvConfig(BranchConfig):
    """`widths`: output channels of each convolution. `pool_after`: which of them, counted from 1, end in a max-pool.

    `dense`: width of the dense layer with ReLU that ends the branch, or None to end with a map.
    """

    widths: tuple[int, ...]
    pool_after: tuple[int, ...]
    dense: int | None = None
    type: Literal["conv"] = "conv"

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1 or (self.dense is not None and self.dense < 1):
            raise InputError(f"a conv branch needs positive widths, got widths={self.widths}, dense={self.dense}")
        if sorted(set(self.pool_after)) != list(self.pool_after) or not set(self.pool_after) <= set(
            range(1, len(self.widths) + 1)
        ):
            raise InputError(
                f"pool_after must be rising numbers of convolutions, 1 to {len(self.widths)}, got {self.pool_after}"
            )

    @property
    def onward(self) -> str:
        """The last map."""
        return f"conv{len(self.widths)}"

    @property
    def layers(self) -> int:
        """One for each convolution."""
        return len(self.widths)

    def features(self, image_shape: ImageShape) -> list[FeatureSpec]:
        """One spec a tap, in the order of `ConvBranch.forward`."""
        channels, height, width = image_shape
        macs = 0
        specs = []
        for number, out in enumerate(self.widths, start=1):
            macs += 9 * channels * out * height * width
            channels = out
            if number in self.pool_after:
                down, across = _window(height, width)
                height, width = height // down, width // across
            specs.append(FeatureSpec(f"conv{number}", channels, height, width, macs))
        if self.dense is not None:
            specs.append(FeatureSpec("dense", self.dense, None, None, macs + specs[-1].size * self.dense))
        return specs

    def build(self, image_shape: ImageShape) -> ConvBranch:
        """A branch with fresh weights for images of this shape."""
        return ConvBranch(self, image_shape)

    def widened(self, factor: float) -> ConvConfig:
        """The same with all widths, that of the dense layer too, times one factor."""
        dense = None if self.dense is None else scaled(self.dense, factor)
        return replace(self, widths=tuple(scaled(width, factor) for width in self.widths), dense=dense)

    def neighbours(self) -> list[ConvConfig]:
        """The same with the width of one convolution changed by one or two."""
        return [replace(self, widths=widths) for widths in nearby(self.widths)]


class ConvBranch(Branch):
    """Taps `conv1`, `conv2`, … (after ReLU and pool) and, with a dense layer, `dense`."""

    def __init__(self, config: ConvConfig, image_shape: ImageShape) -> None:
        super().__init__()
        self.config = config
        self.image_shape = image_shape
        inputs = (image_shape[0], *config.widths[:-1])
        self.convs = nn.ModuleList(
            glorot_conv(before, after) for before, after in zip(inputs, config.widths, strict=True)
        )
        last_map = next(spec for spec in config.features(image_shape) if spec.name == config.onward)
        self.dense = None if config.dense is None else glorot_linear(last_map.size, config.dense)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        """Every tap by name; raises ShapeError when a dense layer was sized for images of another shape."""
        self._check(tuple(x.shape[1:]))
        taps: dict[str, Tensor] = {}
        for number, conv in enumerate(self.convs, start=1):
            x = conv(x)
            if number in self.config.pool_after:
                # before the ReLU: both orders give the same values, this one a quarter the work
                x = F.max_pool2d(x, _window(x.shape[2], x.shape[3]))
            x = F.relu(x)
            taps[f"conv{number}"] = x
        if self.dense is not None:
            taps["dense"] = F.relu(self.dense(flatten(x)))
        return taps

    def _check(self, image_shape: tuple[int, ...]) -> None:
        fits = image_shape == self.image_shape if self.config.dense else image_shape[0] == self.image_shape[0]
        if not fits:
            raise ShapeError(
                f"this conv branch was built for images (channels, height, width) of {self.image_shape}, "
                f"got {image_shape}; bring the images to that shape"
            )


def _window(height: int, width: int) -> tuple[int, int]:
    """The max-pool's window for maps of this size: 2 along each side that has two pixels."""
    return min(2, height), min(2, width)
