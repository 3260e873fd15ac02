"""Late fusion: no fused vector; each branch has a head of its own, and their opinions are joined by votes.

The joining is `FusionNet.combined`; votes can be learned, see training/votes.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from littoral.errors import InputError
from littoral.nn.fusion.base import Fusion, FusionConfig
from littoral.specs import FeatureSpec


def voted(
    opinions: Sequence[Float[Tensor, "batch classes"]], votes: Float[Tensor, " heads"]
) -> Float[Tensor, "batch classes"]:
    """Logits: Σ v_i log softmax(l_i) over the heads i, whose opinions are the logits l_i.

    Their softmax is the logarithmic opinion pool (Genest and Zidek, Combining probability distributions, 1986).
    """
    stacked = torch.stack([logits.log_softmax(1) for logits in opinions])
    together: Tensor = (stacked * votes.view(-1, 1, 1)).sum(0)
    return together


@dataclass(frozen=True)
class LateConfig(FusionConfig):
    """Late fusion has nothing to set; the network's `branch_heads` have to be on, and each has its `hidden` layers."""

    type: Literal["late"] = "late"

    @property
    def joint(self) -> bool:
        """The heads of the branches alone answer."""
        return False

    def refusal(self, specs: Sequence[FeatureSpec]) -> str | None:
        """Of one opinion there is nothing to join."""
        return "joins the opinions of branches and needs two or more, got 1" if len(specs) < 2 else None

    def build(self, specs: Sequence[FeatureSpec]) -> Fusion:
        """Raises InputError: there is no fused vector."""
        raise InputError("late fusion makes no fused vector: ask each branch's head")
