"""The deep branch of today's presets: convolutions with batch normalisation and ReLU, ending in a small grid of maxima.

Batch normalisation lets it learn at high rates, so that one pass over the images can do. The grid keeps roughly where
something was seen, whatever the size of the images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from littoral.errors import InputError, ShapeError
from littoral.nn.branch import Branch, BranchConfig, nearby, scaled
from littoral.nn.layers import LoneNorm2d, windows
from littoral.specs import FeatureSpec, ImageShape


@dataclass(frozen=True)
class TowerConfig(BranchConfig):
    """`widths`: output channels of each convolution. `pool_after`: which of them, from 1, a 2×2 max-pool follows.

    `kernel` and `stride` are the first convolution's; all others are 3×3 and keep the size. `grid`: the last tap has
    so many rows and columns, or those of the last map where that has fewer. `residual`: a convolution that changes
    neither width nor size adds to what it saw (He et al., Deep residual learning, CVPR 2016; here each by itself).
    """

    widths: tuple[int, ...]
    pool_after: tuple[int, ...] = ()
    kernel: int = 3
    stride: int = 1
    grid: int = 3
    residual: bool = False
    type: Literal["tower"] = "tower"

    def __post_init__(self) -> None:
        if not self.widths or min(*self.widths, self.kernel, self.stride, self.grid) < 1 or self.kernel % 2 != 1:
            raise InputError(f"a tower needs positive widths, stride and grid and an odd kernel, got {self}")
        if sorted(set(self.pool_after)) != list(self.pool_after) or not set(self.pool_after) <= set(
            range(1, len(self.widths) + 1)
        ):
            raise InputError(
                f"pool_after must be rising numbers of convolutions, 1 to {len(self.widths)}, got {self.pool_after}"
            )

    @property
    def onward(self) -> str:
        """The last map before the grid."""
        return f"conv{len(self.widths)}"

    @property
    def layers(self) -> int:
        """One for each convolution."""
        return len(self.widths)

    def features(self, image_shape: ImageShape) -> list[FeatureSpec]:
        """One spec a tap, in the order of `Tower.forward`."""
        channels, height, width = image_shape
        macs = 0
        specs = []
        for number, (out, kernel, stride) in enumerate(zip(self.widths, *self.first_and_rest(), strict=True), start=1):
            height, width = -(-height // stride), -(-width // stride)
            macs += kernel**2 * channels * out * height * width
            channels = out
            if number in self.pool_after:
                height, width = max(height // 2, 1), max(width // 2, 1)
            specs.append(FeatureSpec(f"conv{number}", channels, height, width, macs))
        rows, columns = windows(height, self.grid)[0], windows(width, self.grid)[0]
        return [*specs, FeatureSpec("grid", channels, rows, columns, macs)]

    def first_and_rest(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Kernel and stride of each convolution."""
        rest = len(self.widths) - 1
        return (self.kernel, *(3,) * rest), (self.stride, *(1,) * rest)

    def build(self, image_shape: ImageShape) -> Tower:
        """A branch with fresh weights for images of this shape."""
        return Tower(self, image_shape)

    def widened(self, factor: float) -> TowerConfig:
        """The same with all widths times one factor."""
        return replace(self, widths=tuple(scaled(width, factor) for width in self.widths))

    def neighbours(self) -> list[TowerConfig]:
        """The same with one width changed by one or two; where it is residual, with all of a run of equal widths."""
        if not self.residual:
            return [replace(self, widths=widths) for widths in nearby(self.widths)]
        runs = [(width, len(list(run))) for width, run in groupby(self.widths)]
        return [
            replace(self, widths=sum(((width,) * count for width, (_, count) in zip(changed, runs, strict=True)), ()))
            for changed in nearby(tuple(width for width, _ in runs))
        ]

    def adds(self, number: int) -> bool:
        """Whether convolution `number`, from 1, adds to what it saw."""
        kept = number > 1 and self.widths[number - 1] == self.widths[number - 2]
        return self.residual and kept and number not in self.pool_after


class Tower(Branch):
    """Taps `conv1`, `conv2`, … (maps after ReLU and pool) and `grid` (channels × rows × columns)."""

    def __init__(self, config: TowerConfig, image_shape: ImageShape) -> None:
        super().__init__()
        self.config = config
        self.image_shape = image_shape
        inputs = (image_shape[0], *config.widths[:-1])
        self.convs = nn.ModuleList(
            # the normalisation that follows has a bias of its own
            nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False)
            for before, after, kernel, stride in zip(inputs, config.widths, *config.first_and_rest(), strict=True)
        )
        self.norms = nn.ModuleList(LoneNorm2d(width) for width in config.widths)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        """Every tap by name."""
        self._check(tuple(x.shape[1:]))
        taps: dict[str, Tensor] = {}
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True), start=1):
            before, x = x, conv(x)
            if number in self.config.pool_after:  # first of the three: what follows has a quarter of the work
                x = F.max_pool2d(x, (min(2, x.shape[2]), min(2, x.shape[3])))
            x = F.relu(norm(x), inplace=True)
            if self.config.adds(number):
                x = x + before
            taps[f"conv{number}"] = x
        height, width = x.shape[2:]
        (rows, down, high), (columns, across, wide) = (
            windows(height, self.config.grid),
            windows(width, self.config.grid),
        )
        taps["grid"] = F.max_pool2d(x, (high, wide), (down, across)) if (rows, columns) != (height, width) else x
        return taps

    def _check(self, image_shape: tuple[int, ...]) -> None:
        if image_shape[0] != self.image_shape[0]:
            raise ShapeError(
                f"this tower was built for images (channels, height, width) of {self.image_shape}, "
                f"got {image_shape}; bring the images to that shape"
            )
