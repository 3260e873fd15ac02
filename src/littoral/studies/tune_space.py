"""Where `tune.py` searches: how far a preset's recipe, widths and fusion may change, and what each change costs.

Costs are measured: multiply-accumulates on paper, the file as it would be written, the clock for one image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from littoral.errors import InputError
from littoral.images.store import ImageStore
from littoral.model_file import model_bytes
from littoral.nn.branch import BranchConfig
from littoral.nn.cost import config_cost
from littoral.nn.inference import predict_probabilities
from littoral.nn.model import FusionNetConfig, seeded_model
from littoral.nn.registry import FUSIONS
from littoral.studies.latency import median_seconds
from littoral.training.presets import Preset, get_arm, get_preset
from littoral.training.recipe import Augment, Recipe
from littoral.training.run import TrainedModel
from littoral.training.variant import Variant, variant_preset

if TYPE_CHECKING:
    from optuna.trial import Trial

RATE, LENGTH = 4.0, 2.0
"""The learning rate and the length are the preset's times or by so much at most."""

WIDER, NARROWER = 2.0, 4.0
"""Widths are those of the first candidate times or by so much at most."""

NARROWEST = 1 / 64
"""Widths are the preset's by so much at most, to come within the limits."""

AS_IT_IS = "as it is"
"""The preset's own fusion, among the names of others."""

Asked = Mapping[str, float | str]
"""What Optuna draws for a candidate, by name: factors of rate, length, moving and widths, and the name of a fusion."""

STRENGTHS = (0.0, 0.5, 1.0, 1.5)
"""How far images are moved, as a multiple of what the preset does; or of what `few` does, where it does nothing."""


@dataclass(frozen=True)
class Limits:
    """What a model may cost at most; None: anything. `latency`: seconds for one image; `file`: bytes."""

    macs: int | None = None
    latency: float | None = None
    file: int | None = None

    def __post_init__(self) -> None:
        for name, limit in (("macs", self.macs), ("latency", self.latency), ("file", self.file)):
            if limit is not None and not limit > 0:
                raise InputError(f"a limit on {name} is above 0, got {limit}")

    def passed(self, price: Price) -> str | None:
        """What of it a model is beyond, in words, or None."""
        if self.macs is not None and price.macs > self.macs:
            return f"{price.macs:,} MACs, over {self.macs:,}"
        if self.file is not None and price.file > self.file:
            return f"a file of {price.file:,} bytes, over {self.file:,}"
        if self.latency is not None and price.latency > self.latency:
            return f"{1e3 * price.latency:.2f} ms an image, over {1e3 * self.latency:.2f}"
        return None


@dataclass(frozen=True)
class Price:
    """What a model costs: parameters, multiply-accumulates, bytes of its file, seconds for one image alone."""

    params: int
    macs: int
    file: int
    latency: float


def price_of(config: FusionNetConfig, data: ImageStore, recipe: Recipe) -> Price:
    """The price of an architecture, on this machine with the threads of now; its weights are not trained."""
    cost = config_cost(config)
    spec, one = data.spec(), data.images[:1]
    model = TrainedModel(seeded_model(config, 0).eval(), spec, data.class_names, recipe, {})
    seconds = median_seconds(lambda: predict_probabilities(model.model, one, spec))
    return Price(cost.params, cost.macs, len(model_bytes(model)), seconds)


def fused_of(variant: Variant, data: ImageStore) -> FusionNetConfig:
    """The architecture of a variant for these images; raises InputError for one that cannot be."""
    return get_arm(variant_preset("tuned", variant), "fused", data.spec().shape, len(data.class_names))


@dataclass(frozen=True)
class Space:
    """How far `preset` may change. `branches`: those that have widths; `fusions`: those of other types than its own.

    `factor`: all widths are the preset's times this in the first candidate; `images`: how many are trained on.
    """

    preset: Preset
    branches: tuple[str, ...]
    fusions: tuple[str, ...]
    factor: float
    images: int

    def first(self) -> Asked:
        """The preset itself, with its widths times the factor."""
        strength = 1.0 if self.preset.recipe.augment is not None else 0.0
        widths = {f"width {name}": self.factor for name in self.branches}
        return {"rate": 1.0, "length": 1.0, "augment": strength, "fusion": AS_IT_IS, **widths}

    def suggested(self, trial: Trial) -> Variant:
        """The variant that Optuna asks to be tried; what was asked is in `trial.params` then."""
        recipe = self.preset.recipe
        rate = trial.suggest_float("rate", 1 / RATE, RATE, log=True)
        length = trial.suggest_float("length", 1 / LENGTH, LENGTH, log=True)
        strength = trial.suggest_categorical("augment", STRENGTHS)
        low, high = self.factor / NARROWER, self.factor * WIDER
        widths = {name: trial.suggest_float(f"width {name}", low, high, log=True) for name in self.branches}
        fusion = trial.suggest_categorical("fusion", [AS_IT_IS, *self.fusions])
        return Variant(
            base=self.preset.name,
            summary=f"{self.preset.name}, tuned",
            widths=widths,
            fusion=None if fusion == AS_IT_IS else FUSIONS[fusion](),
            recipe=replace(
                recipe.lasting(steps=max(1, round(length * recipe.total_steps(self.images)))),
                learning_rate=rate * recipe.learning_rate,
                augment=moved_by(recipe.augment, strength),
            ),
        )


def space_of(preset: Preset, data: ImageStore, limits: Limits) -> Space:
    """Where to search for a model of the training images `data` within the limits."""
    fused = get_arm(preset, "fused", data.spec().shape, len(data.class_names))
    branches = tuple(name for name, branch in fused.branches.items() if _has_widths(branch))
    fusions = tuple(name for name in FUSIONS if name != fused.fusion.type)
    return Space(preset, branches, fusions, largest_factor(preset, branches, data, limits), len(data))


def largest_factor(preset: Preset, branches: tuple[str, ...], data: ImageStore, limits: Limits) -> float:
    """By which all widths of the preset are multiplied for the first candidate: 1, or the largest below that fits.

    It is found for MACs and the file, which do not change from one measurement to the next.
    """

    def fits(factor: float) -> bool:
        variant = Variant(preset.name, "", dict.fromkeys(branches, factor))
        price = price_of(fused_of(variant, data), data, preset.recipe)
        return replace(limits, latency=None).passed(price) is None

    low, high = NARROWEST, 1.0
    if not branches or fits(high):
        return high
    if not fits(low):
        price = price_of(fused_of(Variant(preset.name, "", dict.fromkeys(branches, low)), data), data, preset.recipe)
        raise InputError(
            f"no model of preset {preset.name} is within the limits: at {low:g} of its widths it takes {price.macs:,} "
            f"MACs and a file of {price.file / 1e3:,.0f} kB; allow more, or take smaller images"
        )
    for _ in range(12):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def moved_by(augment: Augment | None, strength: float) -> Augment | None:
    """An augmentation so many times as strong; None where nothing is left of it."""
    whole = augment if augment is not None else get_preset("few").recipe.augment
    if not strength or whole is None:
        return None
    return replace(
        whole,
        rotate=strength * whole.rotate,
        scale=strength * whole.scale,
        shear=strength * whole.shear,
        shift=strength * whole.shift,
        elastic=strength * whole.elastic,
    )


def _has_widths(branch: BranchConfig) -> bool:
    try:
        branch.widened(1.0)
    except InputError:
        return False
    return True
