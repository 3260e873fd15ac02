"""Presets: a named model with its arms and its recipe, and the result and cost to expect of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from littoral.errors import InputError
from littoral.nn.backbone import BackboneConfig
from littoral.nn.branch import BranchConfig
from littoral.nn.conv import ConvConfig
from littoral.nn.fixed.hog import HogConfig
from littoral.nn.model import FusionNetConfig
from littoral.nn.tower import TowerConfig
from littoral.specs import ImageShape
from littoral.training.arms import DEFAULT_ARMS, Arm, Build, arms_of
from littoral.training.extract import BACKBONE_SIDE, LIGHT
from littoral.training.feature_arms import arms_of_backbone, arms_of_fixed
from littoral.training.recipe import Augment, Recipe
from littoral.words import listed

FEW_LABELS = 1000
"""Where no preset is named: `few` up to so many training images a class (on average), `swift` for more."""


@dataclass(frozen=True)
class Preset:
    """`arms`: by name, see `arms.py`; each describes its network when `get_arm` asks for it.

    `unlabelled`: the training on labels that were spread over images without one; None: such images are left out.
    `largest`: the longer side that files are scaled down to where no size is asked for. `expected` and `cost` are what
    was measured, in words. `shows_test_accuracy`: after each epoch the accuracy on the test part is shown, as the
    published code does; nothing reads it. `compared`: the arms that are compared where none are named.
    """

    name: str
    summary: str
    recipe: Recipe
    arms: Mapping[str, Arm]
    expected: str
    cost: str
    unlabelled: Recipe | None = None
    largest: int = 64
    shows_test_accuracy: bool = False
    compared: tuple[str, ...] = DEFAULT_ARMS

    @property
    def linear(self) -> bool:
        """Whether it trains nothing, and fits one linear layer at once."""
        return self.arms["fused"].linear


def get_preset(name: str | os.PathLike[str]) -> Preset:
    """The preset of that name, or in the file of that name, where it ends in .toml (see `variant.py`).

    Raises InputError, with the known names, for any other, and for a file that is no preset.
    """
    name = os.fspath(name)
    if name.endswith(".toml"):
        from littoral.training.variant import read_preset  # which knows the presets of this file

        return read_preset(Path(name))
    if name not in PRESETS:
        raise InputError(
            f"unknown preset {name!r}: expected one of {', '.join(PRESETS)}, or a preset's file, such as {name}.toml "
            "(a loaded model does not hold that file: give it again)"
        )
    return PRESETS[name]


def default_preset(labels: Int64[np.ndarray, " n"]) -> Preset:
    """The preset for training images of these labels, where none is named."""
    return get_preset("few" if len(labels) <= FEW_LABELS * len(np.unique(labels)) else "swift")


def get_arm(preset: Preset, arm: str, image_shape: ImageShape, classes: int) -> FusionNetConfig:
    """The architecture of one arm.

    Raises InputError, with the known names, for an unknown one, and, with the reason, for one that cannot be made of
    the preset's branches or for such images.
    """
    if arm not in preset.arms:
        raise InputError(f"unknown arm {arm!r} of preset {preset.name}: expected one of {', '.join(preset.arms)}")
    try:
        return preset.arms[arm].build(image_shape, classes)
    except InputError as error:
        raise InputError(f"no arm {arm} of preset {preset.name} here: {error}") from error


def require_weights(preset: Preset, arms: Sequence[str]) -> None:
    """Raise InputError, which says what to install, where pretrained weights that these arms need are missing.

    So that nobody waits for images first. Unknown arms of presets that train nothing are refused too, and impossible
    ones.
    """
    if not preset.linear:
        return
    shape = (3, preset.largest, preset.largest)
    for arm in arms:
        for branch in get_arm(preset, arm, shape, 2).branches.values():
            if branch.given is not None:
                branch.build(shape)


def require_length(
    preset: Preset, arms: Sequence[str], epochs: int | None, steps: int | None, time_budget: float | None = None
) -> None:
    """Raise InputError where a length is given though all of these arms are fitted at once. Unknown arms pass."""
    given = {"epochs": epochs, "steps": steps, "the time budget": time_budget}
    names = [name for name, value in given.items() if value is not None]
    if not names or not all(arm in preset.arms and preset.arms[arm].linear for arm in arms):
        return
    those = f"arm {arms[0]}" if len(arms) == 1 else f"arms {listed(arms)}"
    raise InputError(
        f"{those} of preset {preset.name} {'is' if len(arms) == 1 else 'are'} fitted at once, not in steps: "
        f"leave {listed(names)} out"
    )


def _fused_and_each_alone(
    branches: Mapping[str, BranchConfig], hidden: tuple[int, ...] = (), voting: bool = False
) -> Mapping[str, Arm]:
    """Arms of two parallel branches; `matched` is the deep one widened.

    `voting`: features are batch-normalised, and each branch of the fused network has a head that votes.
    """

    def of(*names: str) -> Build:
        chosen = {name: branches[name] for name in names}
        return lambda image_shape, classes: FusionNetConfig(
            image_shape, classes, chosen, hidden=hidden, batch_norm=voting, branch_heads=voting and len(names) > 1
        )

    return arms_of(fused=of("shallow", "deep"), shallow=of("shallow"), deep=of("deep"), single=of("deep"))


def _on_gradients(
    shallow: TowerConfig, deep: TowerConfig, plain: tuple[int, ...], fuse_gradients: bool
) -> Mapping[str, Arm]:
    """Arms of a cascade: oriented gradients, a shallow tower on their maps, a deep one that goes on from its maps.

    `shallow` and `deep` alone have the same way to their feature, without the other's. `fuse_gradients`: the gradients
    are a feature too. `matched` is an ordinary tower on the pixels, of the proportions `plain`.
    """
    gradients = HogConfig(coarse=2 if fuse_gradients else None)

    def fused(image_shape: ImageShape, classes: int) -> FusionNetConfig:
        return FusionNetConfig(
            image_shape,
            classes,
            {"gradients": gradients, "shallow": shallow, "deep": deep},
            topology="cascade",
            unfused=() if fuse_gradients else ("gradients",),
            batch_norm=True,
            branch_heads=True,
        )

    def shallow_alone(image_shape: ImageShape, classes: int) -> FusionNetConfig:
        return replace(
            fused(image_shape, classes),
            branches={"gradients": gradients, "shallow": shallow},
            unfused=("gradients",),
            branch_heads=False,
        )

    def deep_alone(image_shape: ImageShape, classes: int) -> FusionNetConfig:
        return replace(fused(image_shape, classes), unfused=("gradients", "shallow"), branch_heads=False)

    def plain_tower(image_shape: ImageShape, classes: int) -> FusionNetConfig:
        tower = TowerConfig(plain, pool_after=(2,), kernel=5, stride=2)
        return FusionNetConfig(image_shape, classes, {"deep": tower}, batch_norm=True)

    return arms_of(fused, shallow_alone, deep_alone, plain_tower)


_ARTICLE = Preset(
    name="article",
    summary="the published two-branch network, as its code has it",
    recipe=Recipe(epochs=100),
    arms=_fused_and_each_alone(
        {
            "shallow": ConvConfig(widths=(32, 64), pool_after=(1, 2), dense=128),
            "deep": ConvConfig(widths=(32, 64, 128), pool_after=(1, 2, 3), dense=256),
        },
        hidden=(),
    ),
    expected="99.1 % on MNIST after 3 epochs, 99.2 % after 10 (means of 3 seeds)",
    cost="about half a minute an epoch of MNIST on two CPU cores",
    shows_test_accuracy=True,
)

# The text of the tutorial names one max-pool a branch and two dense layers after the concatenation, and gives no
# widths. Read here as: the convolutions, then the pool; maps flattened and concatenated; dense 256 with ReLU, then the
# dense layer with the softmax. Widths are the code's.
_ARTICLE_PROSE = Preset(
    name="article-prose",
    summary="the published two-branch network, as its text describes it",
    recipe=Recipe(epochs=100),
    arms=_fused_and_each_alone(
        {
            "shallow": ConvConfig(widths=(32, 64), pool_after=(2,)),
            "deep": ConvConfig(widths=(32, 64, 128), pool_after=(3,)),
        },
        hidden=(256,),
    ),
    expected="not measured yet",
    cost="eight times the multiply-accumulates of article",
)

_SWIFT = Preset(
    name="swift",
    summary="one pass over the images: oriented gradients, and a shallow and a deep tower that go on from them",
    recipe=Recipe(
        epochs=1,
        min_steps=300,
        batch_size=160,
        optimiser="adamw",
        learning_rate=1.6e-2,
        betas=(0.9, 0.95),
        epsilon=1e-8,
        weight_decay=0.05,
        label_smoothing=0.1,
        full_batches=True,
        precision="gpu",
    ),
    arms=_on_gradients(
        TowerConfig((32,), pool_after=(1,), grid=4), TowerConfig((32,)), plain=(16, 20, 32, 32), fuse_gradients=False
    ),
    expected="99.3 % on MNIST (mean of 10 seeds)",
    cost="4 s of two CPU cores for MNIST: half the time and 0.4 of the FLOPs of the published record for 99.2 %",
)

_MOVING = Recipe(
    steps=1500,
    batch_size=128,
    optimiser="adamw",
    learning_rate=8e-3,
    epsilon=1e-8,
    weight_decay=0.05,
    label_smoothing=0.1,
    full_batches=True,
    average=0.99,
    augment=Augment(rotate=15.0, scale=0.15, shear=0.2, shift=0.09, elastic=0.036),
    precision="gpu",
)
"""The way of `few`, and with other lengths of `strong`: images are moved anew each time they are drawn."""

_FEW = Preset(
    name="few",
    summary="few labels: the same idea, wider, its images moved in many ways",
    recipe=replace(_MOVING, votes="learned"),
    unlabelled=replace(_MOVING.lasting(epochs=2), learning_rate=6e-3),
    arms=_on_gradients(
        TowerConfig((32,), pool_after=(1,), grid=4), TowerConfig((64, 64)), plain=(16, 32, 64, 64), fuse_gradients=True
    ),
    expected="97.5, 98.7 and 99.2 % on MNIST with 10, 30 and 100 labels a class (means of 10 seeds)",
    cost="under two minutes of one CPU core for images of 28×28, however many there are",
)

_STRONG = Preset(
    name="strong",
    summary="many labels and some minutes: the same idea, wider and deeper, its images moved in many ways",
    recipe=replace(_MOVING.lasting(epochs=12), average=0.999),
    arms=_on_gradients(
        TowerConfig((32, 48), pool_after=(2,), grid=4),
        TowerConfig((80, 80)),
        plain=(32, 48, 80, 80),
        fuse_gradients=True,
    ),
    expected="99.66 % on MNIST (mean of 5 seeds)",
    cost="20 s an epoch of MNIST on two CPU cores, four minutes in all",
)

_STRONG_MIRRORED = Preset(
    name="strong-mirrored",
    summary="strong for images that mean the same when mirrored, such as clothes, animals and things, but not digits: "
    "oriented gradients beside a residual tower on the pixels",
    recipe=replace(_MOVING.lasting(epochs=18), augment=Augment(shift=0.05, mirror=True), precision="auto"),
    arms=_fused_and_each_alone(
        {
            "shallow": HogConfig(),
            "deep": TowerConfig((32, 64, 64, 64, 96, 96), pool_after=(5,), kernel=5, stride=2, residual=True),
        },
        voting=True,
    ),
    expected="93.5 % on Fashion-MNIST (mean of 3 seeds)",
    cost="40 s an epoch of Fashion-MNIST on two CPU cores that have bfloat16, 12 minutes in all",
)

_TINY = Preset(
    name="tiny",
    summary="the smallest network, for tests and first tries",
    recipe=Recipe(steps=300, batch_size=64, learning_rate=5e-3),  # steps: the same seconds for 20 images and for 2,000
    arms=_fused_and_each_alone(
        {
            "shallow": ConvConfig(widths=(8,), pool_after=(1,), dense=16),
            "deep": ConvConfig(widths=(8, 16, 32), pool_after=(1, 2, 3), dense=32),
        },
        hidden=(),
    ),
    expected="97.3 % on scikit-learn's 1,797 digits in 5 folds, 88.7 % on MNIST from 300 images (means of 3 seeds)",
    cost="under a second of one CPU core for images of 8×8, two or three for 28×28, however many there are",
    largest=32,
)

_FITTED = Recipe(epochs=1)
"""Nothing is trained: of the recipe only the balance of classes counts."""

_PROBE = Preset(
    name="probe",
    summary="nothing is trained: fixed features and one linear layer, fitted at once",
    recipe=_FITTED,
    arms=arms_of_fixed(LIGHT, "scattering"),
    expected="90.8 % on MNIST with 10 labels a class (mean of 3 seeds)",
    cost="features once, some ms of one CPU core an image of 28×28; then seconds",
    compared=("fused", "shallow", "deep"),
)

_TRANSFER = Preset(
    name="transfer",
    summary="photographs: stages of a pretrained network, fixed features and one linear layer, fitted at once",
    recipe=_FITTED,
    arms=arms_of_backbone(
        LIGHT,
        BackboneConfig(
            taps=("stage1", "stage2", "stage3", "stage4", "stage5", "stage6", "stage7", "top"),
            pools=("mean", "std"),
            least=BACKBONE_SIDE,
        ),
    ),
    expected="74, 85, 91 and 97 % on sign-language digits of other people with 5, 10, 20 and 50 labels a class "
    "(means of 10 seeds)",
    cost="features once, 13 ms of one CPU core an image of 100×100; then 4 s for 1,000 images",
    largest=BACKBONE_SIDE,
    compared=("fused", "shallow", "deep", "taps"),
)

PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (_SWIFT, _STRONG, _STRONG_MIRRORED, _FEW, _PROBE, _TRANSFER, _ARTICLE, _ARTICLE_PROSE, _TINY)
}
"""Every preset by name, in the order in which `littoral presets` lists them."""
