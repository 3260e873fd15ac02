"""The arms of a preset: what its fused network is compared with, each described only when it is asked for.

An arm is one contestant in a comparison. `fused` is what a preset trains when nothing else is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from littoral.errors import InputError
from littoral.nn.branch import BranchConfig
from littoral.nn.cost import config_cost
from littoral.nn.fixed.hog import HogConfig
from littoral.nn.fusion.attention import AttentionConfig
from littoral.nn.fusion.base import FusionConfig
from littoral.nn.fusion.bilinear import BilinearConfig
from littoral.nn.fusion.gated import GatedConfig
from littoral.nn.fusion.late import LateConfig
from littoral.nn.fusion.sum import SumConfig
from littoral.nn.matched import matched
from littoral.nn.model import FusionNetConfig
from littoral.nn.pixels import PixelsConfig
from littoral.specs import ImageShape

Build = Callable[[ImageShape, int], FusionNetConfig]
"""An architecture for a shape of images and a number of classes; raises InputError where it cannot be."""

DEFAULT_ARMS = ("fused", "shallow", "deep", "matched")
"""What `compare` trains where no arms are named."""

PROBE_CELLS = 4
"""Cells a side that the probe's oriented gradients need at least; of smaller images it sees the pixels."""


@dataclass(frozen=True)
class Arm:
    """`linear`: its only weights are those of one linear head, and they are not trained but fitted, by `probe.py`.

    `grouped`: by `groups.py`, also where there is one group of features, as one arm among others with several.
    """

    build: Build
    linear: bool = False
    grouped: bool = False


@dataclass(frozen=True)
class Described:
    """A `Build` of one architecture that is there already, for images of its shape and its number of classes."""

    config: FusionNetConfig

    def __call__(self, image_shape: ImageShape, classes: int) -> FusionNetConfig:
        """The architecture; raises InputError for other images and classes."""
        if (image_shape, classes) != (self.config.image_shape, self.config.classes):
            raise InputError(
                f"it is for images of {self.config.image_shape} (channels, height, width) and {self.config.classes} "
                f"classes, got {image_shape} and {classes}"
            )
        return self.config


def arms_of(fused: Build, shallow: Build, deep: Build, single: Build) -> Mapping[str, Arm]:
    """All arms of a preset by name, from its fused network, its branches alone, and a network of one deep branch.

    `matched` is `single` at the multiply-accumulates of `fused`, within 3 %; `matched-ensemble` two of it that cost
    this together and are trained side by side, their log-probabilities averaged; `probe` a linear head on features
    that nothing is learned in; `fused-…` the fused network, which concatenates, with another fusion of its branches.
    """

    def alone(image_shape: ImageShape, classes: int) -> FusionNetConfig:
        return matched(single(image_shape, classes), config_cost(fused(image_shape, classes)).macs)

    def ensemble(image_shape: ImageShape, classes: int) -> FusionNetConfig:
        member = matched(single(image_shape, classes), config_cost(fused(image_shape, classes)).macs // 2)
        ((name, branch),) = member.branches.items()
        twins = {f"{name}1": branch, f"{name}2": branch}
        return replace(member, branches=twins, fusion=LateConfig(), branch_heads=True)

    others = (SumConfig(), GatedConfig(), AttentionConfig(), BilinearConfig(), LateConfig())
    return {
        "fused": Arm(fused),
        "shallow": Arm(shallow),
        "deep": Arm(deep),
        "matched": Arm(alone),
        "matched-ensemble": Arm(ensemble),
        "probe": Arm(probe, linear=True),
        **{f"fused-{fusion.type}": Arm(with_fusion(fusion, fused)) for fusion in others},
    }


def with_fusion(fusion: FusionConfig, fused: Build) -> Build:
    """A network with another fusion."""

    def build(image_shape: ImageShape, classes: int) -> FusionNetConfig:
        config = fused(image_shape, classes)
        return replace(config, fusion=fusion, branch_heads=config.branch_heads or not fusion.joint)

    return build


def probe(image_shape: ImageShape, classes: int) -> FusionNetConfig:
    """A linear head on oriented gradients in about eight cells a side, or on the pixels of smaller images."""
    _, height, width = image_shape
    cell = max(4, max(height, width) // 8)
    branches: dict[str, BranchConfig] = {"pixels": PixelsConfig()}
    if min(height, width) >= PROBE_CELLS * cell:
        branches = {"gradients": HogConfig(fine=cell, coarse=None)}
    return FusionNetConfig(image_shape, classes, branches)
