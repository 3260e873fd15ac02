"""Who takes part in a study, and on which images: arms by name with their recipes, and the rows that each seed sees."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from littoral.errors import InputError
from littoral.images.duplicates import find_duplicates
from littoral.images.splits import label_budget, train_test_rows
from littoral.images.store import ImageStore
from littoral.nn.cost import Cost, config_cost
from littoral.nn.model import FusionNetConfig
from littoral.nn.onnx_session import runtime_for
from littoral.nn.own_code import own_code
from littoral.training.arms import Described
from littoral.training.beforehand import can_be_beforehand
from littoral.training.presets import Preset, get_arm, get_preset, require_length, require_weights
from littoral.training.recipe import Balance, Recipe


@dataclass(frozen=True)
class Contestant:
    """An arm of a preset, how it is trained, and its architecture for the images at hand."""

    preset: Preset
    arm: str
    recipe: Recipe
    config: FusionNetConfig

    @cached_property
    def cost(self) -> Cost:
        """Parameters and multiply-accumulates of its network."""
        return config_cost(self.config)

    @cached_property
    def own_code(self) -> dict[str, str]:
        """What tells apart those of its branches and fusions that are not littoral's."""
        return own_code(self.config)

    @property
    def on_features(self) -> bool:
        """Whether all it learns is one linear layer, on features that can be computed once for all its runs."""
        return self.preset.arms[self.arm].linear and can_be_beforehand(self.config)

    @property
    def runtime(self) -> str | None:
        """The version of ONNX Runtime where, on a CPU, it computes some of these features; else None."""
        return runtime_for(self.config.branches.values()) if self.on_features else None

    @property
    def alone(self) -> Contestant:
        """The same with no other arm in its preset, and this one described: what can be sent to another process."""
        arm = replace(self.preset.arms[self.arm], build=Described(self.config))
        return replace(self, preset=replace(self.preset, arms={self.arm: arm}))


@dataclass(frozen=True)
class Parts:
    """Rows of the images that one seed trains on and is tested on, each sorted.

    `drawn_from`: images of the training part, all of which `train` is, or a budget drawn from them.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    drawn_from: int


def contestants(
    data: ImageStore,
    preset: Preset,
    recipe: Recipe,
    arms: Sequence[str] | None,
    beside: Sequence[str],
    balance: Balance | None,
) -> dict[str, Contestant]:
    """Each arm by the name that it goes by in the result: `arms` (None: the preset's choice), then those `beside`.

    The latter are `PRESET:ARM` or `PRESET:ARM@EPOCHS` and trained as their preset says, but for `balance`. Raises
    InputError for an unknown arm and for a name that comes twice.
    """
    shape, classes = data.spec().shape, len(data.class_names)
    own = tuple(arms) if arms is not None else preset.compared
    names = (*own, *beside)
    if not own or len(set(names)) < len(names):
        raise InputError(f"arms must be one or more different names, got {list(names)}")
    found = {name: (preset, name, recipe) for name in own} | {name: _other(name, balance) for name in beside}
    return {name: Contestant(of, arm, how, get_arm(of, arm, shape, classes)) for name, (of, arm, how) in found.items()}


def require_beside(beside: Sequence[str], balance: Balance | None) -> None:
    """Raise InputError for what cannot be among `contestants` whatever the images, so that nobody waits for these."""
    for name in beside:
        preset, arm, _ = _other(name, balance)
        require_weights(preset, [arm])


def runtime_of(those: Mapping[str, Contestant], place: torch.device) -> str | None:
    """The version of ONNX Runtime where it computes features that some of them take, on this device; else None."""
    branches = [branch for one in those.values() if one.on_features for branch in one.config.branches.values()]
    return runtime_for(branches, place)


def seeds_from(first_seed: int, seeds: int) -> range:
    """So many seeds from `first_seed` up; raises InputError for numbers that cannot be."""
    if seeds < 1:
        raise InputError(f"seeds must be at least 1, got {seeds}")
    if first_seed < 0:
        raise InputError(f"a seed is a whole number from 0 up, got {first_seed}")
    return range(first_seed, first_seed + seeds)


def with_ties(data: ImageStore) -> ImageStore:
    """The images, and which of them a split keeps together: found once, not for each seed."""
    if data.split is None and data.ties is None:
        return replace(data, ties=find_duplicates(data.images).ties)
    return data


def parts_of(data: ImageStore, seed: int, labels_per_class: int | None) -> Parts:
    """The split of a seed, and of its training part `labels_per_class` images of each class when given."""
    train, test = train_test_rows(data, seed)
    whole = Parts(train, test, len(train))
    return whole if labels_per_class is None else within_budget(data, whole, seed, labels_per_class)


def within_budget(data: ImageStore, parts: Parts, seed: int, labels_per_class: int) -> Parts:
    """The same test part, and of the training part so many images of each class; nested, see `label_budget`."""
    drawn = label_budget(data.labels[parts.train], labels_per_class, seed)
    return Parts(parts.train[drawn], parts.test, parts.drawn_from)


def _other(text: str, balance: Balance | None) -> tuple[Preset, str, Recipe]:
    """`PRESET:ARM` or `PRESET:ARM@EPOCHS` as preset, arm and recipe."""
    match = re.fullmatch(r"([^:@]+):([^:@]+)(?:@(\d{1,6}))?", text)
    if match is None:
        raise InputError(f"expected PRESET:ARM or PRESET:ARM@EPOCHS, such as article:fused@1, got {text!r}")
    preset, epochs = get_preset(match[1]), int(match[3]) if match[3] else None
    if match[2] not in preset.arms:
        raise InputError(f"unknown arm {match[2]!r} of preset {preset.name}: expected one of {', '.join(preset.arms)}")
    require_length(preset, [match[2]], epochs, steps=None)
    return preset, match[2], preset.recipe.lasting(epochs, balance=balance)
