"""Arms of presets that train nothing: groups of features, all of them together, in parts and each alone.

One linear layer on the groups is fitted at once, by `probe.py`. Which presets there are is left to `presets.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from littoral.errors import InputError
from littoral.nn.backbone import BackboneConfig
from littoral.nn.branch import BranchConfig
from littoral.nn.model import FusionNetConfig
from littoral.specs import ImageShape
from littoral.training.arms import Arm, Build, arms_of
from littoral.training.extract import named_branches


def arms_of_fixed(light: tuple[str, ...], heavy: str) -> Mapping[str, Arm]:
    """Arms of fixed branches, by their short names: `fused` all, `shallow` the light ones, `deep` the heavy one."""
    names = (*light, heavy)
    return _arms(_fixed(*names), _fixed(*light), _fixed(heavy), {f"only-{name}": _fixed(name) for name in names})


def arms_of_backbone(light: tuple[str, ...], backbone: BackboneConfig) -> Mapping[str, Arm]:
    """Arms of fixed branches, by their short names, and of the taps of a pretrained network, which is called `deep`.

    `fused` is all of them, `shallow` the fixed ones, `deep` the last tap alone, and `taps` all taps without the fixed.
    """

    def fused(image_shape: ImageShape, classes: int) -> FusionNetConfig:
        branches: dict[str, BranchConfig] = {**named_branches(light, image_shape), "deep": backbone}
        return FusionNetConfig(image_shape, classes, branches, taps={"deep": backbone.taps})

    def taps(*names: str) -> Build:
        deep = replace(backbone, taps=names)
        return lambda image_shape, classes: FusionNetConfig(image_shape, classes, {"deep": deep}, taps={"deep": names})

    alone = {f"only-{name}": _fixed(name) for name in light} | {f"only-{tap}": taps(tap) for tap in backbone.taps}
    return _arms(fused, _fixed(*light), taps(backbone.taps[-1]), {"taps": taps(*backbone.taps), **alone})


def _arms(fused: Build, shallow: Build, deep: Build, others: Mapping[str, Build]) -> Mapping[str, Arm]:
    """The arms that every preset has, then the others; what is not one linear layer on fixed features is refused."""
    arms = arms_of(fused, shallow, deep, single=deep)
    linear = {"fused": fused, "shallow": shallow, "deep": deep, **others}
    refused = {name: Arm(_no_other_fusion) for name in arms if name.startswith("fused-")}
    return {**arms, **refused, **{name: Arm(build, linear=True, grouped=True) for name, build in linear.items()}}


def _fixed(*names: str) -> Build:
    return lambda image_shape, classes: FusionNetConfig(image_shape, classes, named_branches(names, image_shape))


def _no_other_fusion(image_shape: ImageShape, classes: int) -> FusionNetConfig:
    raise InputError("one linear layer is fitted to features side by side, which is concat fusion and no other")
