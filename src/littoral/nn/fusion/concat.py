"""Concatenation: the features one after the other, for the head to weigh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from littoral.nn.fusion.base import Fusion, FusionConfig
from littoral.nn.layers import flatten
from littoral.specs import FeatureSpec


def concatenated(features: Sequence[Tensor]) -> Float[Tensor, "batch size"]:
    """The features one after the other, maps flattened."""
    return torch.cat([flatten(feature) for feature in features], dim=1)


@dataclass(frozen=True)
class ConcatConfig(FusionConfig):
    """Concatenation has nothing to set."""

    type: Literal["concat"] = "concat"

    def build(self, specs: Sequence[FeatureSpec]) -> Concat:
        """A fusion of features with these specs."""
        return Concat(specs)


class Concat(Fusion):
    """`concatenated`. No parameters, no multiply-accumulates."""

    def __init__(self, specs: Sequence[FeatureSpec]) -> None:
        super().__init__(specs)
        self.out_features = sum(spec.size for spec in specs)
        self.macs = 0

    def forward(self, features: list[Tensor]) -> Float[Tensor, "batch out_features"]:
        """(batch, sum of the features' sizes)."""
        self.check(features)
        return concatenated(features)
