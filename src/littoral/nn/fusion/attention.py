"""Attentional feature fusion of two maps: at each place and channel, a learned share of one and the rest of the other.

Dai, Gieseke, Oehmcke, Wu and Barnard, Attentional feature fusion, WACV 2021. There both maps are of one shape; here the
larger is pooled to the smaller's size and the one with fewer channels is brought to the other's by a 1×1 convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from littoral.nn.fusion.base import Fusion, FusionConfig, require_positive, shown
from littoral.nn.layers import LoneNorm2d, flatten, pooled, windows
from littoral.specs import FeatureSpec


def attended(
    x: Float[Tensor, "batch channels height width"],
    y: Float[Tensor, "batch channels height width"],
    local: Float[Tensor, "batch channels height width"],
    overall: Float[Tensor, "batch channels 1 1"],
) -> Float[Tensor, "batch channels height width"]:
    """Z = M ⊗ X + (1 - M) ⊗ Y with M = σ(L ⊕ G): equations 2 and 3 of the paper.

    L and G are the local and the global context of X + Y; ⊕ broadcasts G over all places.
    """
    share = (local + overall).sigmoid()
    return share * x + (1 - share) * y


@dataclass(frozen=True)
class AttentionConfig(FusionConfig):
    """`reduction`: how many times fewer channels the contexts have inside, as the paper's r.

    `grid`: the fused map is averaged to so many rows and columns at most, and flattened.
    """

    reduction: int = 4
    grid: int = 3
    type: Literal["attention"] = "attention"

    def __post_init__(self) -> None:
        require_positive(self, min(self.reduction, self.grid))

    @property
    def takes_maps(self) -> bool:
        """Places are compared, so they have to be there."""
        return True

    def refusal(self, specs: Sequence[FeatureSpec]) -> str | None:
        """It joins two maps."""
        if len(specs) != 2:
            return f"joins the maps of exactly two branches, got {len(specs)}"
        if any(spec.height is None for spec in specs):
            return f"needs maps (channels × height × width), got features of {shown(specs)}: end branches with a map"
        return None

    def build(self, specs: Sequence[FeatureSpec]) -> Attention:
        """A fusion, with fresh weights, of two maps with these specs."""
        return Attention(self, specs)


class Attention(Fusion):
    """`attended` of the two maps brought to one shape, averaged to a grid and flattened."""

    def __init__(self, config: AttentionConfig, specs: Sequence[FeatureSpec]) -> None:
        super().__init__(specs)
        shapes = [spec.map_shape for spec in specs]
        channels, rows, columns = (max(s[0] for s in shapes), min(s[1] for s in shapes), min(s[2] for s in shapes))
        self.grid = config.grid
        self.size = (rows, columns)
        # a 1×1 convolution is for all places alike: a map is pooled first, which gives the same at less work
        self.widen = nn.ModuleList(
            nn.Identity() if shape[0] == channels else nn.Conv2d(shape[0], channels, 1, bias=False) for shape in shapes
        )
        inner = max(1, channels // config.reduction)
        self.local = Context(channels, inner)
        self.overall = Context(channels, inner)
        self.out_features = channels * windows(rows, self.grid)[0] * windows(columns, self.grid)[0]
        widened = sum(shape[0] * channels for shape in shapes if shape[0] != channels)
        self.macs = widened * rows * columns + 2 * channels * inner * (rows * columns + 1)

    def forward(self, features: list[Tensor]) -> Float[Tensor, "batch out_features"]:
        """(batch, channels · rows · columns of the grid)."""
        self.check(features)
        x, y = (layer(pooled(feature, *self.size)) for layer, feature in zip(self.widen, features, strict=True))
        both = x + y
        fused = attended(x, y, self.local(both), self.overall(both.mean((2, 3), keepdim=True)))
        return flatten(pooled(fused, self.grid, self.grid))


class Context(nn.Module):
    """The paper's channel context of a map: 1×1 convolution, norm, ReLU, 1×1 convolution, norm (equation 1)."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        # the normalisation that follows has a bias of its own
        self.squeeze = nn.Conv2d(channels, inner, 1, bias=False)
        self.inner_norm = LoneNorm2d(inner)
        self.expand = nn.Conv2d(inner, channels, 1, bias=False)
        self.norm = LoneNorm2d(channels)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
        """A map of the same shape."""
        context: Tensor = self.norm(self.expand(F.relu(self.inner_norm(self.squeeze(x)))))
        return context
