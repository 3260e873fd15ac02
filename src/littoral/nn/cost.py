"""What a model costs: parameters, and multiply-accumulates (MACs) of one forward pass on one image.

MACs come from what branches, fusion and head declare: convolutions and dense layers, not additions or activations.
"""

from __future__ import annotations

from dataclasses import dataclass

from littoral.nn.model import FusionNet, FusionNetConfig, weightless_model


@dataclass(frozen=True)
class Cost:
    """Learned numbers, and multiply-accumulates of one forward pass on one image."""

    params: int
    macs: int


def model_cost(model: FusionNet) -> Cost:
    """The cost of a model that is there."""
    return Cost(params=sum(parameter.numel() for parameter in model.parameters()), macs=model.macs)


def config_cost(config: FusionNetConfig) -> Cost:
    """The cost of a model that is only described; no weights are made."""
    return model_cost(weightless_model(config))
