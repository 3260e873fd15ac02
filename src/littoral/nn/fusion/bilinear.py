"""Bilinear fusion of two branches: products of what the one and the other see, at low rank."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from littoral.nn.fusion.base import Fusion, FusionConfig, require_positive
from littoral.nn.layers import flatten, glorot_linear
from littoral.specs import FeatureSpec

FLAT = 0.01
"""Products of this size and less are passed on about in proportion, since the slope of a root has no bound at 0."""


def low_rank_bilinear(
    x: Float[Tensor, "batch left"],
    y: Float[Tensor, "batch right"],
    left: tuple[Float[Tensor, "width left"], Float[Tensor, " width"]],
    right: tuple[Float[Tensor, "width right"], Float[Tensor, " width"]],
) -> Float[Tensor, "batch width"]:
    """z = (U x + b) ⊙ (V y + c), then its signed root, brought to a mean square of 1 over its numbers.

    The products: Kim, On, Lim, Kim, Ha and Zhang, Hadamard product for low-rank bilinear pooling, ICLR 2017, equation
    4; the head is their P. Root and norm: Lin, RoyChowdhury and Maji, Bilinear CNN models, ICCV 2015; here the root is
    z / √(|z| + FLAT), and the length √width in place of 1, so that a head that fits other features fits these.
    """
    z = F.linear(x, *left) * F.linear(y, *right)
    rooted = z / (z.abs() + FLAT).sqrt()
    return F.normalize(rooted, dim=1, eps=FLAT) * math.sqrt(z.shape[1])


@dataclass(frozen=True)
class BilinearConfig(FusionConfig):
    """`width`: numbers in the fused vector, the rank of the pairing."""

    width: int = 128
    type: Literal["bilinear"] = "bilinear"

    def __post_init__(self) -> None:
        require_positive(self, self.width)

    def refusal(self, specs: Sequence[FeatureSpec]) -> str | None:
        """It is a product of two."""
        return f"multiplies the features of exactly two branches, got {len(specs)}" if len(specs) != 2 else None

    def build(self, specs: Sequence[FeatureSpec]) -> Bilinear:
        """A fusion, with fresh weights, of two features with these specs."""
        return Bilinear(self, specs)


class Bilinear(Fusion):
    """`low_rank_bilinear` of the two flattened features."""

    def __init__(self, config: BilinearConfig, specs: Sequence[FeatureSpec]) -> None:
        super().__init__(specs)
        self.out_features = config.width
        self.macs = config.width * sum(spec.size for spec in specs)
        self.left, self.right = (glorot_linear(spec.size, config.width) for spec in specs)

    def forward(self, features: list[Tensor]) -> Float[Tensor, "batch out_features"]:
        """(batch, width)."""
        self.check(features)
        left, right = (self.left.weight, self.left.bias), (self.right.weight, self.right.bias)
        return low_rank_bilinear(flatten(features[0]), flatten(features[1]), left, right)
