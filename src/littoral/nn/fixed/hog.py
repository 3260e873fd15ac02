"""Oriented gradients (HOG): how long edges are in each direction, in small cells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from littoral.errors import InputError
from littoral.nn.fixed.base import FixedBranch, FixedConfig
from littoral.specs import FeatureSpec, ImageShape


def gradients(
    images: Float[Tensor, "batch channels height width"],
) -> tuple[Float[Tensor, "batch 1 height width"], Float[Tensor, "batch 1 height width"]]:
    """The image gradient to the right and down: differences of the two neighbours, 0 at the image's edge.

    Of several channels the one with the longest gradient counts.
    """
    across = F.pad(images[..., :, 2:] - images[..., :, :-2], (1, 1, 0, 0)) if images.shape[3] > 2 else images * 0
    down = F.pad(images[..., 2:, :] - images[..., :-2, :], (0, 0, 1, 1)) if images.shape[2] > 2 else images * 0
    if images.shape[1] == 1:
        return across, down
    longest = (across.square() + down.square()).argmax(1, keepdim=True)
    return across.gather(1, longest), down.gather(1, longest)


def hard_histograms(
    images: Float[Tensor, "batch channels height width"], bins: int, cell: int
) -> Float[Tensor, "batch bins rows columns"]:
    """Histograms of unsigned gradient directions in cells of cell × cell pixels, as they were first described.

    Each pixel adds the length of its gradient, divided by the pixels of a cell, to the one bin of its direction; a
    direction and its opposite are the same. With `normalised` over one cell these are scikit-image's `hog` with blocks
    of one cell. Dalal and Triggs, Histograms of oriented gradients for human detection, CVPR 2005.
    """
    across, down = gradients(images)
    position = (torch.atan2(down, across).remainder(math.pi) * (bins / math.pi)).floor() % bins
    own = position == torch.arange(bins, device=images.device).view(1, -1, 1, 1)
    # flat parts are kept off 0, where the root's slope is without bound
    length = (across.square() + down.square()).clamp_min(1e-24).sqrt()
    return cell_means(own * length, cell)


def soft_histograms(
    images: Float[Tensor, "batch channels height width"], bins: int, cell: int
) -> Float[Tensor, "batch bins rows columns"]:
    """Histograms of signed gradient directions, softly binned, in cells of cell × cell pixels.

    The centres of the bins are the multiples of their width w = 2π / bins. A pixel whose gradient is g long and θ away
    from a centre adds g · max(0, cos θ - |sin θ| / tan w) to it, divided by the pixels of a cell: all of it at the
    centre, nothing from the next centre on. So no angle has to be computed. `bins` is even, and 6 or more, so that
    tan w > 0.
    """
    if torch.compiler.is_exporting():  # in a graph it is the number of operations that costs
        return cell_means(between_neighbours(images, bins), cell)
    across, down = gradients(images)
    half = torch.arange(bins // 2, device=images.device, dtype=images.dtype).view(1, -1, 1, 1) * (2 * math.pi / bins)
    cos, sin = half.cos(), half.sin()
    along = across * cos + down * sin
    beside = (down * cos - across * sin).abs() / math.tan(2 * math.pi / bins)
    # the second half of the bins looks the other way
    ahead, behind = F.relu(along - beside), F.relu(-along - beside)
    return torch.cat([cell_means(ahead, cell), cell_means(behind, cell)], dim=1)


def between_neighbours(
    images: Float[Tensor, "batch channels height width"], bins: int
) -> Float[Tensor, "batch bins height width"]:
    """What each pixel adds to each bin of `soft_histograms`, by one convolution, a ReLU and a minimum.

    cos θ - |sin θ| / tan w is the smaller of sin(w + θ) / sin w and sin(w - θ) / sin w: how far the gradient is past
    the centre of the bin before, and how far it is from that of the bin after.
    """
    width, numbers = 2 * math.pi / bins, range(bins)
    past = [(-math.sin((k - 1) * width), math.cos((k - 1) * width)) for k in numbers]
    short = [(math.sin((k + 1) * width), -math.cos((k + 1) * width)) for k in numbers]
    if images.shape[1] > 1 or min(images.shape[2:]) < 2:
        weight = [[[[across]], [[down]]] for across, down in past + short]
        seen = torch.cat(gradients(images), dim=1)
    else:  # a reflected edge has the same pixel on both sides, and so a gradient of 0
        weight = [[[[0, -down, 0], [-across, 0, across], [0, down, 0]]] for across, down in past + short]
        seen = F.pad(images, (1, 1, 1, 1), mode="reflect")
    both = F.relu(F.conv2d(seen, torch.tensor(weight, dtype=images.dtype, device=images.device) / math.sin(width)))
    return torch.minimum(*both.chunk(2, dim=1))


def cell_means(
    maps: Float[Tensor, "batch channels height width"], cell: int
) -> Float[Tensor, "batch channels rows columns"]:
    """The mean of each cell of cell × cell pixels; the last of a side is smaller where the side is no multiple."""
    high, wide = min(cell, maps.shape[2]), min(cell, maps.shape[3])
    if maps.shape[2] % high or maps.shape[3] % wide:
        return F.avg_pool2d(maps, (high, wide), ceil_mode=True)
    # in an exported graph one operation costs less than eight, but for the rounding up, which takes four times as long
    if torch.compiler.is_exporting():
        return F.avg_pool2d(maps, (high, wide))
    # three times as fast as the pooling on small cells
    places = [maps[..., row::high, column::wide] for row in range(high) for column in range(wide)]
    return torch.stack(places).mean(0) if len(places) > 4 else sum(places[1:], places[0]) / len(places)


def normalised(
    histograms: Float[Tensor, "batch bins rows columns"], cells: int, epsilon: float
) -> Float[Tensor, "batch bins rows columns"]:
    """Each histogram over sqrt(m + epsilon²), m the mean square length of those in the cells × cells around it.

    So strokes and edges count alike in dark and in bright parts, and `epsilon` is the strength, in units of pixel
    values, under which a part counts as flat. `cells` is odd; cells outside the image are left out of the mean.
    """
    energy = histograms.square().sum(1, keepdim=True)
    if cells > 1:
        energy = F.avg_pool2d(energy, cells, stride=1, padding=cells // 2, count_include_pad=False)
    return histograms / (energy + epsilon**2).sqrt()


@dataclass(frozen=True)
class HogConfig(FixedConfig):
    """Signed, softly binned histograms of `bins` directions, normalised over 3 × 3 cells.

    They are made in cells of `fine` × `fine` pixels, as maps to go on from, and again of `coarse` × `coarse` of those
    cells, as the branch's feature; None: the fine maps are all there is.
    """

    bins: int = 8
    fine: int = 2
    coarse: int | None = 2
    type: Literal["hog"] = "hog"

    def __post_init__(self) -> None:
        if self.bins < 6 or self.bins % 2 or min(self.fine, 1 if self.coarse is None else self.coarse) < 1:
            raise InputError(f"a hog branch needs an even number of bins from 6 up and positive cells, got {self}")

    @property
    def onward(self) -> str:
        """The fine histograms."""
        return "fine"

    def features(self, image_shape: ImageShape) -> list[FeatureSpec]:
        """One spec a tap, in the order of `HogBranch.forward`."""
        height, width = _pooled(image_shape[1:], self.fine)
        fine = FeatureSpec("fine", self.bins + image_shape[0], height, width, 0)
        if self.coarse is None:
            return [fine]
        return [fine, FeatureSpec("coarse", self.bins, *_pooled((height, width), self.coarse), 0)]

    def build(self, image_shape: ImageShape) -> HogBranch:
        """A branch for images of this shape; it has no weights."""
        return HogBranch(self, image_shape)


class HogBranch(FixedBranch):
    """Taps `fine`: the fine histograms and the image's mean over each fine cell, and maybe `coarse`: the coarse ones.

    No parameters, and no multiply-accumulates of the kind that is counted: about twenty elementary operations for each
    bin of each pixel.
    """

    EPSILON = 0.05

    def __init__(self, config: HogConfig, image_shape: ImageShape) -> None:
        super().__init__(config.type, image_shape)
        self.config = config

    def computed(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        """The taps."""
        fine = soft_histograms(x, self.config.bins, self.config.fine)
        maps = torch.cat([normalised(fine, 3, self.EPSILON), cell_means(x, self.config.fine)], dim=1)
        if self.config.coarse is None:
            return {"fine": maps}
        return {"fine": maps, "coarse": normalised(cell_means(fine, self.config.coarse), 3, self.EPSILON)}


def _pooled(sides: tuple[int, int], cell: int) -> tuple[int, int]:
    """Rows and columns of cells."""
    return -(-sides[0] // min(cell, sides[0])), -(-sides[1] // min(cell, sides[1]))
