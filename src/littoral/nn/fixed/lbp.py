"""Local binary patterns (LBP): how often each arrangement of brighter and darker neighbours occurs.

A pattern says which neighbours on a circle are at least as bright as the pixel in its middle. Brightness and contrast
change nothing in it, and neither do small changes of an image until a neighbour passes its middle: patterns and their
histograms are piecewise constant, so that no gradient goes through them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from littoral.errors import InputError
from littoral.nn.fixed.base import FixedBranch, FixedConfig, grid_feature
from littoral.nn.layers import windows
from littoral.specs import FeatureSpec, ImageShape

TIE = 1e-6
"""So much darker than the middle still counts as equally bright.

Between pixels, equal means equal but for rounding, which is another one in an exported file. Of pixels in 256 steps
from 0 to 1, at the default radius, every neighbour that is truly darker is so by 1.9e-6 or more.
"""


def patterns(
    images: Float[Tensor, "batch channels height width"], points: int, radius: float
) -> Int[Tensor, "batch channels height width"]:
    """Bit p of a pixel's pattern: is the image at the angle 2π p / points, `radius` pixels away, as bright or brighter?

    Angles go from the right upwards. Between pixels the image is linear in both directions; beyond its edge it is as at
    the edge. Offsets are rounded to five digits, so that these are the patterns of scikit-image's
    `local_binary_pattern` but for its black border, and for ties, which float noise decides there: here differences are
    taken first, which are exactly 0 where an image is even, and count as none up to TIE. Ojala, Pietikäinen and
    Mäenpää, Multiresolution gray-scale and rotation invariant texture classification with local binary patterns, PAMI
    2002.
    """
    reach = math.ceil(radius)
    height, width = images.shape[2:]
    middle = images.detach()
    padded = F.pad(middle, (reach,) * 4, mode="replicate")
    # ONNX's sums know no bytes
    small = points <= 8 and not torch.compiler.is_exporting()
    code = torch.zeros(images.shape, dtype=torch.uint8 if small else torch.int32, device=images.device)
    brighter = torch.empty_like(middle)
    apart: dict[tuple[int, int], Tensor] = {}
    for point in range(points):
        brighter.zero_()  # in place all through, since most of the time would go into new memory
        for (down, across), weight in corners(2 * math.pi * point / points, radius).items():
            if (down, across) not in apart:
                row, column = reach + down, reach + across
                apart[down, across] = padded[..., row : row + height, column : column + width] - middle
            brighter.add_(apart[down, across], alpha=weight)
        code.add_((brighter >= -TIE).to(code.dtype), alpha=2**point)
    return code.int()


def corners(angle: float, radius: float) -> dict[tuple[int, int], float]:
    """The pixels, down and to the right of the middle, that a place on the circle lies between, and their weights.

    The middle itself is left out.
    """
    y, x = round(-radius * math.sin(angle), 5), round(radius * math.cos(angle), 5)
    top, left = math.floor(y), math.floor(x)
    rows, columns = ((top, 1 - (y - top)), (top + 1, y - top)), ((left, 1 - (x - left)), (left + 1, x - left))
    weights = {(row, column): high * wide for (row, high), (column, wide) in product(rows, columns)}
    return {place: weight for place, weight in weights.items() if weight and place != (0, 0)}


def uniform_bins(points: int, rotated: bool) -> UInt8[np.ndarray, "patterns"]:
    """The bin of each of the 2^points patterns.

    A pattern is uniform if its bits, around the circle, change at most twice. With `rotated` all uniform patterns with
    the same number of ones share a bin, of this number; all others have the last bin, points + 1 (scikit-image's method
    `uniform`). Else each uniform pattern has a bin of its own: first the one without ones, then by the number of ones
    and by how far they are turned, then the one without zeros, then all others (`nri_uniform`).
    """
    bits = np.arange(2**points)[:, None] >> np.arange(points) & 1
    ones = bits.sum(1)
    uniform = (bits != np.roll(bits, 1, axis=1)).sum(1) <= 2
    if rotated:
        return np.where(uniform, ones, points + 1).astype(np.uint8)
    # the one that follows a zero, or the first bit where there is none
    first = ((bits == 1) & (np.roll(bits, 1, axis=1) == 0)).argmax(1)
    own = 1 + (ones - 1) * points + (points - first) % points
    own = np.where(ones == 0, 0, np.where(ones == points, points * (points - 1) + 1, own))
    return np.where(uniform, own, points * (points - 1) + 2).astype(np.uint8)


def histograms(
    labels: UInt8[Tensor, "batch channels height width"], bins: int, grid: int
) -> Float[Tensor, "batch counts rows columns"]:
    """The share of each label, 0 to bins - 1, in each of grid × grid equal windows; each channel by itself."""
    (rows, down, high), (columns, across, wide) = windows(labels.shape[2], grid), windows(labels.shape[3], grid)
    shares = []
    for row, column in product(range(rows), range(columns)):
        window = labels[..., row * down : row * down + high, column * across : column * across + wide].flatten(2)
        counts = torch.zeros((*labels.shape[:2], bins), device=labels.device)
        shares.append(counts.scatter_add(2, window.long(), torch.ones((), device=labels.device).expand(window.shape)))
    return torch.stack(shares, 3).reshape(-1, labels.shape[1] * bins, rows, columns) / (high * wide)


@dataclass(frozen=True)
class LbpConfig(FixedConfig):
    """Histograms of the patterns of `points` neighbours `radius` pixels away, in grid × grid windows a channel.

    `rotated`: patterns that are turned into each other count as one, which leaves points + 2 bins in place of
    points · (points - 1) + 3.
    """

    points: int = 8
    radius: float = 1.0
    rotated: bool = True
    grid: int = 3
    type: Literal["lbp"] = "lbp"

    def __post_init__(self) -> None:
        if not 4 <= self.points <= 16 or not 1 <= self.radius <= 32 or self.grid < 1:
            raise InputError(f"an lbp branch needs 4 to 16 points, a radius of 1 to 32 and a positive grid, got {self}")

    @property
    def onward(self) -> str:
        """The histograms."""
        return "grid"

    @property
    def bins(self) -> int:
        """Bins of each histogram."""
        return self.points + 2 if self.rotated else self.points * (self.points - 1) + 3

    def features(self, image_shape: ImageShape) -> list[FeatureSpec]:
        """One tap; its comparisons and counts are no multiply-accumulates."""
        return [grid_feature(image_shape[0] * self.bins, image_shape, self.grid)]

    def build(self, image_shape: ImageShape) -> LbpBranch:
        """A branch for images of this shape; it has no weights."""
        return LbpBranch(self, image_shape)


class LbpBranch(FixedBranch):
    """Tap `grid`: histograms of uniform patterns, all bins of the first channel first."""

    table: Tensor

    def __init__(self, config: LbpConfig, image_shape: ImageShape) -> None:
        super().__init__(config.type, image_shape)
        self.config = config
        # from NumPy, so that the table is there even where a network is made without memory behind its weights
        table = torch.from_numpy(uniform_bins(config.points, config.rotated))
        self.register_buffer("table", table, persistent=False)

    def computed(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        """The one tap."""
        codes = patterns(x, self.config.points, self.config.radius)
        if torch.compiler.is_exporting():  # ONNX takes no smaller numbers as places in a table
            codes = codes.long()
        return {"grid": histograms(self.table[codes], self.config.bins, self.config.grid)}
