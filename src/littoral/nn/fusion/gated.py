"""Gated fusion: what each branch says of an image, let through number by number as all branches together decide."""

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


def gated_sum(
    features: Sequence[Float[Tensor, "batch _"]],
    weights: Sequence[Float[Tensor, "width _"]],
    gates: Sequence[Float[Tensor, "width size"]],
) -> Float[Tensor, "batch width"]:
    """Σ σ(G_i x) ⊙ tanh(W_i x_i) over the branches i, x being the concatenation of all x_i.

    Gated multimodal units, for any number of modalities: Arevalo, Solorio, Montes-y-Gómez and González, Gated
    multimodal units for information fusion, ICLR workshop 2017, figure 2a.
    """
    x = torch.cat(list(features), dim=1)
    said = [F.linear(feature, weight).tanh() for feature, weight in zip(features, weights, strict=True)]
    let_through = [F.linear(x, gate).sigmoid() * value for value, gate in zip(said, gates, strict=True)]
    return torch.stack(let_through).sum(0)


@dataclass(frozen=True)
class GatedConfig(FusionConfig):
    """`width`: numbers in the fused vector, each with a gate of its own for each branch."""

    width: int = 128
    type: Literal["gated"] = "gated"

    def __post_init__(self) -> None:
        require_positive(self, self.width)

    def refusal(self, specs: Sequence[FeatureSpec]) -> str | None:
        """Of one branch there is nothing to choose from."""
        return "chooses between branches and needs two or more, got 1" if len(specs) < 2 else None

    def build(self, specs: Sequence[FeatureSpec]) -> Gated:
        """A fusion, with fresh weights, of features with these specs."""
        return Gated(self, specs)


class Gated(Fusion):
    """`gated_sum` of the flattened features."""

    def __init__(self, config: GatedConfig, specs: Sequence[FeatureSpec]) -> None:
        super().__init__(specs)
        size = sum(spec.size for spec in specs)
        self.out_features = config.width
        self.macs = config.width * (size + len(specs) * size)
        self.weights = nn.ParameterList(glorot_weight(spec.size, config.width) for spec in specs)
        self.gates = nn.ParameterList(glorot_weight(size, config.width) for _ in specs)

    def forward(self, features: list[Tensor]) -> Float[Tensor, "batch out_features"]:
        """(batch, width)."""
        self.check(features)
        return gated_sum([flatten(feature) for feature in features], list(self.weights), list(self.gates))
