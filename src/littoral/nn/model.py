"""FusionNet: branches -> fusion -> head, built from one frozen description that a model file can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from littoral.errors import InputError
from littoral.nn.conv import ConvConfig
from littoral.nn.fusion import ConcatConfig
from littoral.nn.layers import glorot_linear
from littoral.specs import ImageShape

BranchConfig = ConvConfig
FusionConfig = ConcatConfig


@dataclass(frozen=True)
class FusionNetConfig:
    """The whole architecture: what FusionNet is built from, and what a model file holds of it.

    `branches`: by name, in the order in which the fusion takes them. `hidden`: widths of the dense layers with ReLU
    between the fused vector and the logits.
    """

    image_shape: ImageShape
    classes: int
    branches: Mapping[str, BranchConfig]
    fusion: FusionConfig = ConcatConfig()
    hidden: tuple[int, ...] = ()

    __pydantic_config__ = {"extra": "forbid"}

    def __post_init__(self) -> None:
        if min(self.image_shape) < 1:
            raise InputError(f"an image shape needs positive (channels, height, width), got {self.image_shape}")
        if self.classes < 2:
            raise InputError(f"a classifier needs at least two classes, got {self.classes}")
        if not self.branches or not all(name.isidentifier() for name in self.branches):
            raise InputError(f"branches need one or more names that are identifiers, got {list(self.branches)}")
        if taken := [name for name in self.branches if hasattr(nn.ModuleDict, name)]:
            raise InputError(f"a branch cannot be called {taken[0]!r}, a name that torch keeps for itself; rename it")
        if any(width < 1 for width in self.hidden):
            raise InputError(f"hidden layers need positive widths, got {self.hidden}")


class FusionNet(nn.Module):
    """Images -> logits through one or more parallel branches, their fusion and a head.

    Weights are drawn from torch's global generator; `seeded_model` draws them from a seed instead.
    """

    def __init__(self, config: FusionNetConfig) -> None:
        super().__init__()
        self.config = config
        branches = {name: branch.build(config.image_shape) for name, branch in config.branches.items()}
        self.branches = nn.ModuleDict(branches)
        self.fused_specs = {name: branch.features(config.image_shape)[-1] for name, branch in branches.items()}
        self.fusion = config.fusion.build(list(self.fused_specs.values()))
        self.head = Head(self.fusion.out_features, config.hidden, config.classes)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """Logits, in training and in evaluation alike."""
        logits: Tensor = self.head(self.fusion(list(self.branch_features(x).values())))
        return logits

    def branch_features(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        """What each branch, by name, gives to the fusion: its last tap."""
        return {name: branch(x)[self.fused_specs[name].name] for name, branch in self.branches.items()}


class Head(nn.Module):
    """Fused vector -> logits: dense layers with ReLU between them. `macs` are for one image."""

    def __init__(self, inputs: int, hidden: tuple[int, ...], classes: int) -> None:
        super().__init__()
        sizes = (inputs, *hidden, classes)
        self.layers = nn.ModuleList(glorot_linear(before, after) for before, after in pairwise(sizes))
        self.macs = sum(before * after for before, after in pairwise(sizes))

    def forward(self, x: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch classes"]:
        """Logits."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        logits: Tensor = self.layers[-1](x)
        return logits


def seeded_model(config: FusionNetConfig, seed: int) -> FusionNet:
    """A FusionNet whose first weights depend on `seed` alone; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return FusionNet(config)


def weightless_model(config: FusionNetConfig) -> FusionNet:
    """A FusionNet with shapes and no memory behind them: to count it, or to lay loaded weights into it."""
    with torch.device("meta"):
        return FusionNet(config)
