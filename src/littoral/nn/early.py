"""A calibrated network in two halves: one that may already answer, and one for the images that it passes on.

The cut lies between branches. The first half has an opinion of its own, made of the features before the cut alone.
Leaves to others: fitting that opinion (training/exit_head.py) and its threshold (evaluation/exits.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from littoral.nn.calibrated import Answer, CalibratedNet, Novelty
from littoral.nn.fusion.concat import concatenated
from littoral.nn.model import FusionNet, FusionNetConfig

EXIT_WIDTH = 128
"""Of the hidden layer of an exit's opinion: next to nothing beside convolutions, and far surer than a linear map."""


def cuts(config: FusionNetConfig) -> list[tuple[str, ...]]:
    """The branches before each place where the network can be cut: in a cascade any, else after each branch's feature.

    The last branch is always after the cut.
    """
    names = list(config.branches)
    return [tuple(names[:count]) for count in range(1, len(names))]


def features_before(config: FusionNetConfig, branches: Sequence[str]) -> list[str]:
    """The names of the features that these branches give to the fusion."""
    places = config.places()
    return [feature for name in branches for feature in places[name].features]


def exit_sizes(config: FusionNetConfig, branches: Sequence[str]) -> list[int]:
    """Of each part of the vector that `exit_vector` makes, the numbers."""
    specs = config.fused_specs()
    if before := features_before(config, branches):
        return [specs[name].size for name in before]
    channels, height, width = config.places()[branches[-1]].onward.map_shape
    return [channels * -(-height // 2) * -(-width // 2)]


def exit_vector(
    features: Sequence[Tensor], onward: Float[Tensor, "batch channels height width"]
) -> Float[Tensor, "batch size"]:
    """What an exit judges by: the features before the cut, or, where none is fused, means of 2 × 2 of the maps.

    These are the maps that the next branch of a cascade goes on from.
    """
    return concatenated(list(features) or [F.avg_pool2d(onward, 2, ceil_mode=True)])


class ExitHead(nn.Module):
    """Features of the branches before the cut, one after the other -> logits, by way of one hidden layer with ReLU."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(inputs, EXIT_WIDTH)
        self.out = nn.Linear(EXIT_WIDTH, classes)

    def forward(self, x: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch classes"]:
        """Logits, the temperature folded in once it is fitted."""
        logits: Tensor = self.out(F.relu(self.hidden(x)))
        return logits


@dataclass(frozen=True)
class ExitRule:
    """Which images exit: their two best logits are `least_margin` apart or more, their novelty is at most the other.

    `most_novelty` is of the features before the cut; None: whatever they are. `least_confidence`: from which on an
    answer is accepted; None: that is not said.
    """

    least_margin: float
    most_novelty: float | None = None
    least_confidence: float | None = None


class Early(NamedTuple):
    """What the first half says: whether an image exits, its answer then, and what the second half needs of the others.

    `margin`: by how much the best logit is above the second. `novelty` is that of the features before the cut.
    `onward`: what the branch after the cut sees; `features`: in the order of `features_before`.
    """

    exit: Bool[Tensor, " batch"]
    probabilities: Float[Tensor, "batch classes"]
    margin: Float[Tensor, " batch"]
    novelty: Float[Tensor, " batch"] | None
    accepted: Bool[Tensor, " batch"] | None
    onward: Float[Tensor, "batch channels height width"] | None
    features: list[Tensor]


class FirstHalf(nn.Module):
    """The branches before the cut, and the exit's opinion of their features."""

    def __init__(
        self, network: FusionNet, branches: Sequence[str], head: ExitHead, novelty: Novelty | None, rule: ExitRule
    ) -> None:
        super().__init__()
        self.network = network
        self.before = list(branches)
        self.head = head
        self.novelty = novelty
        self.rule = rule

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> Early:
        """The early answers to normalised images."""
        features, onward = self.network.features_from(x, self.before)
        vector = exit_vector(list(features.values()), onward)
        return self.judged(vector)._replace(onward=onward, features=list(features.values()))

    def judged(self, vector: Float[Tensor, "batch size"]) -> Early:
        """The same, but for what is passed on, from the vector that `exit_vector` makes."""
        logits = self.head(vector)
        margin = torch.topk(logits, 2, dim=1).values @ torch.tensor([1.0, -1.0], device=logits.device)
        probabilities = logits.softmax(1)
        leaving = margin >= self.rule.least_margin
        novelty = accepted = None
        if self.novelty is not None and self.rule.most_novelty is not None:
            novelty = self.novelty(vector)
            leaving = leaving & (novelty <= self.rule.most_novelty)
        if self.rule.least_confidence is not None:
            accepted = probabilities.amax(1) >= self.rule.least_confidence
        return Early(leaving, probabilities, margin, novelty, accepted, None, [])


class SecondHalf(nn.Module):
    """The branches after the cut, and all that the whole network answers; the features before it are given."""

    def __init__(self, network: CalibratedNet, branches: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.names = features_before(network.network.config, branches)
        self.after = [name for name in network.network.config.branches if name not in branches]

    def forward(self, onward: Float[Tensor, "batch channels height width"], features: list[Tensor]) -> Answer:
        """The answers of the whole network."""
        rest, _ = self.network.network.features_from(onward, self.after)
        return self.network.answer(dict(zip(self.names, features, strict=True)) | rest)
