"""Sum: each feature projected to one width, and added. It is a dense layer without bias over their concatenation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from littoral.nn.fusion.base import Fusion, FusionConfig, require_positive
from littoral.nn.layers import flatten, glorot_weight
from littoral.specs import FeatureSpec


def projected_sum(
    features: Sequence[Float[Tensor, "batch _"]], weights: Sequence[Float[Tensor, "width _"]]
) -> Float[Tensor, "batch width"]:
    """Σ W_i x_i over the branches i."""
    return torch.stack([F.linear(x, weight) for x, weight in zip(features, weights, strict=True)]).sum(0)


@dataclass(frozen=True)
class SumConfig(FusionConfig):
    """`width`: numbers in the fused vector."""

    width: int = 128
    type: Literal["sum"] = "sum"

    def __post_init__(self) -> None:
        require_positive(self, self.width)

    def build(self, specs: Sequence[FeatureSpec]) -> Sum:
        """A fusion, with fresh weights, of features with these specs."""
        return Sum(self, specs)


class Sum(Fusion):
    """`projected_sum` of the flattened features."""

    def __init__(self, config: SumConfig, specs: Sequence[FeatureSpec]) -> None:
        super().__init__(specs)
        self.out_features = config.width
        self.macs = config.width * sum(spec.size for spec in specs)
        self.weights = nn.ParameterList(glorot_weight(spec.size, config.width) for spec in specs)

    def forward(self, features: list[Tensor]) -> Float[Tensor, "batch out_features"]:
        """(batch, width)."""
        self.check(features)
        return projected_sum([flatten(feature) for feature in features], list(self.weights))
