"""How the features of the branches become one vector. A fusion is sized from FeatureSpecs alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from littoral.errors import ShapeError
from littoral.nn.layers import flatten
from littoral.specs import FeatureSpec


class Fusion(nn.Module, ABC):
    """A module from one feature a branch to one vector of `out_features`, at a cost of `macs` for one image."""

    out_features: int
    macs: int

    def __init__(self, specs: Sequence[FeatureSpec]) -> None:
        super().__init__()
        self.specs = tuple(specs)

    @abstractmethod
    def forward(self, features: list[Tensor]) -> Float[Tensor, "batch out_features"]:
        """The fused vector; raises ShapeError when the features are not those of the specs, in their order."""

    def check(self, features: list[Tensor]) -> None:
        """Raise ShapeError, with expected and received, unless there is one tensor a spec and each has its shape."""
        expected = [spec.shape for spec in self.specs]
        received = [tuple(feature.shape[1:]) for feature in features]
        if expected != received:
            raise ShapeError(f"this fusion expects features of shapes {expected}, one a branch, got {received}")


@dataclass(frozen=True)
class ConcatConfig:
    """Concatenation has nothing to set."""

    type: Literal["concat"] = "concat"

    __pydantic_config__ = {"extra": "forbid"}

    def build(self, specs: Sequence[FeatureSpec]) -> Concat:
        """A fusion of features with these specs."""
        return Concat(specs)


class Concat(Fusion):
    """The features one after the other, maps flattened. No parameters, no multiply-accumulates."""

    def __init__(self, specs: Sequence[FeatureSpec]) -> None:
        super().__init__(specs)
        self.out_features = sum(spec.size for spec in specs)
        self.macs = 0

    def forward(self, features: list[Tensor]) -> Float[Tensor, "batch out_features"]:
        """(batch, sum of the features' sizes)."""
        self.check(features)
        return torch.cat([flatten(feature) for feature in features], dim=1)
