"""FusionNet: branches -> fusion -> head, built from one frozen description that a model file can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from littoral.errors import InputError
from littoral.nn.conv import ConvConfig
from littoral.nn.fixed import HogConfig
from littoral.nn.fusion import ConcatConfig
from littoral.nn.layers import flatten, glorot_linear
from littoral.nn.tower import TowerConfig
from littoral.specs import FeatureSpec, ImageShape

BranchConfig = Annotated[ConvConfig | TowerConfig | HogConfig, Field(discriminator="type")]
FusionConfig = ConcatConfig

MOST_BRANCHES = 16

FUSED = "fused"
"""What the head over the fused vector is called beside the branches' own heads."""


@dataclass(frozen=True)
class FusionNetConfig:
    """The whole architecture: what FusionNet is built from, and what a model file holds of it.

    `branches`: by name, in the order in which the fusion takes them. `hidden`: widths of the dense layers with ReLU
    between the fused vector and the logits. `topology`: `parallel`, every branch sees the image, or `cascade`, each
    branch goes on from the maps of the one before it. `unfused`: branches that only serve those after them; the fusion
    does not take them. `batch_norm`: each branch's feature is flattened and batch-normalised before the fusion.
    `branch_heads`: each fused branch has a head of its own beside the one over the fused vector, and they vote.
    """

    image_shape: ImageShape
    classes: int
    branches: Mapping[str, BranchConfig]
    fusion: FusionConfig = ConcatConfig()
    hidden: tuple[int, ...] = ()
    topology: Literal["parallel", "cascade"] = "parallel"
    unfused: tuple[str, ...] = ()
    batch_norm: bool = False
    branch_heads: bool = False

    __pydantic_config__ = {"extra": "forbid"}

    def __post_init__(self) -> None:
        if min(self.image_shape) < 1:
            raise InputError(f"an image shape needs positive (channels, height, width), got {self.image_shape}")
        if self.classes < 2:
            raise InputError(f"a classifier needs at least two classes, got {self.classes}")
        if len(self.branches) > MOST_BRANCHES:
            raise InputError(f"a network has at most {MOST_BRANCHES} branches, got {len(self.branches)}")
        if not self.branches or not all(name.isidentifier() for name in self.branches):
            raise InputError(f"branches need one or more names that are identifiers, got {list(self.branches)}")
        if taken := [name for name in self.branches if hasattr(nn.ModuleDict, name) or name == FUSED]:
            raise InputError(f"a branch cannot be called {taken[0]!r}, a name that is taken; rename it")
        if any(width < 1 for width in self.hidden):
            raise InputError(f"hidden layers need positive widths, got {self.hidden}")
        if self.topology not in ("parallel", "cascade"):
            raise InputError(f"topology must be parallel or cascade, got {self.topology!r}")
        followed = list(self.branches)[:-1] if self.topology == "cascade" else []
        if not set(self.unfused) <= set(followed):
            raise InputError(f"only branches that others of a cascade go on from can be unfused, got {self.unfused}")
        if any(
            isinstance(branch, ConvConfig) and branch.dense for name in self.unfused for branch in [self.branches[name]]
        ):
            raise InputError("an unfused branch has no use for a dense layer: set its dense to None")
        if self.topology == "cascade" and any(
            isinstance(branch, HogConfig) for branch in list(self.branches.values())[1:]
        ):
            raise InputError(
                "a hog branch learns nothing and stops what is before it from learning: it has to be first"
            )


class FusionNet(nn.Module):
    """Images -> logits through one or more branches, their fusion and a head.

    Weights are drawn from torch's global generator; `seeded_model` draws them from a seed instead.
    """

    votes: Tensor

    def __init__(self, config: FusionNetConfig) -> None:
        super().__init__()
        self.config = config
        self.branches = nn.ModuleDict()
        self.fused_specs: dict[str, FeatureSpec] = {}
        self.branch_macs = 0
        shape = config.image_shape
        for name, described in config.branches.items():
            branch = described.build(shape)
            taps = branch.features(shape)
            onward = next(spec for spec in taps if spec.name == branch.onward)
            self.branches[name] = branch
            if name not in config.unfused:
                self.fused_specs[name] = taps[-1]
            self.branch_macs += (onward if name in config.unfused else taps[-1]).macs
            if config.topology == "cascade":
                shape = onward.map_shape
        vectors = [FeatureSpec(spec.name, spec.size, None, None, spec.macs) for spec in self.fused_specs.values()]
        self.norms = nn.ModuleDict()
        if config.batch_norm:
            sizes = {name: spec.size for name, spec in self.fused_specs.items()}
            self.norms = nn.ModuleDict({name: nn.BatchNorm1d(size) for name, size in sizes.items()})
        self.fusion = config.fusion.build(vectors if config.batch_norm else list(self.fused_specs.values()))
        self.head = Head(self.fusion.out_features, config.hidden, config.classes)
        self.heads = nn.ModuleDict()
        if config.branch_heads:
            heads = {name: Head(spec.size, (), config.classes) for name, spec in self.fused_specs.items()}
            self.heads = nn.ModuleDict(heads)
            votes = torch.cat([torch.tensor([0.5]), torch.full((len(heads),), 0.5 / len(heads))])
            self.register_buffer("votes", votes)

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch classes"]:
        """Logits, in training and in evaluation alike."""
        return self.combined(self.opinions(x))

    def opinions(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Float[Tensor, "batch classes"]]:
        """The logits of the head over the fused vector, as `fused`, and those of each branch's own head, by its name.

        Without branch heads there is only `fused`.
        """
        features = self.branch_features(x)
        logits = {FUSED: self.head(self.fusion(list(features.values())))}
        if self.config.branch_heads:
            logits |= {name: self.heads[name](flatten(feature)) for name, feature in features.items()}
        return logits

    def combined(self, opinions: Mapping[str, Float[Tensor, "batch classes"]]) -> Float[Tensor, "batch classes"]:
        """One opinion is the answer; of several, their log-probabilities are added, each times its vote."""
        if not self.config.branch_heads:
            return opinions[FUSED]
        stacked = torch.stack([logits.log_softmax(1) for logits in opinions.values()])
        voted: Tensor = (stacked * self.votes.view(-1, 1, 1)).sum(0)
        return voted

    def branch_features(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        """What each fused branch, by name, gives to the fusion: its last tap, normalised where the network does so."""
        features = {}
        for name, branch in self.branches.items():
            taps = branch(x)
            if name in self.fused_specs:
                feature = taps[self.fused_specs[name].name]
                features[name] = self.norms[name](flatten(feature)) if self.config.batch_norm else feature
            if self.config.topology == "cascade":
                x = taps[branch.onward]
        return features


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
