"""Presets: a named model with its arms and its recipe, and the result and cost to expect of it.

An arm is one contestant in a comparison. `fused` is what a preset trains when nothing else is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from littoral.errors import InputError
from littoral.nn.conv import ConvConfig
from littoral.nn.model import BranchConfig, FusionNetConfig
from littoral.specs import ImageShape
from littoral.training.recipe import Recipe

DEFAULT = "article"
"""The preset where none is named."""


@dataclass(frozen=True)
class Preset:
    """`arms` builds every arm's architecture for a shape of images and a number of classes.

    `largest`: the longer side that files are scaled down to where no size is asked for. `expected` and `cost` are what
    was measured, in words. `shows_test_accuracy`: after each epoch the accuracy on the test part is shown, as the
    published code does; nothing reads it.
    """

    name: str
    summary: str
    recipe: Recipe
    arms: Callable[[ImageShape, int], dict[str, FusionNetConfig]]
    expected: str
    cost: str
    largest: int = 64
    shows_test_accuracy: bool = False


def get_preset(name: str) -> Preset:
    """The preset of that name; raises InputError, with the known names, for any other."""
    if name not in PRESETS:
        raise InputError(f"unknown preset {name!r}: expected one of {', '.join(PRESETS)}")
    return PRESETS[name]


def get_arm(preset: Preset, arm: str, image_shape: ImageShape, classes: int) -> FusionNetConfig:
    """The architecture of one arm; raises InputError, with the known names, for an unknown one."""
    arms = preset.arms(image_shape, classes)
    if arm not in arms:
        raise InputError(f"unknown arm {arm!r} of preset {preset.name}: expected one of {', '.join(arms)}")
    return arms[arm]


def _fused_and_each_alone(
    branches: Mapping[str, BranchConfig], hidden: tuple[int, ...]
) -> Callable[[ImageShape, int], dict[str, FusionNetConfig]]:
    def arms(image_shape: ImageShape, classes: int) -> dict[str, FusionNetConfig]:
        members = {"fused": dict(branches)} | {name: {name: branch} for name, branch in branches.items()}
        return {arm: FusionNetConfig(image_shape, classes, chosen, hidden=hidden) for arm, chosen in members.items()}

    return arms


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

PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in (_ARTICLE, _ARTICLE_PROSE, _TINY)}
"""Every preset by name, in the order in which `littoral presets` lists them."""
